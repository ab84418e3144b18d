"""A finished export on the disk: found by its path, known by its manifest, read back contact by contact."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from exporter.archive.findings import Findings
from exporter.archive.line_checker import Lines
from exporter.archive.row_checker import CsvCells
from exporter.errors import ConfigError, SinkError
from exporter.extras import arrow, zstd
from exporter.formats.facts import CONVERTED, ZSTD_SUFFIX
from exporter.layout.data_file import Contents, failure_of, is_unreadable, open_plainly
from exporter.layout.foreign_files import MARKERS, is_dropping
from exporter.layout.manifest import decode_manifest
from exporter.layout.paths import MANIFEST, Place, old_name, standing
from exporter.model import FileSummary, Summary
from exporter.validation import check_path

MANIFEST_OF_FILE = ".manifest.json"
_LARGEST_MANIFEST_BYTES = 1 << 26
_LONGEST_NAME = 100


class Damaged(ConfigError):  # noqa: N818 - a finding
    """An export is not what its manifest says."""


def _absolute(path: str | os.PathLike[str]) -> Path:
    """Return a path from the root; a link at its end is not followed."""
    try:
        return Path(os.path.abspath(path))  # noqa: PTH100 - see above
    except OSError as exc:  # where the current folder was deleted
        raise ConfigError(f"{os.fspath(path)!r} cannot be found: the current folder is not there any more") from exc


class Finished:
    """A finished export, as its manifest tells of it.

    Args:
        path: the file, or the folder of its parts, or the manifest.

    Attributes:
        path: the file or folder, from the root.
        summary: the manifest's figures.
        files: the data files, in the order of their contacts, with what the manifest says of each.

    Raises:
        Damaged: its manifest is damaged, a file of it is missing, or has
            another length than the manifest says.
        SinkError: a file of it cannot be read.
        ConfigError: there is none, or its format needs an extra.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_path(path)
        if not os.fspath(path):
            raise ConfigError("there is no path to an export")
        place = place_of(_absolute(path))
        self.path = place.path
        self._manifest = standing(place, place.manifest)
        try:
            summary = manifest_at(place)
        except FileNotFoundError:
            raise ConfigError(f"{str(place.path)!r} is not a finished export{unfinished(place)}") from None
        except OSError as exc:
            kind = SinkError if is_unreadable(exc) else Damaged
            raise kind(f"the manifest of {str(place.path)!r} {failure_of(exc)}") from None
        if summary is None:
            raise Damaged(f"the manifest of {str(place.path)!r} is damaged, or not one of this program's")
        self.summary = summary
        self.files = tuple(_listed(place, summary))
        look_for_libraries(self.files)
        for file, expected in self.files:
            _check_length(file, expected)

    @property
    def own_files(self) -> tuple[Path, ...]:
        """All that belongs to it: its data files, and its manifest."""
        own = (self._manifest, *(file for file, _ in self.files))
        return tuple(file.parent.resolve() / file.name for file in own)

    @property
    def has_rows(self) -> bool:
        """Whether it is CSV: its contacts are no longer as the API sent them."""
        return any(Contents(file).has_rows for file, _ in self.files)

    def records(self, contents: Contents) -> Iterator[list[bytes]]:
        """Give the contacts of a file, some at a time: the JSON of each on one line, without its end. Not of CSV.

        Args:
            contents: of one of its files; knows afterwards what was wrong with it.
        """
        if contents.is_table:
            yield from _of_table(contents)
            return
        lines = _Collected()
        for piece in contents.pieces():
            lines.feed(piece)
            yield lines.take()
        lines.end()
        yield lines.take()

    def rows(self, contents: Contents) -> Iterator[list[list[bytes]]]:
        """Give the rows of a file of CSV, some at a time: the cells of each, with the quotes that are theirs.

        Args:
            contents: of one of its files; knows afterwards what was wrong with it.
        """
        rows = CsvCells(self.summary.columns)
        for piece in contents.pieces():
            rows.feed(piece)
            yield rows.take()
        rows.end()
        yield rows.take()


class _Collected(Lines):
    """Lines that are collected instead of being looked at."""

    def __init__(self) -> None:
        super().__init__(lambda _ids: None, lambda _number, _what: None)
        self._lines: list[bytes] = []

    def take(self) -> list[bytes]:
        """Give those that are whole."""
        lines, self._lines = self._lines, []
        return lines

    def _check(self, block: bytes) -> None:
        self._lines += [line.rstrip(b"\n") for line in io.BytesIO(block)]


def _of_table(contents: Contents) -> Iterator[list[bytes]]:
    """Give the contacts in a table, once its bytes have been read through."""
    for _ in contents.pieces():
        yield []
    yield from contents.raw()


def _listed(place: Place, summary: Summary) -> list[tuple[Path, FileSummary]]:
    """Give the files of an export, once its manifest and its folder are sure to agree.

    Raises:
        Damaged: they do not.
    """
    findings = Findings()
    files = listed_files(place, summary, findings)
    if differences := findings.sentences():
        kind = SinkError if findings.are_unreadable else Damaged
        raise kind(f"{str(place.path)!r}: {differences[0]}")
    return files


def _check_length(file: Path, expected: FileSummary) -> None:
    try:
        with open_plainly(file) as opened:
            length = os.fstat(opened.fileno()).st_size
    except OSError as exc:
        kind = SinkError if is_unreadable(exc) else Damaged
        raise kind(f"{str(file)!r} {failure_of(exc)}") from None
    if length != expected.bytes:
        raise Damaged(f"{str(file)!r} has {length} bytes, its manifest says {expected.bytes}: verify says more")


def place_of(given: Path) -> Place:
    """Find the export that a path means: its file, its folder or its manifest.

    Raises:
        ConfigError: nothing is there.
        SinkError: that cannot be found out.
    """
    place = Place(given, "", parts=os.path.isdir(given))  # noqa: PTH112 - Path.is_dir raises where names are too long
    if _is_there(given):
        if given.name in (MANIFEST, old_name(Path(MANIFEST)).name):
            place = Place(given.parent, "", parts=True)
        elif given.name.endswith(MANIFEST_OF_FILE) and given.name != MANIFEST_OF_FILE:
            place = Place(given.with_name(given.name.removesuffix(MANIFEST_OF_FILE)), "")
    elif not _is_there(place.manifest):
        raise ConfigError(f"there is no export at {str(given)!r}{unfinished(place)}")
    return place


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except ValueError:  # no system has such a name
        return False
    except OSError as exc:
        if is_unreadable(exc):
            raise SinkError(f"{str(path)!r} {failure_of(exc)}", path=path) from exc
        return False
    return True


def unfinished(place: Place) -> str:
    """Say so where an export is under way, or was."""
    parts = (path for path in place.path.glob("*.part") if not is_dropping(path.name))
    left = [standing(place, place.checkpoint), *(parts if place.parts else [place.part(1)])]
    if place.path.name.endswith(".part") or any(map(os.path.lexists, left)):
        return "; an unfinished export is there: run the same command again to finish it"
    return ""


def manifest_at(place: Place) -> Summary | None:
    """Read the manifest of an export, None when it is damaged.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    with open_plainly(standing(place, place.manifest)) as file:
        return decode_manifest(file.read(_LARGEST_MANIFEST_BYTES))


def listed_files(place: Place, summary: Summary, findings: Findings) -> list[tuple[Path, FileSummary]]:
    """Check a manifest in itself and against the folder, and give the files to be read."""
    if not summary.complete and summary.limited_to_contacts is None:
        findings.add("the manifest says that the export is not complete")
    contacts = sum(file.contacts for file in summary.files)
    if contacts != summary.contacts:
        findings.add(f"the manifest counts {summary.contacts} contacts, and {contacts} in its files")
    if place.parts:
        return _files_in_folder(place, summary, findings)
    names = [file.name for file in summary.files]
    if names != [place.path.name]:
        listed = shown(names[0]) if len(names) == 1 else f"{len(names)} files"
        findings.add(f"the manifest is of {listed}, not of {shown(place.path.name)}")
    return [(place.path, file) for file in summary.files if len(names) == 1]


def _files_in_folder(place: Place, summary: Summary, findings: Findings) -> list[tuple[Path, FileSummary]]:
    folder, manifest = place.path, standing(place, place.manifest).name
    files: dict[str, FileSummary] = {}
    for file in summary.files:
        if not _is_plain(file.name):
            findings.add(f"the manifest lists {shown(file.name)}, which is no part's name", "such names")
        elif files.setdefault(file.name, file) is not file:
            findings.add(f"the manifest lists {shown(file.name)} more than once", "files listed more than once")
    try:
        present = sorted(entry.name for entry in folder.iterdir())
    except OSError as exc:
        findings.add(f"the folder {failure_of(exc)}")
        findings.unreadable += is_unreadable(exc)
        present = []
    for name in present:
        if not (is_dropping(name) or name in MARKERS or name in files or name == manifest):
            findings.add(f"{shown(name)} is there, but not in the manifest", "that are not in the manifest")
    return [(folder / name, file) for name, file in files.items()]


def _is_plain(name: str) -> bool:
    """Whether a name can be a part's, and leads nowhere else: a manifest may be anybody's."""
    return name.isascii() and name.isprintable() and "/" not in name and name not in ("", ".", "..")


def look_for_libraries(files: Sequence[tuple[Path, FileSummary]]) -> None:
    """Make sure that the files' formats can be read.

    Raises:
        MissingExtraError: an optional library is not installed.
    """
    suffixes = {path.suffix for path, _ in files}
    if ZSTD_SUFFIX in suffixes:
        zstd()
    if CONVERTED in suffixes:
        arrow()


def shown(name: str) -> str:
    """Show a name, which may be of any length."""
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…")
