"""What a file system lacks: network and FUSE file systems refuse operations that local disks have.

Such a refusal is no failure of the disk. Where nothing depends on the operation
the export continues; what is missing is recorded, and reported once a run.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LOCKS, FOLDER_SYNC, FILE_SYNC, MODES, FREE_SPACE = "locks", "folder_sync", "file_sync", "modes", "free_space"

_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_REFUSED = {errno.EACCES, errno.EPERM}
_CODES = {
    LOCKS: _UNSUPPORTED | {errno.ENOLCK, errno.EPERM},  # EACCES: another process has the lock
    FOLDER_SYNC: _UNSUPPORTED | _REFUSED | {errno.EBADF, errno.EISDIR},
    FILE_SYNC: _UNSUPPORTED,
    MODES: _UNSUPPORTED | _REFUSED,
    FREE_SPACE: _UNSUPPORTED | _REFUSED,
}
_recorded: ContextVar[set[str] | None] = ContextVar("recorded", default=None)


@contextmanager
def recording(limits: set[str]) -> Iterator[None]:
    """Add each limit that the block meets to a set."""
    token = _recorded.set(limits)
    try:
        yield
    finally:
        _recorded.reset(token)


def record_in(limits: set[str]) -> None:
    """Add each limit that this thread meets from now on to a set."""
    _recorded.set(limits)


def record(limit: str) -> None:
    """Record a limit."""
    if (limits := _recorded.get()) is not None:
        limits.add(limit)


@contextmanager
def tolerating(limit: str) -> Iterator[None]:
    """Record a limit where the block fails because the file system lacks an operation; other failures leave."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in _CODES[limit]:
            raise
        record(limit)
