"""The library in somebody else's process: it changes nothing there and leaves nothing behind."""

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import anyio
import pytest

import exporter


def state_of_the_process() -> dict[str, object]:
    """Everything a guest must not touch."""
    return {
        "signals": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)},
        "logging": (logging.root.handlers[:], logging.root.level, logging.getLoggerClass()),
        "excepthook": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "collector": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "folder": Path.cwd(),
        "umask": _umask(),
        "environment": dict(os.environ),
        "policy": type(asyncio.get_event_loop_policy()) if sys.version_info < (3, 14) else None,  # deprecated there
        "aiohttp's zlib": _aiohttp_zlib(),
    }


@pytest.mark.slow
async def test_library_leaves_the_process_unchanged(tmp_path: Path) -> None:
    """After listing, breaking out, streaming, exporting and failing, no switch, task or descriptor is different."""
    await _one_life(tmp_path / "first")  # whatever is imported or started once
    before, tasks, descriptors = state_of_the_process(), asyncio.all_tasks(), _descriptors()
    await _one_life(tmp_path / "second")
    gc.collect()
    assert state_of_the_process() == before
    assert asyncio.all_tasks() == tasks
    assert _descriptors() == descriptors


async def _one_life(folder: Path) -> None:
    folder.mkdir()
    async with exporter.Sandbox(1_000) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            async for _page in intercom.pages():
                break
            async for _contact in intercom.contacts():
                break
            async with exporter.stream(intercom, compression="gzip") as chunks:
                async for _chunk in chunks:
                    break
            await exporter.export(intercom, folder / "contacts.ndjson.gz")
            with anyio.move_on_after(0.01):
                await exporter.export(intercom, folder / "cancelled.ndjson")
        async with exporter.Intercom("wrong", base_url=sandbox.base_url) as intercom:
            with pytest.raises(exporter.CredentialsError):
                await exporter.export(intercom, folder / "failed.ndjson")


async def test_breaking_out_leaves_no_task(sandbox: exporter.Sandbox, intercom: exporter.Intercom) -> None:
    """Iterators that are dropped half-way leave nothing for the loop to clean up."""
    tasks = asyncio.all_tasks()
    async for _page in intercom.pages():
        break
    async for _contact in intercom.contacts():
        break
    gc.collect()
    left = {task for task in asyncio.all_tasks() - tasks if "RequestHandler" not in repr(task.get_coro())}
    assert left == set()


PROGRAM = """
import asyncio, logging, sys, warnings
import exporter

async def main(folder):
    async with exporter.Sandbox(1_000, faults=["http_503@2", "reset@3"]) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            await exporter.export(intercom, folder + "/contacts.ndjson")
            async for contact in intercom.contacts():
                break
            async with exporter.stream(intercom) as chunks:
                async for chunk in chunks:
                    break

asyncio.run(main(sys.argv[1]), debug=True)
"""


@pytest.mark.slow
def test_library_causes_no_warnings(tmp_path: Path) -> None:
    """In a process without logging, in development mode, retries and early exits print nothing at all."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, str(tmp_path)], capture_output=True, check=False
    )
    slow = b"Executing <"  # the loop's debug mode tells of slow steps, which depends on the machine
    said = [line for line in done.stderr.splitlines() if slow not in line]
    assert (done.returncode, done.stdout, said) == (0, b"", [])


def test_library_runs_in_another_thread_repeatedly(tmp_path: Path) -> None:
    """Each event loop, also one outside the main thread, can have its own exports, one after the other."""
    summaries: list[exporter.Summary] = []

    async def once(name: str) -> None:
        async with (
            exporter.Sandbox(10) as sandbox,
            exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom,
        ):
            summaries.append(await exporter.export(intercom, tmp_path / name))

    thread = threading.Thread(target=lambda: asyncio.run(once("a.ndjson")))
    thread.start()
    thread.join()
    asyncio.run(once("b.ndjson"))
    assert [summary.contacts for summary in summaries] == [10, 10]


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _descriptors() -> set[str]:
    """Open sockets, pipes and files, but for the loop's own."""
    open_files = Path("/proc/self/fd")
    return {entry.name for entry in open_files.iterdir() if entry.exists()} if open_files.exists() else set()


def _aiohttp_zlib() -> object:
    from aiohttp.compression_utils import ZLibBackend  # noqa: PLC0415 - looked at here alone

    return ZLibBackend._zlib_backend is zlib
