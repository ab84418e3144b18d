"""One output, one process: locks of the operating system, which go when their holder does.

NFS takes an exclusive lock for writing: it needs a descriptor that can be
written to, which a folder never has. There a folder's lock is a hidden file.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from exporter.errors import SinkError
from exporter.layout.atomic import PROBE, open_private
from exporter.layout.checkpoint import Checkpoint
from exporter.layout.disk_limits import LOCKS, tolerating
from exporter.layout.paths import OutputPaths

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def lock_output(paths: OutputPaths, found: Checkpoint | None) -> int:
    """Take an output for this process.

    A folder is locked as such; a single file by its part or, once that has its
    name, by itself.

    Args:
        paths: the output.
        found: the checkpoint that stands there.

    Returns:
        The descriptor that holds the lock until it is closed.

    Raises:
        SinkError: another process has it.
        FileNotFoundError: a file is not there of which the checkpoint speaks.
    """
    if paths.is_folder:
        return open_locked_folder(paths.path)
    part, file = paths.part(1), paths.file(1)
    if found and found.files and not part.exists():
        return open_locked(file, create=False)
    has_bytes = found is not None and found.figures.position.written_bytes > 0
    is_new = not has_bytes and not part.exists()
    try:
        descriptor = open_locked(part, create=not has_bytes)
    except OSError:
        if is_new:
            part.unlink(missing_ok=True)
        raise
    try:
        _check_unlocked(file)  # by an export that has given it its name, but not its manifest yet
    except BaseException:
        if not has_bytes and not os.fstat(descriptor).st_size:  # it would be taken for that export's data
            part.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return descriptor


def check_unlocked(paths: OutputPaths) -> None:
    """Refuse an output that another process has; it is not taken.

    Raises:
        SinkError: one has it.
    """
    for path in (paths.path,) if paths.is_folder else (paths.part(1), paths.file(1)):
        _check_unlocked(path)


def open_locked(path: Path, *, create: bool = True) -> int:
    """Open a file as `open_private` does, for this process alone.

    Raises:
        SinkError: another process has it.
    """
    return _lock(open_private(path, create=create), path)


def open_locked_folder(path: Path) -> int:
    """Open a folder for this process alone.

    Raises:
        SinkError: another process has it.
    """
    try:
        return _lock(_open_for_reading(path, os.O_DIRECTORY), path)
    except OSError as exc:
        if exc.errno != errno.EBADF:
            raise
    return open_locked(_lock_file(path))


def release(locks: list[int], paths: OutputPaths) -> None:
    """Close the locks of an output, the first one last."""
    if locks and paths.is_folder and os.path.lexists(_lock_file(paths.path)):
        with suppress(OSError):
            _lock_file(paths.path).unlink()
    while locks:
        os.close(locks.pop())


def _lock_file(folder: Path) -> Path:
    return folder / f"{PROBE}lock"


def _check_unlocked(path: Path) -> None:
    if path.is_dir():
        release([open_locked_folder(path)], OutputPaths(path, "", is_folder=True))
    elif path.exists():
        try:
            os.close(_lock(_open_for_reading(path), path))
        except OSError as exc:
            if exc.errno != errno.EBADF:
                raise
            with suppress(PermissionError):  # no export is writing what cannot be written to
                os.close(_lock(os.open(path, _FLAGS | os.O_RDWR), path))


def _open_for_reading(path: Path, more_flags: int = 0) -> int:
    return os.open(path, os.O_RDONLY | _FLAGS | more_flags)


def _lock(descriptor: int, path: Path) -> int:
    """Lock what has been opened; close it when that fails."""
    try:
        with tolerating(LOCKS):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its holder may have finished and renamed it between our open and our lock.
        ours = os.path.samestat(os.fstat(descriptor), path.lstat())
    except (BlockingIOError, FileNotFoundError, PermissionError):  # the last on network disks
        ours = False
    except BaseException:
        os.close(descriptor)
        raise
    if not ours:
        os.close(descriptor)
        raise SinkError(f"another export is writing {str(path)!r}: let it finish, or stop it", path=path)
    return descriptor
