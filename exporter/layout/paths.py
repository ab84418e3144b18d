"""What the files of an output are called: one file, or the parts in a folder.

A finished folder loads as one table: readers of data sets skip names that begin
with an underscore, so every other file in it has such a name. Earlier builds
had no underscores: what they left is still read, and `adopt_old_names` renames
it before an export is resumed.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from exporter.formats.facts import BY_NAME, CONVERTED, SUFFIXES

_PARTS_STEM = "contacts"


@dataclass(frozen=True, slots=True)
class OutputPaths:
    """The names of an output's files.

    Attributes:
        path: the file, or the folder, as the user named it.
        suffix: of the data files, such as ``.ndjson.gz``.
        parts: whether `path` is a folder of numbered parts.
    """

    path: Path
    suffix: str
    is_folder: bool = False

    @property
    def folder(self) -> Path:
        """The folder that holds all of them."""
        return self.path if self.is_folder else self.path.parent

    def file(self, number: int) -> Path:
        """Name a finished data file, counted from 1; a single file is number 1."""
        return self.path / f"{_PARTS_STEM}-{number:05}{self.suffix}" if self.is_folder else self.path

    def part(self, number: int) -> Path:
        """Name a data file while it is written."""
        return part_path(self._hidden(number))

    @property
    def is_converted(self) -> bool:
        """Whether a part is only a journal of lines, of which the data file is made once it is full."""
        return self.suffix == CONVERTED

    def staging(self, number: int) -> Path:
        """Name a data file that is finished, but for its name."""
        return temporary_path(self._hidden(number)) if self.is_converted else self.part(number)

    def _hidden(self, number: int) -> Path:
        """Name a data file so that readers of a folder skip it."""
        return self.path / f"_{self.file(number).name}" if self.is_folder else self.path

    @property
    def checkpoint(self) -> Path:
        """The file that says how far an unfinished export has got."""
        return self.path / CHECKPOINT if self.is_folder else self.path.with_name(f"{self.path.name}.checkpoint.json")

    @property
    def manifest(self) -> Path:
        """The file that vouches for a finished export."""
        return self.path / MANIFEST if self.is_folder else manifest_path(self.path)

    def names_of(self, path: Path) -> tuple[Path, ...]:
        """Return all names that versions gave the manifest or the checkpoint, the oldest first."""
        return (old_name(path), path) if self.is_folder else (path,)

    @property
    def services(self) -> set[Path]:
        """The files besides the data, each with its temporary name, under the names of all versions."""
        names = {*self.names_of(self.manifest), *self.names_of(self.checkpoint)}
        return names | set(map(temporary_path, names))

    def part_number(self, name: str) -> int | None:
        """Give the number of the data file or part that a name in a folder of parts means, None for other names."""
        match = _DATA_FILE.fullmatch(name)
        return int(match[1]) if match else None


MANIFEST, CHECKPOINT = "_manifest.json", "_checkpoint.json"
"""In a folder of parts."""

_DATA_FILE = re.compile(
    r"(?:_(?=.*\.(?:part|tmp)$))?"
    rf"{_PARTS_STEM}-([0-9]{{5}}|[1-9][0-9]{{5,}})\.(?:{'|'.join(map(re.escape, BY_NAME))})(?:\.part|\.tmp)?"
)


def old_name(path: Path) -> Path:
    """Name a file in a folder of parts as earlier builds did."""
    return path.with_name(path.name.removeprefix("_"))


def standing(paths: OutputPaths, path: Path) -> Path:
    """Return under which name a file of a folder of parts is there: its own, unless there is only the old one."""
    old = old_name(path)
    return old if paths.is_folder and not os.path.lexists(path) and os.path.lexists(old) else path


def manifest_path(path: Path) -> Path:
    """Name the manifest of a single output file."""
    return path.with_name(f"{path.name}.manifest.json")


def part_path(path: Path) -> Path:
    """Name a file while it is written."""
    return path.with_name(f"{path.name}.part")


def temporary_path(path: Path) -> Path:
    """Name a small file while it is prepared."""
    return path.with_name(f"{path.name}.tmp")


def is_folder_output(path: str | os.PathLike[str]) -> bool:
    """Whether an output is a folder of parts: it ends with a slash, or is one already and not called like a file."""
    text = os.fspath(path)
    try:
        return text.endswith(os.sep) or (not text.endswith(tuple(SUFFIXES)) and Path(path).is_dir())
    except OSError:  # what is wrong with it, `find_existing` will say
        return False
