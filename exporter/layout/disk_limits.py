"""Limits of a file system: network and FUSE file systems reject some operations that local disks support.

Such an error does not mean that the disk fails. If the export can do without the
operation, it continues; the limit is recorded and reported once per run.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LOCKS, FOLDER_SYNC, FILE_SYNC, MODES, FREE_SPACE = "locks", "folder_sync", "file_sync", "modes", "free_space"

_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_REFUSED = {errno.EACCES, errno.EPERM}
_ERRNOS = {
    LOCKS: _UNSUPPORTED | {errno.ENOLCK, errno.EPERM},  # EACCES: another process has the lock
    FOLDER_SYNC: _UNSUPPORTED | _REFUSED | {errno.EBADF, errno.EISDIR},
    FILE_SYNC: _UNSUPPORTED,
    MODES: _UNSUPPORTED | _REFUSED,
    FREE_SPACE: _UNSUPPORTED | _REFUSED,
}
_recorded: ContextVar[set[str] | None] = ContextVar("recorded", default=None)


@contextmanager
def recording(limits: set[str]) -> Iterator[None]:
    """Add each limit that the block encounters to a set."""
    token = _recorded.set(limits)
    try:
        yield
    finally:
        _recorded.reset(token)


def record_in(limits: set[str]) -> None:
    """Add each limit that this thread encounters from now on to a set."""
    _recorded.set(limits)


def record(limit: str) -> None:
    """Add a limit to the set of this thread or block, if there is one."""
    if (limits := _recorded.get()) is not None:
        limits.add(limit)


@contextmanager
def tolerating(limit: str) -> Iterator[None]:
    """Record a limit if the block fails because the file system does not support an operation.

    Raises:
        OSError: the block failed for any other reason.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno not in _ERRNOS[limit]:
            raise
        record(limit)
