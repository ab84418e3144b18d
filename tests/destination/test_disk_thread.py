"""The disk thread does its work in order, needs no other thread, and ends with the export."""

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
    """All threads of the event loop may wait, even for the export itself."""
    done = threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    waiting = asyncio.get_running_loop().run_in_executor(None, done.wait)
    try:
        summary = await exporter.export(intercom, tmp_path / "a.ndjson")
    finally:
        done.set()
        await waiting
    assert summary.contacts == 1_000


async def test_export_that_ends_leaves_no_disk_thread(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """This holds for a finished, a refused and a cancelled export."""
    await exporter.export(intercom, tmp_path / "a.ndjson")
    with pytest.raises(exporter.ConfigError):
        await exporter.export(intercom, tmp_path / "missing" / "a.ndjson")
    with anyio.move_on_after(0.01):
        await exporter.export(intercom, tmp_path / "b.ndjson", checkpoint_every_s=0)
    await until(lambda: not any("intercom-exporter-disk" in thread.name for thread in threading.enumerate()))


async def test_run_cancelled_waits_for_the_work_to_end() -> None:
    """A cancellation does not return while the thread still writes."""
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


async def test_end_after_bare_cancellation_runs_its_work_last() -> None:
    """The work that a bare cancellation leaves behind ends first, and the last work still runs."""
    thread, begun, may_end = DiskThread(), threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        begun.set()
        may_end.wait(30)
        order.append("first")

    left_behind = asyncio.create_task(thread.run(first))
    await until(begun.is_set)
    ending = asyncio.create_task(thread.end(lambda: order.append("last")))
    await anyio.sleep(0.01)
    for task in (left_behind, ending):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert order == []
    may_end.set()
    await until(lambda: len(order) == 2)
    assert order == ["first", "last"]


async def test_end_with_failing_work_runs_it_once() -> None:
    """A descriptor that a failed close has released may already belong to another file."""
    thread, calls = DiskThread(), 0

    def last() -> None:
        nonlocal calls
        calls += 1
        raise OSError(errno.EIO, "the disk has failed")

    with pytest.raises(OSError, match="has failed"):
        await thread.end(last)
    await until(lambda: not any("intercom-exporter-disk" in one.name for one in threading.enumerate()))
    assert calls == 1


async def test_end_cancelled_during_its_work_runs_it_once() -> None:
    """A bare cancellation neither waits for the work nor repeats it."""
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
