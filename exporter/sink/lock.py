"""One output, one process: locks of the operating system, which go when their holder does."""

import fcntl
import os
from pathlib import Path

from exporter.errors import SinkError
from exporter.sink.checkpoint import Checkpoint
from exporter.sink.durable import open_private
from exporter.sink.place import Place


def lock_output(place: Place, found: Checkpoint | None) -> int:
    """Take an output for this process.

    A folder is locked as such; a single file by its part or, once that has its
    name, by itself.

    Args:
        place: the output.
        found: the checkpoint that stands there.

    Returns:
        The descriptor that holds the lock until it is closed.

    Raises:
        SinkError: another process has it.
        FileNotFoundError: a file is not there of which the checkpoint speaks.
    """
    if place.parts:
        return open_locked_folder(place.path)
    part, file = place.part(1), place.file(1)
    if found and found.files and not part.exists():
        return open_locked(file, create=False)
    has_bytes = found is not None and found.figures.position.written_bytes > 0
    descriptor = open_locked(part, create=not has_bytes)
    try:
        _refuse_locked(file)  # by an export that has given it its name, but not its manifest yet
    except BaseException:
        if not has_bytes and not os.fstat(descriptor).st_size:  # it would be taken for that export's data
            part.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return descriptor


def refuse_locked_output(place: Place) -> None:
    """Refuse an output that another process has; it is not taken.

    Raises:
        SinkError: one has it.
    """
    for path in (place.path,) if place.parts else (place.part(1), place.file(1)):
        _refuse_locked(path)


def open_locked(path: Path, *, create: bool = True) -> int:
    """Open a file as `open_private` does, for this process alone.

    Raises:
        SinkError: another process has it.
    """
    return _locked(open_private(path, create=create), path)


def open_locked_folder(path: Path) -> int:
    """Open a folder for this process alone.

    Raises:
        SinkError: another process has it.
    """
    return _locked(_open_for_reading(path, os.O_DIRECTORY), path)


def _refuse_locked(path: Path) -> None:
    if path.exists():
        os.close(_locked(_open_for_reading(path), path))


def _open_for_reading(path: Path, more_flags: int = 0) -> int:
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | more_flags)


def _locked(descriptor: int, path: Path) -> int:
    """Lock what has been opened; close it when that fails."""
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
