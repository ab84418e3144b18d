"""Files that hold personal data and survive a crash: opened privately, replaced atomically.

Everything here blocks: call it in a thread.
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

_PRIVATE, _OTHERS = 0o600, 0o077
PROBE = ".intercom-exporter-"
"""How the names of our own hidden files begin."""


@contextmanager
def os_errors_as_sink_errors(path: Path | None) -> Iterator[None]:
    """Turn an `OSError` of the block into a `SinkError` that names the destination."""
    try:
        yield
    except OSError as exc:
        what = "stdout" if path is None else f"{str(path)!r}"
        reason = exc.strerror or type(exc).__name__
        raise SinkError(
            f"cannot write to {what}: {reason}; fix that and run the same command again", path=path
        ) from exc


def open_private(path: Path, *, create: bool = True) -> int:
    """Open a file for reading and writing: a regular one, ours alone, never through a link of either kind.

    Raises:
        SinkError: it is something else.
        FileNotFoundError: it is not there, and is not to be made.
    """
    # Appending: when somebody else cuts it meanwhile, its length tells.
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags | (os.O_CREAT if create else 0), _PRIVATE)
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
        raise SinkError(f"{str(path)!r} is not this user's alone: move it away", path=path)


def _is_owned(folder: Path, owner: int) -> bool:
    """Return whether a file's owner is this user, or the one that the file system gives all our files to."""
    if owner == os.geteuid():
        return True
    descriptor, name = tempfile.mkstemp(prefix=PROBE, dir=folder)
    try:
        return os.fstat(descriptor).st_uid == owner
    finally:
        os.close(descriptor)
        remove(Path(name))


def _make_private(descriptor: int) -> None:
    """Take what others may do with a file from them: an older one may have been open to them."""
    if stat.S_IMODE(os.fstat(descriptor).st_mode) == _PRIVATE:
        return
    with recording(set()), tolerating(MODES):  # what counts is the mode that it has then
        os.fchmod(descriptor, _PRIVATE)
    if os.fstat(descriptor).st_mode & _OTHERS:
        record(MODES)


def replace_durably(pending: Path, path: Path) -> None:
    """Give a file that is on disk its name, in place of what had it.

    Durability:
        It has the name on disk when this returns. Whatever dies before leaves
        the old file, or none.
    """
    pending.replace(path)
    sync_folder(path.parent)


def write_temporary(path: Path, content: bytes) -> Path:
    """Write what is to stand at `path` beside it, to be renamed later.

    Durability:
        The content is on disk, under the name returned.
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
    """Remove a file, if it is there. Durable only after `sync_folder`."""
    path.unlink(missing_ok=True)


def sync(descriptor: int) -> None:
    """Bring what was written to the disk itself, past its own cache where the system can."""
    with tolerating(FILE_SYNC):
        if sys.platform == "darwin" and _sync_past_cache(descriptor):
            return
        os.fsync(descriptor)


def _sync_past_cache(descriptor: int) -> bool:
    """Return whether the system could; macOS cannot on network disks."""
    try:
        fcntl.fcntl(descriptor, getattr(fcntl, "F_FULLFSYNC", 0))
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY):
            raise
        return False
    return True


def write_all(descriptor: int, content: bytes) -> None:
    """Write everything, however little the system takes at a time."""
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # somebody who shares the descriptor made it non-blocking
            room = select.poll()
            room.register(descriptor, select.POLLOUT)
            room.poll()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the file system can."""
    with tolerating(FOLDER_SYNC):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
