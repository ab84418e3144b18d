"""Files that hold personal data and survive a crash: opened privately, replaced atomically.

Everything here blocks: call it in a thread.
"""

import fcntl
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import SinkError

_PRIVATE = 0o600


@contextmanager
def writing(path: Path | None) -> Iterator[None]:
    """Turn an `OSError` of the block into a `SinkError` that names the destination."""
    try:
        yield
    except OSError as exc:
        what = "stdout" if path is None else f"{str(path)!r}"
        reason = exc.strerror or type(exc).__name__
        raise SinkError(
            f"cannot write to {what}: {reason}; mend that and run the same command again", path=path
        ) from exc


def open_private(path: Path) -> int:
    """Open a file for writing, made if need be: a regular one, ours alone, never through a link of either kind.

    Raises:
        SinkError: it is something else.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, _PRIVATE)
    try:
        _check_ours(path, os.fstat(descriptor))
        os.fchmod(descriptor, _PRIVATE)  # an older file may have been open to others
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_ours(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SinkError(f"{str(path)!r} is not a regular file", path=path)
    if status.st_nlink > 1 or status.st_uid != os.geteuid():
        raise SinkError(f"{str(path)!r} is not this user's alone: move it away", path=path)


def open_locked(path: Path) -> int:
    """Open a file as `open_private` does, for this process alone: the lock goes when the process does.

    Raises:
        SinkError: another process has it.
    """
    descriptor = open_private(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its holder may have finished and renamed it between our open and our lock.
        ours = os.path.samestat(os.fstat(descriptor), path.lstat())
    except (BlockingIOError, FileNotFoundError):
        ours = False
    except BaseException:
        os.close(descriptor)
        raise
    if not ours:
        os.close(descriptor)
        raise SinkError(f"another export is writing {str(path)!r}: let it finish, or stop it", path=path)
    return descriptor


def put_in_place(pending: Path, path: Path) -> None:
    """Give a file that is on disk its name, in place of what had it.

    Durability:
        It has the name on disk when this returns. Whatever dies before leaves
        the old file, or none.
    """
    pending.replace(path)
    sync_folder(path)


def prepare_file(path: Path, content: bytes) -> Path:
    """Write what is to stand at `path` beside it, to be renamed later.

    Durability:
        The content is on disk, under the name returned.
    """
    pending = pending_path(path)
    descriptor = open_private(pending)
    try:
        os.ftruncate(descriptor, 0)
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return pending


def pending_path(path: Path) -> Path:
    """Name a file while it is prepared."""
    return path.with_name(f"{path.name}.tmp")


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


def sync_folder(path: Path) -> None:
    """Make the names in a file's folder durable."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
