"""Locks that let only one process write an output. The operating system releases them when the process ends.

On NFS an exclusive lock needs a descriptor that is open for writing, and a
folder cannot be opened for writing. On NFS we lock a hidden file in the folder.
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


def lock_output(paths: OutputPaths, checkpoint: Checkpoint | None) -> int:
    """Lock an output for this process.

    The lock of a folder output is on the folder. The lock of a single file is on
    its part or, after the part has the final name, on the file.

    Args:
        paths: the paths of the output.
        checkpoint: the existing checkpoint, None if there is none.

    Returns:
        The descriptor that holds the lock until it is closed.

    Raises:
        SinkError: another process has locked the output.
        FileNotFoundError: a file that the checkpoint lists is missing.
    """
    if paths.is_folder:
        return open_locked_folder(paths.path)
    part, file = paths.part(1), paths.file(1)
    if checkpoint and checkpoint.files and not part.exists():
        return open_locked(file, create=False)
    has_bytes = checkpoint is not None and checkpoint.figures.position.written_bytes > 0
    is_new = not has_bytes and not part.exists()
    try:
        descriptor = open_locked(part, create=not has_bytes)
    except OSError:
        if is_new:
            part.unlink(missing_ok=True)
        raise
    try:
        _check_unlocked(file)  # another export may have renamed its part to this, and not yet written the manifest
    except BaseException:
        if not has_bytes and not os.fstat(descriptor).st_size:  # else a later run takes it for that export's part
            part.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return descriptor


def check_unlocked(paths: OutputPaths) -> None:
    """Check that no other process has locked an output. Do not keep a lock on it.

    Raises:
        SinkError: another process has locked it.
    """
    for path in (paths.path,) if paths.is_folder else (paths.part(1), paths.file(1)):
        _check_unlocked(path)


def open_locked(path: Path, *, create: bool = True) -> int:
    """Open a file as `open_private` does and lock it.

    Raises:
        SinkError: another process has locked it.
    """
    return _lock(open_private(path, create=create), path)


def open_locked_folder(path: Path) -> int:
    """Open a folder and lock it; on NFS, open and lock a hidden file in it.

    Raises:
        SinkError: another process has locked it.
    """
    try:
        return _lock(_open_for_reading(path, os.O_DIRECTORY), path)
    except OSError as exc:
        if exc.errno != errno.EBADF:
            raise
    return open_locked(_lock_file(path))


def release(locks: list[int], paths: OutputPaths) -> None:
    """Release the locks of an output, the first one last."""
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
            with suppress(PermissionError):  # without write permission no export can be writing the file
                os.close(_lock(os.open(path, _FLAGS | os.O_RDWR), path))


def _open_for_reading(path: Path, extra_flags: int = 0) -> int:
    return os.open(path, os.O_RDONLY | _FLAGS | extra_flags)


def _lock(descriptor: int, path: Path) -> int:
    """Lock an open file and return its descriptor. If that fails, close the descriptor.

    Raises:
        SinkError: another process has locked the file.
    """
    try:
        with tolerating(LOCKS):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have finished its export and renamed the file between our open and our lock.
        is_locked = os.path.samestat(os.fstat(descriptor), path.lstat())
    except (BlockingIOError, FileNotFoundError, PermissionError):  # network disks raise PermissionError
        is_locked = False
    except BaseException:
        os.close(descriptor)
        raise
    if not is_locked:
        os.close(descriptor)
        raise SinkError(f"another export is writing {str(path)!r}: let it finish, or stop it", path=path)
    return descriptor
