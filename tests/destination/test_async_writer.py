"""The asynchronous file destination: when it commits, and what a cancellation leaves."""

import asyncio
import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from exporter import Committed, Event, SinkError
from exporter.destination import part as part_module
from exporter.destination.async_writer import COMMIT_BYTES
from exporter.destination.free_space import FreeSpace, NoSpaceError
from exporter.destination.local import Output
from exporter.destination.lock import open_locked
from exporter.layout.atomic import write_all
from exporter.layout.checkpoint import JobProgress
from exporter.layout.paths import OutputPaths
from tests.support.outputs import ExportState, committed_pages

Sinks = Callable[..., AbstractAsyncContextManager[Any]]
Read = Callable[[OutputPaths], bytes]


async def test_destination_finish_gives_final_names_and_manifest(
    sinking: Sinks, paths: OutputPaths, content_of: Read
) -> None:
    """Before it, there is a part and no manifest; after it, no part."""
    async with sinking(paths) as sink:
        await sink.append(b"one ", b"two ", b"three")
        assert not paths.manifest.exists()
        assert paths.part(2 if paths.is_folder else 1).exists()
        summary = await sink.finish()
    assert content_of(paths) == b"one two three"
    assert (summary.contacts, sum(file.bytes for file in summary.files)) == (3, 13)
    assert not list(paths.folder.glob("*.part"))
    async with sinking(paths) as sink:
        assert sink.export.output.finished == summary


async def test_destination_exit_with_error_commits_written_pages(
    sinking: Sinks, paths: OutputPaths, content_of: Read
) -> None:
    """When the source fails, the earlier pages are kept, and the next run resumes after them."""
    with pytest.raises(RuntimeError, match="in the block"):
        async with sinking(paths) as sink:
            await sink.append(b"one ", b"two ", b"three ")
            raise RuntimeError("in the block")
    assert committed_pages(paths) == 3
    assert not paths.manifest.exists()
    async with sinking(paths) as sink:
        await sink.append(b"four")
        await sink.finish()
    assert content_of(paths) == b"one two three four"


async def test_destination_exit_without_error_commits_nothing(sinking: Sinks, file: OutputPaths) -> None:
    """A block without an error has already committed what it wants to keep."""
    async with sinking(file) as sink:
        await sink.append(b"one")
        await sink.sink.commit()
        await sink.append(b"two")
    assert committed_pages(file) == 1


async def test_commit_if_due_commits_when_the_interval_is_over(sinking: Sinks, file: OutputPaths) -> None:
    """The interval starts at the latest commit, and the observer is notified of each commit."""
    now, events = [100.0], list[Event]()
    async with sinking(file, events.append, lambda: now[0], checkpoint_every_s=5) as sink:
        for at_s in (100.0, 104.9, 105.0, 105.1, 109.9, 110.5):
            now[0] = at_s
            await sink.append(b"page ")
            await sink.sink.commit_if_due()
        assert committed_pages(file) == 6
    assert [event.position.pages for event in events if isinstance(event, Committed)] == [3, 6]
    assert len(events) == 2


async def test_commit_if_due_by_many_tasks_commits_once(sinking: Sinks, file: OutputPaths) -> None:
    """With several cursors, all tasks notice at the same time that a commit is due."""
    now, events = [0.0], list[Event]()
    async with sinking(file, events.append, lambda: now[0], checkpoint_every_s=5) as sink:
        await sink.append(b"page ")
        now[0] = 5.0
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(sink.sink.commit_if_due)
        assert committed_pages(file) == 1
    assert len(events) == 1


async def test_commit_if_due_with_zero_interval_commits_each_page(sinking: Sinks, file: OutputPaths) -> None:
    """The observer gets no other event."""
    events = list[Event]()
    async with sinking(file, events.append, lambda: 0.0, checkpoint_every_s=0) as sink:
        for number in range(1, 4):
            await sink.append(b"page ")
            await sink.sink.commit_if_due()
            assert committed_pages(file) == number
    assert events == [Committed(event.position) for event in events if isinstance(event, Committed)]


async def test_commit_if_due_with_64_mb_written_commits(sinking: Sinks, file: OutputPaths) -> None:
    """At most 64 MB wait for a commit, however little time has passed."""
    assert COMMIT_BYTES == 64_000_000
    events, half = list[Event](), bytes(COMMIT_BYTES // 2)
    async with sinking(file, events.append, lambda: 0.0) as sink:
        for content in (half, half[1:], b"x", half):
            await sink.append(content)
            await sink.sink.commit_if_due()
    assert [event.position.pages for event in events if isinstance(event, Committed)] == [3]


async def test_append_that_starts_the_next_part_commits(sinking: Sinks, parts: OutputPaths) -> None:
    """Everything before the new part is on disk, and the interval starts again."""
    now, events = [0.0], list[Event]()
    async with sinking(parts, events.append, lambda: now[0], checkpoint_every_s=5) as sink:
        for at_s in (1.0, 2.0, 3.0, 7.9, 8.0):
            now[0] = at_s
            await sink.append(b"page ")
            await sink.sink.commit_if_due()
            now[0] = 7.9 if at_s == 8.0 else at_s
    assert [event.position.pages for event in events if isinstance(event, Committed)] == [2, 4]
    assert [path.name for path in sorted(parts.path.glob("*ndjson*"))] == [
        "_contacts-00003.ndjson.part",
        "contacts-00001.ndjson",
        "contacts-00002.ndjson",
    ]


async def test_progress_is_read_only_on_the_event_loop(sinking: Sinks, parts: OutputPaths) -> None:
    """Requests continue while a part is finished, so the loop that counts them reads the figures."""
    threads: set[int] = set()
    async with sinking(parts) as sink:
        state: ExportState = sink.sink.state

        class Watched(ExportState):
            def progress(self) -> JobProgress:
                threads.add(threading.get_ident())
                return state.progress()

        await sink.sink.start(Watched(sink.export))
        await sink.append(b"one", b"two", b"three")
        await sink.sink.commit()
    assert threads == {threading.get_ident()}


async def test_append_with_many_small_parts_checks_free_space(
    sinking: Sinks, parts: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many small parts never use the free space that the user reserved."""
    checks = 0

    def check(_free_space: FreeSpace, needed: int = 0) -> None:
        nonlocal checks
        checks += needed > 0
        if checks > 5:
            raise NoSpaceError("too little room")

    monkeypatch.setattr(FreeSpace, "check", check)
    with pytest.raises(SinkError, match="too little room"):
        async with sinking(parts, clock=lambda: 0.0) as sink:
            for _ in range(10):
                await sink.append(b"page ")
                await sink.sink.commit_if_due()
    assert committed_pages(parts) == 5


async def test_append_of_empty_frame_writes_nothing(sinking: Sinks, file: OutputPaths) -> None:
    """A page without contacts leaves no trace in the data."""
    async with sinking(file) as sink:
        await sink.append(b"", contacts=0)
        await sink.append(b"one")
        await sink.append(b"", contacts=0)
        summary = await sink.finish()
    assert file.path.read_bytes() == b"one"
    assert summary.files[0].contacts == 1


class SlowDisk:
    """A disk that holds up a write until the test releases it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.released = threading.Event(), threading.Event()
        monkeypatch.setattr(part_module, "write_all", self.write)

    def write(self, descriptor: int, content: bytes) -> None:
        """Write half, wait, and write the rest."""
        write_all(descriptor, content[: len(content) // 2])
        self.begun.set()
        assert self.released.wait(60)
        write_all(descriptor, content[len(content) // 2 :])


async def test_append_cancelled_during_write_commits_the_page(
    sinking: Sinks, file: OutputPaths, content_of: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is complete in the file and in the checkpoint."""
    disk = SlowDisk(monkeypatch)

    async def write() -> None:
        async with sinking(file) as sink:
            await sink.append(b"whole page ")
            await anyio.lowlevel.checkpoint()
            raise AssertionError("it was cancelled")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.to_thread.run_sync(disk.begun.wait)
        assert file.part(1).read_bytes() == b"whole"
        tasks.cancel_scope.cancel()
        disk.released.set()
    assert committed_pages(file) == 1
    async with sinking(file) as sink:
        await sink.append(b"and more")
        summary = await sink.finish()
    assert content_of(file) == b"whole page and more"
    assert summary.files[0].sha256 == hashlib.sha256(b"whole page and more").hexdigest()


async def test_finish_cancelled_in_the_last_step_completes(
    sinking: Sinks, file: OutputPaths, content_of: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and its manifest exist, and no checkpoint is left."""
    begun, released = threading.Event(), threading.Event()

    def slow_sync(_descriptor: int) -> None:
        begun.set()
        assert released.wait(60)

    async def write() -> None:
        async with sinking(file) as sink:
            await sink.append(b"one")
            monkeypatch.setattr(part_module, "sync", slow_sync)
            await sink.finish()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.to_thread.run_sync(begun.wait)
        tasks.cancel_scope.cancel()
        released.set()
    assert content_of(file) == b"one"
    assert sorted(file.folder.iterdir()) == [file.path, file.manifest]


async def test_open_cancelled_while_it_locks_leaves_nothing_open(
    sinking: Sinks, file: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part is neither open nor locked afterwards."""
    locking, released = threading.Event(), threading.Event()
    lock = fcntl.flock

    def slow_lock(descriptor: int, operation: int) -> None:
        locking.set()
        assert released.wait(60)
        lock(descriptor, operation)

    async def write() -> None:
        async with sinking(file):
            await anyio.sleep_forever()

    monkeypatch.setattr(fcntl, "flock", slow_lock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.to_thread.run_sync(locking.wait)
        tasks.cancel_scope.cancel()
        released.set()
    os.close(await anyio.to_thread.run_sync(open_locked, file.part(1)))


async def test_open_cancelled_while_it_checks_a_long_part_stops(
    sinking: Sinks, file: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancellation does not wait until all bytes are read, and nothing is changed."""
    monkeypatch.setattr(part_module, "_READ_BYTES", 10)
    monkeypatch.setattr(part_module, "_STEP_BYTES", 10)
    with pytest.raises(RuntimeError):
        async with sinking(file) as sink:
            await sink.append(bytes(1_000))
            raise RuntimeError
    before = file.checkpoint.read_bytes()
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with sinking(file):
            raise AssertionError("it was cancelled")
    assert scope.cancelled_caught
    assert file.checkpoint.read_bytes() == before
    os.close(await anyio.to_thread.run_sync(open_locked, file.part(1)))


async def test_commit_periodically_without_next_page_commits_once(sinking: Sinks, file: OutputPaths) -> None:
    """Written data is committed while no page comes, and not repeatedly."""
    events, seen = list[Event](), anyio.Event()

    def observe(event: Event) -> None:
        events.append(event)
        seen.set()

    async with sinking(file, observe, checkpoint_every_s=0.05) as sink:
        await sink.append(b"page ")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sink.sink.commit_periodically)
            with anyio.fail_after(30):
                await seen.wait()
            await anyio.sleep(0.2)
            tasks.cancel_scope.cancel()
        assert committed_pages(file) == 1
    assert [event.position.pages for event in events if isinstance(event, Committed)] == [1]


@pytest.mark.parametrize("work", ["write", "commit"])
async def test_bare_cancellation_allows_only_one_thread_at_the_files(
    sinking: Sinks, paths: OutputPaths, content_of: Read, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    """An ending loop cancels all tasks: the current work ends alone, and no file is damaged."""
    entered, may_end, inside = threading.Event(), threading.Event(), [0, 0]
    name = {"write": "append", "commit": "commit"}[work]
    real = getattr(Output, name)

    def slow(self: Output, *arguments: Any) -> None:
        inside[0] += 1
        inside[1] = max(inside)
        entered.set()
        may_end.wait(30)
        real(self, *arguments)
        inside[0] -= 1

    async def run() -> None:
        async with sinking(paths) as sink:
            await sink.append(b"one ")
            await sink.sink.commit()
            monkeypatch.setattr(Output, name, slow)
            await (sink.append(b"two ") if work == "write" else sink.sink.commit())

    others = asyncio.all_tasks()
    task = asyncio.ensure_future(run())
    assert await anyio.to_thread.run_sync(entered.wait, 30)
    for one in asyncio.all_tasks() - others:
        one.cancel()
    await anyio.sleep(0.05)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    assert inside == [0, 1]
    async with sinking(paths) as sink:
        assert committed_pages(paths) == 1
        await sink.append(b"two ")
        await sink.finish()
    assert content_of(paths) == b"one two "


async def test_commit_periodically_continues_after_other_commits(sinking: Sinks, paths: OutputPaths) -> None:
    """Neither a finished part nor an explicit commit stops the timer."""
    async with sinking(paths, checkpoint_every_s=0.05) as sink, anyio.create_task_group() as tasks:
        tasks.start_soon(sink.sink.commit_periodically)
        await anyio.lowlevel.checkpoint()
        for page in range(1, 6):
            await sink.sink.commit()
            await sink.append(b"page ")
            with anyio.fail_after(30):
                while committed_pages(paths) < page:  # noqa: ASYNC110 - another task writes the file
                    await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


async def test_commit_after_a_failed_sync_commits_nothing(
    sinking: Sinks, file: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiting commit does not sync again: the system would report success for lost data."""
    syncs = 0

    def failing(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        time.sleep(0.2)
        raise OSError(errno.EIO, "Input/output error")

    async def try_commit(sink: Any) -> None:
        with suppress(SinkError):
            await sink.sink.commit()

    with pytest.raises(SinkError, match="Input/output"):
        async with sinking(file) as sink:
            await sink.append(b"one")
            await sink.sink.commit()
            await sink.append(b"two")
            monkeypatch.setattr(part_module, "sync", failing)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(try_commit, sink)
                tasks.start_soon(try_commit, sink)
            raise SinkError("Input/output error", path=file.path)
    assert syncs == 1
    assert committed_pages(file) == 1
