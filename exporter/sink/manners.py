"""How an output is begun, and when it stops: what does not decide its bytes."""

import os
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import ConfigError, SinkError

_LONGEST_S = 10**8
_MOST_BYTES = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How an output is begun, and when it stops.

    Attributes:
        overwrite: whether a finished export, or a foreign file, may be replaced.
        restart: whether an unfinished export is dropped.
        min_free_bytes: room that is left on the disk.
        checkpoint_every_s: seconds between two commits, 0 for one a page.

    Raises:
        ConfigError: a number is out of range.
    """

    overwrite: bool = False
    restart: bool = False
    min_free_bytes: int = 0
    checkpoint_every_s: float = 1.0

    def __post_init__(self) -> None:
        if type(self.min_free_bytes) is not int or not 0 <= self.min_free_bytes <= _MOST_BYTES:
            raise ConfigError(f"min_free_bytes must be a whole number from 0 to {_MOST_BYTES}")
        if type(self.checkpoint_every_s) not in (int, float) or not 0 <= self.checkpoint_every_s <= _LONGEST_S:
            raise ConfigError(
                f"checkpoint_every_s must be a number from 0 to {_LONGEST_S:,}, not {self.checkpoint_every_s!r}"
            )

    def check_room(self, folder: Path) -> None:
        """Look whether the disk of a folder has the room that is to be left.

        Raises:
            SinkError: it has less.
        """
        if not self.min_free_bytes:
            return
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
        if free < self.min_free_bytes:
            raise SinkError(
                f"only {free:,} bytes are free in {str(folder)!r}, less than the {self.min_free_bytes:,} to be left: "
                "make room, then run the same command again",
                path=folder,
            )
