"""Free space on a disk, and the minimum that an export leaves free."""

import os
from pathlib import Path

from exporter.errors import SinkError
from exporter.layout.disk_limits import FREE_SPACE, record, tolerating


class NoSpaceError(SinkError):
    """The next write would leave less free space than the minimum."""


class FreeSpace:
    """The minimum of free space that an output leaves on its disk.

    Args:
        folder: the folder of the output; it may not exist yet.
        minimum: bytes that stay free; 0 for no check.

    Attributes:
        reserved_bytes: bytes that a write leaves for files that follow it, besides the minimum.
    """

    def __init__(self, folder: Path, minimum: int) -> None:
        self._folder = folder
        self._minimum = minimum
        self.reserved_bytes = 0

    def check(self, needed: int = 0) -> None:
        """Check that the disk has enough free space.

        Args:
            needed: bytes that are about to be written.

        Raises:
            NoSpaceError: less than the minimum would stay free.
        """
        if not self._minimum:
            return
        folder = self._folder if self._folder.exists() else self._folder.parent
        needed += self.reserved_bytes if needed else 0
        if (free := free_bytes(folder)) is None or free - needed >= self._minimum:
            return
        after = f" and writing {needed:,} more would leave" if free >= self._minimum else ""
        raise NoSpaceError(
            f"{free:,} bytes are free in {str(folder)!r},{after} less than the minimum of {self._minimum:,}: "
            "free disk space, then run the same command again",
            path=folder,
        )


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes of a folder's disk, None if the file system does not report them."""
    with tolerating(FREE_SPACE):
        disk = os.statvfs(folder)
        if disk.f_blocks:
            return disk.f_bavail * disk.f_frsize
        record(FREE_SPACE)
    return None
