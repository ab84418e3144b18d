"""File names of an output, which is one file or a folder of parts.

Other programs can load a finished folder as one table: they skip names that
start with an underscore, so every file that is not data has such a name.
Earlier versions used names without underscores. Those are still read, and
`adopt_old_names` renames them before an export is resumed.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from exporter.formats.facts import BY_NAME, CONVERTED, SUFFIXES

_PARTS_STEM = "contacts"


@dataclass(frozen=True, slots=True)
class OutputPaths:
    """The paths of an output's files.

    Attributes:
        path: the file or the folder, as the user named it.
        suffix: suffix of the data files, such as ``.ndjson.gz``.
        is_folder: whether `path` is a folder of numbered parts.
        track: the range whose files these are, such as ``00007``, or ``late`` or ``listed``; empty for the list.
    """

    path: Path
    suffix: str
    is_folder: bool = False
    track: str = ""

    @property
    def folder(self) -> Path:
        """The folder that contains all files of the output."""
        return self.path if self.is_folder else self.path.parent

    def file(self, number: int) -> Path:
        """Return the path of a finished data file, counted from 1 in its track; a single file is number 1."""
        name = f"{self.track}-{number:02}" if self.track else f"{number:05}"
        return self.path / f"{_PARTS_STEM}-{name}{self.suffix}" if self.is_folder else self.path

    def part(self, number: int) -> Path:
        """Return the path of a data file while it is being written."""
        return part_path(self._hidden(number))

    @property
    def is_converted(self) -> bool:
        """Whether a part is a journal of lines that is converted to the data file when it is full."""
        return self.suffix == CONVERTED

    def staging(self, number: int) -> Path:
        """Return the path of a complete data file before it is renamed to its final name."""
        return temporary_path(self._hidden(number)) if self.is_converted else self.part(number)

    def _hidden(self, number: int) -> Path:
        """Return the path of a data file with an underscore before its name, so that readers of a folder skip it."""
        return self.path / f"_{self.file(number).name}" if self.is_folder else self.path

    @property
    def checkpoint(self) -> Path:
        """The file with the progress of an unfinished export."""
        return self.path / CHECKPOINT if self.is_folder else self.path.with_name(f"{self.path.name}.checkpoint.json")

    @property
    def manifest(self) -> Path:
        """The file that describes a finished export."""
        return self.path / MANIFEST if self.is_folder else manifest_path(self.path)

    @property
    def plan(self) -> Path:
        """The plan of an export with several cursors."""
        return self.path / PLAN

    @property
    def keys(self) -> Path:
        """The keys of the contacts that an export with several cursors has written so far."""
        return self.path / KEYS

    def names_of(self, path: Path) -> tuple[Path, ...]:
        """Return the paths of the manifest or the checkpoint in all versions of this program, the oldest first."""
        return (old_name(path), path) if self.is_folder else (path,)

    @property
    def services(self) -> set[Path]:
        """The paths of all files that are no data, in all versions of this program, and of their temporary files."""
        names = {*self.names_of(self.manifest), *self.names_of(self.checkpoint)}
        if self.is_folder:
            names |= {self.plan, self.keys}
        return names | set(map(temporary_path, names))

    def data_file_order(self, name: str) -> tuple[int, int] | None:
        """Return the place of a data file or part among all, None if the name is neither: first its track."""
        match = _DATA_FILE.fullmatch(name)
        if not match:
            return None
        if match["track"]:
            return _MAX_NUMBER + TRACKS_AFTER_RANGES.index(match["track"]), int(match["part"])
        return int(match["number"]), int(match["part"] or 0)


MANIFEST, CHECKPOINT, PLAN, KEYS = "_manifest.json", "_checkpoint.json", "_plan.json", "_keys.part"
"""Names of the files in a folder that are no data."""

FIRST_RANGE, LATE, LISTED = "00001", "late", "listed"
TRACKS_AFTER_RANGES = (LATE, LISTED)
"""Contacts that a second search, and then the list, found after all ranges."""

_MAX_NUMBER = 10**18
_DATA_FILE = re.compile(
    r"(?:_(?=.*\.(?:part|tmp)$))?"
    rf"{_PARTS_STEM}-(?:(?P<number>[0-9]{{5}}|[1-9][0-9]{{5,}})|(?P<track>{LATE}|{LISTED})(?=-))"
    rf"(?:-(?P<part>[0-9]{{2}}|[1-9][0-9]{{2,}}))?"
    rf"\.(?:{'|'.join(map(re.escape, BY_NAME))})(?:\.part|\.tmp)?"
)


def old_name(path: Path) -> Path:
    """Return the path that earlier versions gave a file in a folder of parts."""
    return path.with_name(path.name.removeprefix("_"))


def standing(paths: OutputPaths, path: Path) -> Path:
    """Return the existing path of a manifest or checkpoint: its old path if only that exists, else `path`."""
    old = old_name(path)
    return old if paths.is_folder and not os.path.lexists(path) and os.path.lexists(old) else path


def manifest_path(path: Path) -> Path:
    """Return the path of the manifest of a single output file."""
    return path.with_name(f"{path.name}.manifest.json")


def part_path(path: Path) -> Path:
    """Return the path of a data file while it is being written."""
    return path.with_name(f"{path.name}.part")


def temporary_path(path: Path) -> Path:
    """Return the path of a file before it is renamed to `path`."""
    return path.with_name(f"{path.name}.tmp")


def is_folder_output(path: str | os.PathLike[str]) -> bool:
    """Return whether an output is a folder of parts.

    It is a folder if the path ends with a slash, or if the folder exists and
    its name does not end with the suffix of a format.
    """
    text = os.fspath(path)
    try:
        return text.endswith(os.sep) or (not text.endswith(tuple(SUFFIXES)) and Path(path).is_dir())
    except OSError:  # `find_existing` reports the problem
        return False
