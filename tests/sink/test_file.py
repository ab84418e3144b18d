"""A file that is complete or not there."""

import fcntl
import hashlib
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from exporter import FileSummary, SinkError, SourceSummary, Summary
from exporter.model import Frame
from exporter.sink.durable import open_locked
from exporter.sink.file import FileSink, part_path
from exporter.sink.manifest import manifest_path


def frame(content: bytes, contacts: int = 1) -> Frame:
    """Give a frame."""
    return Frame(content, contacts, 2 * len(content))


def summarise(file: FileSummary) -> Summary:
    """Give the summary of an export that is this one file."""
    return Summary(
        tool="a test",
        complete=True,
        source=SourceSummary("https://api.intercom.io", "/contacts", "2.14", None, 150),
        started_at="",
        finished_at="",
        runs=1,
        pages=1,
        contacts=file.contacts,
        total_count_first=None,
        total_count_last=None,
        requests=1,
        retries={},
        rate_limit_wait_s=0.0,
        files=(file,),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name an output."""
    return tmp_path / "contacts.ndjson"


async def test_a_finished_file_has_its_name_and_its_figures(path: Path) -> None:
    """Only finishing gives the name; the figures are those of what was written."""
    async with FileSink(path) as sink:
        for number in range(3):
            await sink.append(frame(b"%d" % number * 1_000, contacts=number))
            assert part_path(path).stat().st_size == 1_000 * (number + 1)
        assert not path.exists()
        summary = (await sink.finish(summarise)).files[0]
    content = path.read_bytes()
    assert content == b"0" * 1_000 + b"1" * 1_000 + b"2" * 1_000
    assert summary == FileSummary(path.name, 3_000, hashlib.sha256(content).hexdigest(), 3, 6_000)
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(path.parent.iterdir()) == [path, manifest_path(path)]


async def test_data_is_on_disk_before_it_has_a_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that makes a crash harmless: the data, the manifest, then their names, each made durable."""
    order: list[str] = []
    sync, rename = os.fsync, Path.replace

    def watched_sync(descriptor: int) -> None:
        order.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        sync(descriptor)

    def watched_rename(source: Path, target: Path) -> Path:
        order.append(f"rename {target.name}")
        return rename(source, target)

    async with FileSink(path) as sink:
        await sink.append(frame(b"content"))
        monkeypatch.setattr(os, "fsync", watched_sync)
        monkeypatch.setattr(Path, "replace", watched_rename)
        await sink.finish(summarise)
    assert order == [
        "sync contacts.ndjson.part",
        "sync contacts.ndjson.manifest.json.tmp",
        "rename contacts.ndjson",
        f"sync {path.parent.name}",
        "rename contacts.ndjson.manifest.json",
        f"sync {path.parent.name}",
    ]


async def test_leaving_without_finishing_leaves_the_part(path: Path) -> None:
    """After a failure what was written stays under the part's name, and the file does not appear."""
    with pytest.raises(RuntimeError, match="in the block"):
        async with FileSink(path) as sink:
            await sink.append(frame(b"written"))
            raise RuntimeError("in the block")
    assert part_path(path).read_bytes() == b"written"
    assert not path.exists()


async def test_a_new_run_begins_the_part_anew(path: Path) -> None:
    """Nothing of an older part gets into the file."""
    part_path(path).write_bytes(b"from an older run, and longer")
    async with FileSink(path) as sink:
        await sink.append(frame(b"new"))
        summary = (await sink.finish(summarise)).files[0]
    assert path.read_bytes() == b"new"
    assert summary.sha256 == hashlib.sha256(b"new").hexdigest()


async def test_the_old_file_stays_until_the_new_one_is_complete(path: Path) -> None:
    """A file of that name is replaced at the end, in one step."""
    path.write_bytes(b"old")
    async with FileSink(path, overwrite=True) as sink:
        await sink.append(frame(b"new"))
        assert path.read_bytes() == b"old"
        await sink.finish(summarise)
    assert path.read_bytes() == b"new"


async def test_a_file_that_appears_meanwhile_is_not_overwritten(path: Path) -> None:
    """What somebody else puts under the name while the part is written stays, unless it may be replaced."""
    async with FileSink(path) as sink:
        await sink.append(frame(b"new"))
        path.write_bytes(b"precious")
        with pytest.raises(SinkError, match="appeared meanwhile"):
            await sink.finish(summarise)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("change", ["replaced", "linked", "cut", "longer"])
async def test_a_part_that_others_had_a_hand_in_is_not_finished(path: Path, change: str) -> None:
    """Only the very file that was written, as long as it was written, becomes the export."""
    part = part_path(path)
    async with FileSink(path) as sink:
        await sink.append(frame(b"written"))
        if change in ("replaced", "linked"):
            part.unlink()
        if change == "linked":
            part.symlink_to("/etc/passwd")
        elif change == "cut":
            os.truncate(part, 3)
        elif change == "longer":
            os.truncate(part, 30)
        else:
            part.write_bytes(b"WRITTEN")
        with pytest.raises(SinkError, match="changed by another program"):
            await sink.finish(summarise)
    assert not path.exists()
    assert not manifest_path(path).exists()


async def test_a_part_with_a_second_name_is_refused(path: Path) -> None:
    """A hard link would let an export pour into somebody's other file."""
    other = path.parent / "other"
    other.write_bytes(b"mine")
    part_path(path).hardlink_to(other)
    with pytest.raises(SinkError, match="not this user's alone"):
        async with FileSink(path):
            pass
    assert other.read_bytes() == b"mine"


async def test_a_second_sink_of_the_same_output_is_refused(path: Path) -> None:
    """One output, one writer: the second is refused at once and harms nothing."""
    async with FileSink(path) as sink:
        await sink.append(frame(b"first"))
        with pytest.raises(SinkError, match="another export is writing"):
            async with FileSink(path):
                pass
        await sink.append(frame(b" writer"))
        await sink.finish(summarise)
    assert path.read_bytes() == b"first writer"
    async with FileSink(path):
        pass


@pytest.mark.parametrize("obstacle", ["link", "folder", "pipe", "no folder"])
async def test_what_is_no_plain_file_is_refused(obstacle: str, path: Path) -> None:
    """A part that is a link, a folder or a pipe, or that has no folder, is a failure of the destination."""
    part = part_path(path)
    if obstacle == "link":
        part.symlink_to(path.parent / "elsewhere")
    elif obstacle == "folder":
        part.mkdir()
    elif obstacle == "pipe":
        os.mkfifo(part)
    else:
        path = path.parent / "not there" / path.name
    with pytest.raises(SinkError) as caught:
        async with FileSink(path):
            pass
    assert caught.value.path == part_path(path)
    assert not (path.parent / "elsewhere").exists()


async def test_a_name_that_is_taken_by_a_folder_is_a_failure_of_the_destination(path: Path) -> None:
    """The rename fails with the file's name in the error, and the part stays."""
    async with FileSink(path) as sink:
        await sink.append(frame(b"kept"))
        path.mkdir()
        with pytest.raises(SinkError) as caught:
            await sink.finish(summarise)
    assert caught.value.path == path
    assert part_path(path).read_bytes() == b"kept"


async def test_a_cancelled_write_is_whole(path: Path) -> None:
    """A write that has begun is finished before the cancellation goes on."""
    content = bytes(64 << 20)
    async with FileSink(path) as sink:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sink.append, frame(content))
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert part_path(path).stat().st_size in (0, len(content))
        await sink.append(frame(b"more"))
        summary = (await sink.finish(summarise)).files[0]
    assert path.stat().st_size == summary.bytes
    assert summary.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


async def test_cancelled_while_it_opens_it_leaves_nothing_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When entering the block is cancelled, the part is neither open nor locked afterwards."""
    locking, release = threading.Event(), threading.Event()
    lock = fcntl.flock

    def slow_lock(descriptor: int, operation: int) -> None:
        locking.set()
        release.wait(60)
        lock(descriptor, operation)

    async def write() -> None:
        async with FileSink(path) as sink:
            await anyio.sleep_forever()
            await sink.append(frame(b"never"))

    monkeypatch.setattr(fcntl, "flock", slow_lock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        while not locking.is_set():
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
        release.set()
    os.close(await anyio.to_thread.run_sync(open_locked, part_path(path)))


LIMITED = textwrap.dedent("""
    import asyncio, pathlib, resource, signal, sys
    import exporter
    from exporter.model import Frame
    from exporter.sink.file import FileSink

    async def main(path):
        async with FileSink(path) as sink:
            await sink.append(Frame(b"a" * 60_000, 1, 60_000))
            try:
                await sink.append(Frame(b"b" * 60_000, 1, 60_000))
            except exporter.SinkError as error:
                print(error.path, "|", error, "|", type(error.__cause__).__name__)

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    asyncio.run(main(pathlib.Path(sys.argv[1])))
""")


def test_a_destination_without_room_is_a_failure_of_the_destination(path: Path) -> None:
    """A write that the system cuts short and then refuses names the part; what fitted stays, and no file appears."""
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, check=True, timeout=60)
    where, sentence, cause = done.stdout.decode().strip().split(" | ")
    assert where == str(part_path(path))
    assert "File too large" in sentence
    assert cause == "OSError"
    assert part_path(path).stat().st_size == 100_000
    assert not path.exists()
