"""Files with personal data: opened privately, locked, and replaced completely or not at all."""

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
both_openers = pytest.mark.parametrize("opens", [open_private, open_locked])


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file completely or not at all, as an export finishes its files."""
    replace_durably(write_temporary(path, content), path)


def mode_of(path: Path) -> int:
    """Return a file's permissions."""
    return path.stat().st_mode & 0o777


@both_openers
def test_open_of_new_file_makes_it_private(opens: Opens, tmp_path: Path) -> None:
    """No other user can read it, whatever the umask."""
    before = os.umask(0)
    try:
        os.close(opens(tmp_path / "new"))
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "new") == 0o600


@both_openers
def test_open_of_existing_file_makes_it_private_and_keeps_content(opens: Opens, tmp_path: Path) -> None:
    """Opening removes the permissions of other users and nothing else."""
    path = tmp_path / "old"
    path.write_bytes(b"kept")
    path.chmod(0o666)
    os.close(opens(path))
    assert mode_of(path) == 0o600
    assert path.read_bytes() == b"kept"


@both_openers
def test_open_of_existing_file_allows_reading_and_writing(opens: Opens, tmp_path: Path) -> None:
    """A resumed part is read first, for a check."""
    (tmp_path / "x").write_bytes(b"older")
    descriptor = opens(tmp_path / "x")
    assert os.read(descriptor, 10) == b"older"
    write_all(descriptor, b" and newer")
    os.close(descriptor)
    assert (tmp_path / "x").read_bytes() == b"older and newer"


@pytest.mark.parametrize("opens", [open_private, open_locked])
def test_open_without_create_of_missing_file_is_refused(opens: Callable[..., int], tmp_path: Path) -> None:
    """A file that a checkpoint lists is opened, never created."""
    with pytest.raises(FileNotFoundError):
        opens(tmp_path / "x", create=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x").write_bytes(b"")
    os.close(opens(tmp_path / "x", create=False))


@both_openers
@pytest.mark.parametrize("target", ["there", "not there"])
def test_open_of_symbolic_link_is_refused(opens: Opens, target: str, tmp_path: Path) -> None:
    """The target of the link is neither created nor changed."""
    (tmp_path / "there").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(SinkError) as caught, os_errors_as_sink_errors(tmp_path / "link"):
        opens(tmp_path / "link")
    assert caught.value.path == tmp_path / "link"
    assert (tmp_path / "there").read_bytes() == b"kept"
    assert not (tmp_path / "not there").exists()


@both_openers
def test_open_of_pipe_is_refused(opens: Opens, tmp_path: Path) -> None:
    """This holds with and without a reader; open does not wait for one."""
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


@both_openers
@pytest.mark.parametrize("place", ["", "/dev/null"])
def test_open_of_folder_or_device_is_refused(opens: Opens, place: str, tmp_path: Path) -> None:
    """The exporter writes only to regular files."""
    path = tmp_path / place
    with pytest.raises(SinkError) as caught, os_errors_as_sink_errors(path):
        opens(path)
    assert caught.value.path == path


def test_open_locked_that_is_refused_closes_the_file(tmp_path: Path) -> None:
    """No descriptor stays open."""
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


def test_open_locked_with_failing_lock_raises_sink_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is not left open."""
    descriptors: list[int] = []

    def fail_to_lock(descriptor: int, _operation: int) -> None:
        descriptors.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", fail_to_lock)
    with pytest.raises(SinkError, match="Input/output error"), os_errors_as_sink_errors(tmp_path / "x"):
        open_locked(tmp_path / "x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])


def test_open_locked_of_locked_file_is_refused_until_it_is_closed(tmp_path: Path) -> None:
    """The lock is held as long as the file is open."""
    path = tmp_path / "x.part"
    first = open_locked(path)
    with pytest.raises(SinkError, match="another export is writing") as caught:
        open_locked(path)
    assert caught.value.path == path
    os.close(first)
    os.close(open_locked(path))


def test_open_locked_of_file_locked_by_another_process_is_refused(tmp_path: Path) -> None:
    """The lock holds between processes, and ends with the process that holds it."""
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


def test_open_locked_folder_of_locked_folder_is_refused(tmp_path: Path) -> None:
    """The lock on a folder ends when it is closed, and does not lock the files in it."""
    first = open_locked_folder(tmp_path)
    with pytest.raises(SinkError, match="another export is writing") as caught:
        open_locked_folder(tmp_path)
    assert caught.value.path == tmp_path
    os.close(open_locked(tmp_path / "x"))
    os.close(first)
    os.close(open_locked_folder(tmp_path))


@pytest.mark.parametrize("obstacle", ["a file", "a link", "nothing"])
def test_open_locked_folder_of_anything_else_is_refused(obstacle: str, tmp_path: Path) -> None:
    """A file, a link or a missing folder raises a SinkError."""
    path = tmp_path / "out"
    if obstacle == "a file":
        path.write_bytes(b"")
    elif obstacle == "a link":
        (tmp_path / "folder").mkdir()
        path.symlink_to(tmp_path / "folder")
    with pytest.raises(SinkError), os_errors_as_sink_errors(path):
        open_locked_folder(path)


@pytest.mark.parametrize("fate", ["renamed", "replaced"])
def test_open_locked_of_file_renamed_before_the_lock_is_refused(
    fate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that another export finishes between open and lock is left alone."""
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


def test_write_all_to_pipe_writes_everything() -> None:
    """A pipe accepts only what fits, and write_all continues with the rest."""
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


def test_write_all_with_short_writes_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system accepts seven bytes per call, and all bytes arrive in order."""
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: real_write(descriptor, content[:7]))
    descriptor = open_private(tmp_path / "x")
    write_all(descriptor, bytes(range(256)))
    write_all(descriptor, b"")
    os.close(descriptor)
    assert (tmp_path / "x").read_bytes() == bytes(range(256))


def test_replace_durably_leaves_only_the_new_content(tmp_path: Path) -> None:
    """The new content has the final name and is private, and no temporary file is left."""
    path = tmp_path / "manifest.json"
    for content in (b"first, and longer", b"second", b""):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write", "fsync", "ftruncate"])
def test_replace_durably_that_fails_keeps_the_old_file(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any failure the old content stays, and the next attempt succeeds."""
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


def test_replace_durably_with_links_writes_through_none(tmp_path: Path) -> None:
    """A link with the temporary name is refused; a link with the final name is replaced, not followed."""
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / "a.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises((OSError, SinkError)):
        replace_file(tmp_path / "a", b"new")
    (tmp_path / "b").symlink_to(tmp_path / "victim")
    replace_file(tmp_path / "b", b"new")
    assert (tmp_path / "victim").read_bytes() == b"kept"
    assert not (tmp_path / "b").is_symlink()


def test_write_temporary_uses_another_name(tmp_path: Path) -> None:
    """The content is complete and private before the file gets its final name."""
    pending = write_temporary(tmp_path / "a.json", b"whole")
    assert pending == tmp_path / "a.json.tmp"
    assert pending.read_bytes() == b"whole"
    assert mode_of(pending) == 0o600
    replace_durably(pending, tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def test_remove_of_missing_file_does_nothing(tmp_path: Path) -> None:
    """A second removal has no effect."""
    (tmp_path / "x").write_bytes(b"")
    remove(tmp_path / "x")
    remove(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_sync_flushes_data_and_sync_folder_flushes_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's descriptor is closed again."""
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


def test_sync_on_macos_uses_full_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS fsync() does not flush the cache of the disk, so sync() uses another call."""
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda descriptor, operation: calls.append((descriptor, operation)))
    sync(7)
    assert calls == [(7, 51)]


@pytest.mark.parametrize(("path", "name"), [(None, "stdout"), (Path("dir/x"), "'dir/x'")])
def test_os_errors_as_sink_errors_names_the_destination(path: Path | None, name: str) -> None:
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
