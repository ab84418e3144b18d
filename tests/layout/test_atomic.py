"""Files that hold personal data: opened privately, alone, and replaced whole or not at all."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter import SinkError
from exporter.destination.lock import open_locked, open_locked_folder
from exporter.layout.atomic import (
    open_private,
    os_errors_as_sink_errors,
    remove,
    replace_durably,
    sync,
    sync_folder,
    write_all,
    write_temporary,
)

Opens = Callable[[Path], int]
both = pytest.mark.parametrize("opens", [open_private, open_locked])


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place whole or not at all, as every finished file is."""
    replace_durably(write_temporary(path, content), path)


def mode_of(path: Path) -> int:
    """Give a file's permissions."""
    return path.stat().st_mode & 0o777


@both
def test_a_new_file_is_for_its_owner_alone(opens: Opens, tmp_path: Path) -> None:
    """Whatever the umask, nobody else can read it."""
    before = os.umask(0)
    try:
        os.close(opens(tmp_path / "new"))
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "new") == 0o600


@both
def test_an_older_file_becomes_private_and_keeps_its_content(opens: Opens, tmp_path: Path) -> None:
    """Opening takes away others' permissions and nothing else."""
    path = tmp_path / "old"
    path.write_bytes(b"kept")
    path.chmod(0o666)
    os.close(opens(path))
    assert mode_of(path) == 0o600
    assert path.read_bytes() == b"kept"


@both
def test_what_is_opened_can_be_read_and_written(opens: Opens, tmp_path: Path) -> None:
    """A part that goes on is read first, to check it."""
    (tmp_path / "x").write_bytes(b"older")
    descriptor = opens(tmp_path / "x")
    assert os.read(descriptor, 10) == b"older"
    write_all(descriptor, b" and newer")
    os.close(descriptor)
    assert (tmp_path / "x").read_bytes() == b"older and newer"


@pytest.mark.parametrize("opens", [open_private, open_locked])
def test_a_file_that_must_be_there_is_not_made(opens: Callable[..., int], tmp_path: Path) -> None:
    """What a checkpoint speaks of is opened, never begun."""
    with pytest.raises(FileNotFoundError):
        opens(tmp_path / "x", create=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x").write_bytes(b"")
    os.close(opens(tmp_path / "x", create=False))


@both
@pytest.mark.parametrize("target", ["there", "not there"])
def test_a_symbolic_link_is_not_followed(opens: Opens, target: str, tmp_path: Path) -> None:
    """What a link points to is neither made nor touched."""
    (tmp_path / "there").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(SinkError) as caught, os_errors_as_sink_errors(tmp_path / "link"):
        opens(tmp_path / "link")
    assert caught.value.path == tmp_path / "link"
    assert (tmp_path / "there").read_bytes() == b"kept"
    assert not (tmp_path / "not there").exists()


@both
def test_a_pipe_is_no_file(opens: Opens, tmp_path: Path) -> None:
    """A named pipe is refused, with a reader and without, and nobody waits for one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SinkError), os_errors_as_sink_errors(pipe):
        opens(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(SinkError, match="not a regular file"), os_errors_as_sink_errors(pipe):
            opens(pipe)
    finally:
        os.close(reader)


@both
@pytest.mark.parametrize("place", ["", "/dev/null"])
def test_a_folder_or_a_device_is_no_file(opens: Opens, place: str, tmp_path: Path) -> None:
    """Only regular files are written to."""
    path = tmp_path / place
    with pytest.raises(SinkError) as caught, os_errors_as_sink_errors(path):
        opens(path)
    assert caught.value.path == path


def test_nothing_stays_open_after_a_refusal(tmp_path: Path) -> None:
    """A file that is refused is closed again."""
    open_files = Path("/proc/self/fd")
    if not open_files.exists():
        pytest.skip("needs /proc")
    before = len(list(open_files.iterdir()))
    held = open_locked(tmp_path / "held")
    for path in (Path("/dev/null"), tmp_path / "held"):
        with pytest.raises(SinkError):
            open_locked(path)
    os.close(held)
    assert len(list(open_files.iterdir())) == before


def test_a_system_whose_locks_fail_is_a_failure_of_the_destination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where locking a file fails it is not written, and not left open."""
    descriptors: list[int] = []

    def fail_to_lock(descriptor: int, _operation: int) -> None:
        descriptors.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", fail_to_lock)
    with pytest.raises(SinkError, match="Input/output error"), os_errors_as_sink_errors(tmp_path / "x"):
        open_locked(tmp_path / "x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    """The lock is held as long as the file is open."""
    path = tmp_path / "x.part"
    first = open_locked(path)
    with pytest.raises(SinkError, match="another export is writing") as caught:
        open_locked(path)
    assert caught.value.path == path
    os.close(first)
    os.close(open_locked(path))


def test_a_writer_in_another_process_is_refused(tmp_path: Path) -> None:
    """The lock holds between processes, and is gone with the one that had it."""
    path = tmp_path / "x.part"
    program = "import sys, pathlib, exporter.destination.lock as d; d.open_locked(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", f"{program}; print('held', flush=True); sys.stdin.read()", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(SinkError, match="another export"):
            open_locked(path)
        holder.kill()
    os.close(open_locked(path))


def test_a_folder_is_for_one_writer_at_a_time(tmp_path: Path) -> None:
    """The lock on a folder holds as long as it is open, and leaves locks on files in it alone."""
    first = open_locked_folder(tmp_path)
    with pytest.raises(SinkError, match="another export is writing") as caught:
        open_locked_folder(tmp_path)
    assert caught.value.path == tmp_path
    os.close(open_locked(tmp_path / "x"))
    os.close(first)
    os.close(open_locked_folder(tmp_path))


@pytest.mark.parametrize("obstacle", ["a file", "a link", "nothing"])
def test_only_a_folder_is_locked_as_one(obstacle: str, tmp_path: Path) -> None:
    """A file or a link in a folder's place is a failure of the destination, and so is nothing at all."""
    path = tmp_path / "out"
    if obstacle == "a file":
        path.write_bytes(b"")
    elif obstacle == "a link":
        (tmp_path / "folder").mkdir()
        path.symlink_to(tmp_path / "folder")
    with pytest.raises(SinkError), os_errors_as_sink_errors(path):
        open_locked_folder(path)


@pytest.mark.parametrize("fate", ["renamed", "replaced"])
def test_a_lock_on_a_file_that_lost_its_name_is_worth_nothing(
    fate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was finished between being opened and being locked is left alone."""
    path = tmp_path / "x.part"
    real_open = os.open

    def open_and_lose(name: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real_open(name, flags, mode)
        path.rename(tmp_path / "x")
        if fate == "replaced":
            path.write_bytes(b"of another export")
        return descriptor

    monkeypatch.setattr(os, "open", open_and_lose)
    with pytest.raises(SinkError, match="another export"):
        open_locked(path)


def test_everything_is_written_however_little_is_taken_at_a_time() -> None:
    """A pipe takes what fits, and write_all goes on with the rest."""
    content = os.urandom(1_000_000)
    readable, writable = os.pipe()
    received = bytearray()

    def read() -> None:
        while piece := os.read(readable, 10_007):
            received.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    write_all(writable, content)
    os.close(writable)
    reader.join()
    os.close(readable)
    assert bytes(received) == content


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes seven bytes a call gets all of them, in order."""
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: real_write(descriptor, content[:7]))
    descriptor = open_private(tmp_path / "x")
    write_all(descriptor, bytes(range(256)))
    write_all(descriptor, b"")
    os.close(descriptor)
    assert (tmp_path / "x").read_bytes() == bytes(range(256))


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """The new content stands under the name, private, and nothing else is left."""
    path = tmp_path / "manifest.json"
    for content in (b"first, and longer", b"second", b""):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write", "fsync", "ftruncate"])
def test_a_failed_replacement_leaves_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails on the way, the old content stays, and the next attempt succeeds."""
    path = tmp_path / "manifest.json"
    replace_file(path, b"old")

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises((OSError, SinkError)):
            replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_link_beside_the_file_is_not_written_through(tmp_path: Path) -> None:
    """The temporary file is no way to a file elsewhere; a link under the final name is replaced, not followed."""
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / "a.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises((OSError, SinkError)):
        replace_file(tmp_path / "a", b"new")
    (tmp_path / "b").symlink_to(tmp_path / "victim")
    replace_file(tmp_path / "b", b"new")
    assert (tmp_path / "victim").read_bytes() == b"kept"
    assert not (tmp_path / "b").is_symlink()


def test_a_prepared_file_waits_under_another_name(tmp_path: Path) -> None:
    """What is prepared is whole and private before anybody finds it under its name."""
    pending = write_temporary(tmp_path / "a.json", b"whole")
    assert pending == tmp_path / "a.json.tmp"
    assert pending.read_bytes() == b"whole"
    assert mode_of(pending) == 0o600
    replace_durably(pending, tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def test_a_file_is_removed_if_it_is_there(tmp_path: Path) -> None:
    """Removing twice is as good as once."""
    (tmp_path / "x").write_bytes(b"")
    remove(tmp_path / "x")
    remove(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_names_and_data_are_brought_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data through its own descriptor, names through one of their folder, which is closed again."""
    synced: list[int] = []
    inodes: list[int] = []

    def watched(descriptor: int) -> None:
        synced.append(descriptor)
        inodes.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(sys, "platform", "linux")
    descriptor = open_private(tmp_path / "x")
    sync(descriptor)
    os.close(descriptor)
    sync_folder(tmp_path)
    assert inodes == [(tmp_path / "x").stat().st_ino, tmp_path.stat().st_ino]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(synced[1])
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "not there")


def test_where_a_disk_has_a_cache_of_its_own_it_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS fsync() stops short of the disk: another call is used there."""
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda descriptor, operation: calls.append((descriptor, operation)))
    sync(7)
    assert calls == [(7, 51)]


@pytest.mark.parametrize(("path", "name"), [(None, "stdout"), (Path("dir/x"), "'dir/x'")])
def test_failures_of_the_system_are_named_by_their_destination(path: Path | None, name: str) -> None:
    """An OSError becomes a SinkError with the system's reason; other errors pass."""
    with (
        pytest.raises(SinkError, match=f"cannot write to {name}: No space left") as caught,
        os_errors_as_sink_errors(path),
    ):
        raise OSError(28, "No space left on device")
    assert caught.value.path == path
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(SinkError, match=r"cannot write to .*: OSError"), os_errors_as_sink_errors(path):
        raise OSError
    with pytest.raises(ValueError, match="other"), os_errors_as_sink_errors(path):
        raise ValueError("other")
