"""Durable files with personal data: private to the user, synced to disk, replaced atomically.

Every function blocks: call it in a thread.
"""

import errno
import fcntl
import os
import select
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import SinkError
from exporter.layout.disk_limits import FILE_SYNC, FOLDER_SYNC, MODES, record, recording, tolerating
from exporter.layout.paths import temporary_path

_PRIVATE_MODE, _OTHERS_MASK = 0o600, 0o077
PROBE = ".intercom-exporter-"
"""The prefix of the names of our hidden files."""


@contextmanager
def os_errors_as_sink_errors(path: Path | None) -> Iterator[None]:
    """Translate an `OSError` of the block into a `SinkError` that names the destination.

    Args:
        path: path of the destination, None for standard output.
    """
    try:
        yield
    except OSError as exc:
        name = "stdout" if path is None else f"{str(path)!r}"
        reason = exc.strerror or type(exc).__name__
        advice = "fix the problem"
        if exc.errno in (errno.EMFILE, errno.ENFILE):
            advice = "raise the limit of open files (ulimit -n; with --cursors, each cursor needs one),"
        raise SinkError(
            f"cannot write to {name}: {reason}; {advice} and run the same command again", path=path
        ) from exc


def open_private(path: Path, *, create: bool = True) -> int:
    """Open a private regular file for reading and writing; never follow a symbolic link.

    Args:
        path: path of the file.
        create: whether to create a missing file.

    Raises:
        SinkError: the path is not a regular file, or the file has other hard links or another owner.
        FileNotFoundError: the file is missing and `create` is false.
    """
    # With O_APPEND the file's length reveals that another program has truncated it.
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags | (os.O_CREAT if create else 0), _PRIVATE_MODE)
    try:
        _check_ours(path, os.fstat(descriptor))
        _make_private(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_ours(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SinkError(f"{str(path)!r} is not a regular file", path=path)
    if status.st_nlink > 1 or not _is_owned(path.parent, status.st_uid):
        raise SinkError(f"{str(path)!r} has other hard links or another owner: move it away", path=path)


def _is_owned(folder: Path, owner: int) -> bool:
    """Return whether the owner is this user, or the user to whom the file system assigns all new files."""
    if owner == os.geteuid():
        return True
    descriptor, name = tempfile.mkstemp(prefix=PROBE, dir=folder)
    try:
        return os.fstat(descriptor).st_uid == owner
    finally:
        os.close(descriptor)
        remove(Path(name))


def _make_private(descriptor: int) -> None:
    """Remove other users' permissions from a file; a file that existed before may have some."""
    if stat.S_IMODE(os.fstat(descriptor).st_mode) == _PRIVATE_MODE:
        return
    with recording(set()), tolerating(MODES):  # not recorded here: only the resulting mode matters
        os.fchmod(descriptor, _PRIVATE_MODE)
    if os.fstat(descriptor).st_mode & _OTHERS_MASK:
        record(MODES)


def replace_durably(pending: Path, path: Path) -> None:
    """Rename a synced file to its final name; replace the file that had this name.

    Durability:
        The new name is on disk when this returns. After a crash before that,
        the old file, or no file, has the name.
    """
    pending.replace(path)
    sync_folder(path.parent)


def write_temporary(path: Path, content: bytes) -> Path:
    """Write the future content of `path` to a temporary file beside it, and return that file's path.

    Durability:
        The content is on disk, in the temporary file, when this returns.
    """
    pending = temporary_path(path)
    descriptor = open_private(pending)
    try:
        os.ftruncate(descriptor, 0)
        write_all(descriptor, content)
        sync(descriptor)
    finally:
        os.close(descriptor)
    return pending


def remove(path: Path) -> None:
    """Remove a file if it exists.

    Durability:
        The removal is durable only after `sync_folder`.
    """
    path.unlink(missing_ok=True)


def sync(descriptor: int) -> None:
    """Sync a file to the disk; on macOS also flush the disk's own cache, if the file system supports that."""
    with tolerating(FILE_SYNC):
        if sys.platform == "darwin" and _sync_past_cache(descriptor):
            return
        os.fsync(descriptor)


def _sync_past_cache(descriptor: int) -> bool:
    """Flush the disk's own cache; return whether that is supported. On macOS, network disks do not support it."""
    try:
        fcntl.fcntl(descriptor, getattr(fcntl, "F_FULLFSYNC", 0))
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY):
            raise
        return False
    return True


def write_all(descriptor: int, content: bytes) -> None:
    """Write the complete content; repeat the call while the system writes only a part of it."""
    remaining = memoryview(content)
    while remaining:
        try:
            remaining = remaining[os.write(descriptor, remaining) :]
        except BlockingIOError:  # another process that shares the descriptor made it non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk, if the file system supports that."""
    with tolerating(FOLDER_SYNC):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
