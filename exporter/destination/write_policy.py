"""How an output is begun, and when it stops: what does not decide its bytes."""

import os
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import ConfigError, SinkError
from exporter.layout.disk_limits import FREE_SPACE, record, tolerating
from exporter.validation import MAX_BYTES

_MAX_S = 10**8


class NoSpaceError(SinkError):
    """The next write would leave less free space than is to be left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How an output is begun, and when it stops.

    Attributes:
        overwrite: whether a finished export, or a foreign file, may be replaced.
        restart: whether an unfinished export is dropped.
        min_free_bytes: free space that no write takes.
        checkpoint_every_s: seconds between two commits, 0 for one a page.

    Raises:
        ConfigError: a number is out of range.
    """

    overwrite: bool = False
    restart: bool = False
    min_free_bytes: int = 0
    checkpoint_every_s: float = 1.0

    def __post_init__(self) -> None:
        if type(self.min_free_bytes) is not int or not 0 <= self.min_free_bytes <= MAX_BYTES:
            raise ConfigError(
                f"min_free_bytes must be a whole number from 0 to {MAX_BYTES:,}, not {self.min_free_bytes!r}",
                "min_free_bytes",
            )
        if type(self.checkpoint_every_s) not in (int, float) or not 0 <= self.checkpoint_every_s <= _MAX_S:
            raise ConfigError(
                f"checkpoint_every_s must be a number from 0 to {_MAX_S:,}, not {self.checkpoint_every_s!r}",
                "checkpoint_every_s",
            )

    def check_free_space(self, folder: Path, needed: int = 0) -> None:
        """Check that the disk of a folder keeps the free space that is to be left.

        Args:
            folder: where something is written.
            needed: bytes that are about to be written.

        Raises:
            NoSpaceError: it would keep less.
        """
        if not self.min_free_bytes or (free := free_bytes(folder)) is None or free - needed >= self.min_free_bytes:
            return
        after = f" and writing {needed:,} more would leave" if free >= self.min_free_bytes else ""
        raise NoSpaceError(
            f"{free:,} bytes are free in {str(folder)!r},{after} less than the minimum of {self.min_free_bytes:,}: "
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
