"""The thread of an output: its work in order, whatever the host's threads do, and none left at the end."""

import asyncio
import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

import exporter
from exporter.destination.disk_thread import DiskThread
from tests.support.waiting import until


async def test_export_with_busy_default_executor_completes(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """The event loop's own threads may all be waiting, for the export itself even."""
    done = threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    waiting = asyncio.get_running_loop().run_in_executor(None, done.wait)
    try:
        summary = await exporter.export(intercom, tmp_path / "a.ndjson")
    finally:
        done.set()
        await waiting
    assert summary.contacts == 1_000


async def test_export_leaves_no_thread_of_its_own(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """The thread ends with the export, whether that is finished, refused or cancelled."""
    await exporter.export(intercom, tmp_path / "a.ndjson")
    with pytest.raises(exporter.ConfigError):
        await exporter.export(intercom, tmp_path / "missing" / "a.ndjson")
    with anyio.move_on_after(0.01):
        await exporter.export(intercom, tmp_path / "b.ndjson", checkpoint_every_s=0)
    await until(lambda: not any("intercom-exporter-disk" in thread.name for thread in threading.enumerate()))


async def test_run_cancelled_waits_for_the_work_to_end() -> None:
    """A cancellation never unwinds while the thread still writes."""
    thread, begun, may_end, ended = DiskThread(), threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(30)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(thread.run, work)
        await until(begun.is_set)
        tasks.cancel_scope.cancel()
        asyncio.get_running_loop().call_later(0.05, may_end.set)
    assert ended.is_set()
    await thread.end(lambda: None)


async def test_end_after_a_bare_cancellation_comes_last() -> None:
    """What a bare cancellation leaves behind is done before anything else begins, and the last work is done anyway."""
    thread, begun, may_end = DiskThread(), threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        begun.set()
        may_end.wait(30)
        order.append("first")

    left = asyncio.create_task(thread.run(first))
    await until(begun.is_set)
    ending = asyncio.create_task(thread.end(lambda: order.append("last")))
    await anyio.sleep(0.01)
    for task in (left, ending):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert order == []
    may_end.set()
    await until(lambda: len(order) == 2)
    assert order == ["first", "last"]


async def test_end_whose_work_fails_does_it_once() -> None:
    """What a failed close has let go of may belong to somebody else by then."""
    thread, calls = DiskThread(), 0

    def last() -> None:
        nonlocal calls
        calls += 1
        raise OSError(errno.EIO, "the disk has failed")

    with pytest.raises(OSError, match="has failed"):
        await thread.end(last)
    await until(lambda: not any("intercom-exporter-disk" in one.name for one in threading.enumerate()))
    assert calls == 1


async def test_end_cancelled_while_its_work_runs_does_it_once() -> None:
    """A bare cancellation neither waits for it nor repeats it."""
    thread, begun, may_end = DiskThread(), threading.Event(), threading.Event()
    calls: list[str] = []

    def last() -> None:
        calls.append("last")
        begun.set()
        may_end.wait(30)

    ending = asyncio.create_task(thread.end(last))
    await until(begun.is_set)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    may_end.set()
    await until(lambda: not any("intercom-exporter-disk" in one.name for one in threading.enumerate()))
    assert calls == ["last"]
