"""A finished export on the disk: found by its path, known by its manifest, read back contact by contact."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from exporter.archive.findings import Findings
from exporter.archive.line_checker import LineChecker
from exporter.archive.row_checker import CsvReader
from exporter.errors import ConfigError, SinkError
from exporter.extras import arrow, zstd
from exporter.formats.facts import CONVERTED, ZSTD_SUFFIX
from exporter.layout.data_file import DataFile, describe_os_error, is_unreadable, open_regular
from exporter.layout.foreign_files import MARKERS, is_dropping
from exporter.layout.manifest import decode_manifest
from exporter.layout.paths import MANIFEST, OutputPaths, old_name, standing
from exporter.model import FileSummary, Summary
from exporter.validation import check_path

MANIFEST_OF_FILE = ".manifest.json"
_MAX_MANIFEST_BYTES = 1 << 26
_MAX_NAME_CHARACTERS = 100


class DamagedExport(ConfigError):  # noqa: N818 - a finding
    """An export is not what its manifest says."""


def _absolute(path: str | os.PathLike[str]) -> Path:
    """Return a path from the root; a link at its end is not followed."""
    try:
        return Path(os.path.abspath(path))  # noqa: PTH100 - see above
    except OSError as exc:  # where the current folder was deleted
        raise ConfigError(f"{os.fspath(path)!r} cannot be found: the current folder is not there any more") from exc


class FinishedExport:
    """A finished export, as its manifest tells of it.

    Args:
        path: the file, or the folder of its parts, or the manifest.

    Attributes:
        path: the file or folder, from the root.
        summary: the manifest's figures.
        files: the data files, in the order of their contacts, with what the manifest says of each.

    Raises:
        DamagedExport: its manifest is damaged, a file of it is missing, or has
            another length than the manifest says.
        SinkError: a file of it cannot be read.
        ConfigError: there is none, or its format needs an extra.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_path(path)
        if not os.fspath(path):
            raise ConfigError("there is no path to an export")
        paths = find_export(_absolute(path))
        self.path = paths.path
        self._manifest = standing(paths, paths.manifest)
        try:
            summary = manifest_at(paths)
        except FileNotFoundError:
            raise ConfigError(f"{str(paths.path)!r} is not a finished export{unfinished_hint(paths)}") from None
        except OSError as exc:
            kind = SinkError if is_unreadable(exc) else DamagedExport
            raise kind(f"the manifest of {str(paths.path)!r} {describe_os_error(exc)}") from None
        if summary is None:
            raise DamagedExport(f"the manifest of {str(paths.path)!r} is damaged, or not one of this program's")
        self.summary = summary
        self.files = tuple(_checked_files(paths, summary))
        check_libraries(self.files)
        for file, expected in self.files:
            _check_length(file, expected)

    @property
    def all_files(self) -> tuple[Path, ...]:
        """All that belongs to it: its data files, and its manifest."""
        own = (self._manifest, *(file for file, _ in self.files))
        return tuple(file.parent.resolve() / file.name for file in own)

    @property
    def has_rows(self) -> bool:
        """Whether it is CSV: its contacts are no longer as the API sent them."""
        return any(DataFile(file).has_rows for file, _ in self.files)

    def records(self, contents: DataFile) -> Iterator[list[bytes]]:
        """Give the contacts of a file, some at a time: the JSON of each on one line, without its end. Not of CSV.

        Args:
            contents: of one of its files; knows afterwards what was wrong with it.
        """
        if contents.is_table:
            yield from _records_of_table(contents)
            return
        lines = _LineCollector()
        for piece in contents.chunks():
            lines.feed(piece)
            yield lines.take()
        lines.end()
        yield lines.take()

    def rows(self, contents: DataFile) -> Iterator[list[list[bytes]]]:
        """Give the rows of a file of CSV, some at a time: the cells of each, with the quotes that are theirs.

        Args:
            contents: of one of its files; knows afterwards what was wrong with it.
        """
        rows = CsvReader(self.summary.columns)
        for piece in contents.chunks():
            rows.feed(piece)
            yield rows.take()
        rows.end()
        yield rows.take()


class _LineCollector(LineChecker):
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


def _records_of_table(contents: DataFile) -> Iterator[list[bytes]]:
    """Give the contacts in a table, once its bytes have been read through."""
    for _ in contents.chunks():
        yield []
    yield from contents.raw_records()


def _checked_files(paths: OutputPaths, summary: Summary) -> list[tuple[Path, FileSummary]]:
    """Give the files of an export, once its manifest and its folder are sure to agree.

    Raises:
        DamagedExport: they do not.
    """
    findings = Findings()
    files = listed_files(paths, summary, findings)
    if differences := findings.sentences():
        kind = SinkError if findings.are_unreadable else DamagedExport
        raise kind(f"{str(paths.path)!r}: {differences[0]}")
    return files


def _check_length(file: Path, expected: FileSummary) -> None:
    try:
        with open_regular(file) as opened:
            length = os.fstat(opened.fileno()).st_size
    except OSError as exc:
        kind = SinkError if is_unreadable(exc) else DamagedExport
        raise kind(f"{str(file)!r} {describe_os_error(exc)}") from None
    if length != expected.bytes:
        raise DamagedExport(f"{str(file)!r} has {length} bytes, its manifest says {expected.bytes}: verify says more")


def find_export(given: Path) -> OutputPaths:
    """Find the export that a path means: its file, its folder or its manifest.

    Raises:
        ConfigError: nothing is there.
        SinkError: that cannot be found out.
    """
    paths = OutputPaths(given, "", is_folder=os.path.isdir(given))  # noqa: PTH112 - Path.is_dir raises where names are too long
    if _is_there(given):
        if given.name in (MANIFEST, old_name(Path(MANIFEST)).name):
            paths = OutputPaths(given.parent, "", is_folder=True)
        elif given.name.endswith(MANIFEST_OF_FILE) and given.name != MANIFEST_OF_FILE:
            paths = OutputPaths(given.with_name(given.name.removesuffix(MANIFEST_OF_FILE)), "")
    elif not _is_there(paths.manifest):
        raise ConfigError(f"there is no export at {str(given)!r}{unfinished_hint(paths)}")
    return paths


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except ValueError:  # no system has such a name
        return False
    except OSError as exc:
        if is_unreadable(exc):
            raise SinkError(f"{str(path)!r} {describe_os_error(exc)}", path=path) from exc
        return False
    return True


def unfinished_hint(paths: OutputPaths) -> str:
    """Say so where an export is under way, or was."""
    parts = (path for path in paths.path.glob("*.part") if not is_dropping(path.name))
    left = [standing(paths, paths.checkpoint), *(parts if paths.is_folder else [paths.part(1)])]
    if paths.path.name.endswith(".part") or any(map(os.path.lexists, left)):
        return "; an unfinished export is there: run the same command again to finish it"
    return ""


def manifest_at(paths: OutputPaths) -> Summary | None:
    """Read the manifest of an export, None when it is damaged.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    with open_regular(standing(paths, paths.manifest)) as file:
        return decode_manifest(file.read(_MAX_MANIFEST_BYTES))


def listed_files(paths: OutputPaths, summary: Summary, findings: Findings) -> list[tuple[Path, FileSummary]]:
    """Check a manifest in itself and against the folder, and give the files to be read."""
    if not summary.complete and summary.limited_to_contacts is None:
        findings.add("the manifest says that the export is not complete")
    contacts = sum(file.contacts for file in summary.files)
    if contacts != summary.contacts:
        findings.add(f"the manifest counts {summary.contacts} contacts, and {contacts} in its files")
    if paths.is_folder:
        return _files_in_folder(paths, summary, findings)
    names = [file.name for file in summary.files]
    if names != [paths.path.name]:
        listed = quote_name(names[0]) if len(names) == 1 else f"{len(names)} files"
        findings.add(f"the manifest is of {listed}, not of {quote_name(paths.path.name)}")
    return [(paths.path, file) for file in summary.files if len(names) == 1]


def _files_in_folder(paths: OutputPaths, summary: Summary, findings: Findings) -> list[tuple[Path, FileSummary]]:
    folder, manifest = paths.path, standing(paths, paths.manifest).name
    files: dict[str, FileSummary] = {}
    for file in summary.files:
        if not _is_plain(file.name):
            findings.add(f"the manifest lists {quote_name(file.name)}, which is no part's name", "such names")
        elif files.setdefault(file.name, file) is not file:
            findings.add(f"the manifest lists {quote_name(file.name)} more than once", "files listed more than once")
    try:
        present = sorted(entry.name for entry in folder.iterdir())
    except OSError as exc:
        findings.add(f"the folder {describe_os_error(exc)}")
        findings.unreadable += is_unreadable(exc)
        present = []
    for name in present:
        if not (is_dropping(name) or name in MARKERS or name in files or name == manifest):
            findings.add(f"{quote_name(name)} is there, but not in the manifest", "that are not in the manifest")
    return [(folder / name, file) for name, file in files.items()]


def _is_plain(name: str) -> bool:
    """Whether a name can be a part's, and leads nowhere else: a manifest may be anybody's."""
    return name.isascii() and name.isprintable() and "/" not in name and name not in ("", ".", "..")


def check_libraries(files: Sequence[tuple[Path, FileSummary]]) -> None:
    """Make sure that the files' formats can be read.

    Raises:
        MissingExtraError: an optional library is not installed.
    """
    suffixes = {path.suffix for path, _ in files}
    if ZSTD_SUFFIX in suffixes:
        zstd()
    if CONVERTED in suffixes:
        arrow()


def quote_name(name: str) -> str:
    """Show a name, which may be of any length."""
    return repr(name if len(name) <= _MAX_NAME_CHARACTERS else f"{name[:_MAX_NAME_CHARACTERS]}…")
