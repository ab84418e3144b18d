"""Free space on a disk, and the minimum of it that an export keeps."""

import os
from pathlib import Path

from exporter.errors import SinkError
from exporter.layout.disk_limits import FREE_SPACE, record, tolerating


class NoSpaceError(SinkError):
    """The next write would leave less free space than the minimum."""


def check_free_space(folder: Path, minimum: int, needed: int = 0) -> None:
    """Check that the disk of a folder keeps a minimum of free space.

    Args:
        folder: where something is written.
        minimum: bytes that are to stay free; 0 for no check.
        needed: bytes that are about to be written.

    Raises:
        NoSpaceError: it would keep less.
    """
    if not minimum or (free := free_bytes(folder)) is None or free - needed >= minimum:
        return
    after = f" and writing {needed:,} more would leave" if free >= minimum else ""
    raise NoSpaceError(
        f"{free:,} bytes are free in {str(folder)!r},{after} less than the minimum of {minimum:,}: "
        "free disk space, then run the same command again",
        path=folder,
    )


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes of a disk, None where it does not report them."""
    with tolerating(FREE_SPACE):
        disk = os.statvfs(folder)
        if disk.f_blocks:
            return disk.f_bavail * disk.f_frsize
        record(FREE_SPACE)
    return None
