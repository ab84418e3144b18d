"""A finished export on disk: found by its path, described by its manifest, read contact by contact."""

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
from exporter.layout.foreign_files import COMPLETION_MARKERS, is_ignored_name
from exporter.layout.manifest import decode_manifest
from exporter.layout.paths import MANIFEST, PLAN, OutputPaths, old_name, standing
from exporter.layout.summary import FileSummary, Summary
from exporter.validation import check_path

MANIFEST_OF_FILE = ".manifest.json"
_MAX_MANIFEST_BYTES = 1 << 26
_MAX_NAME_CHARACTERS = 100


class DamagedExport(ConfigError):  # noqa: N818 - the name describes the export
    """An export does not match its manifest."""


def _absolute(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path; a link at its end is not followed."""
    try:
        return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve follows links
    except OSError as exc:  # the current folder was deleted
        raise ConfigError(f"{os.fspath(path)!r} cannot be found: the current folder does not exist any more") from exc


class FinishedExport:
    """A finished export, as its manifest describes it.

    Args:
        path: path of the file, of the folder of parts, or of the manifest.

    Attributes:
        path: absolute path of the file or folder.
        summary: the summary in the manifest.
        files: the data files in the order of their contacts, each with its entry in the manifest.

    Raises:
        DamagedExport: the manifest is damaged, or a data file is missing or has
            another length than the manifest says.
        SinkError: a file cannot be read.
        ConfigError: there is no finished export, or its format needs an extra that is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_path(path)
        if not os.fspath(path):
            raise ConfigError("the path of the export is empty")
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
            raise DamagedExport(
                f"the manifest of {str(paths.path)!r} is damaged, or was not written by intercom-exporter"
            )
        self.summary = summary
        self.files = tuple(_checked_files(paths, summary))
        check_libraries(self.files)
        for file, expected in self.files:
            _check_length(file, expected)

    @property
    def all_files(self) -> tuple[Path, ...]:
        """The paths of all files of the export: its manifest and its data files."""
        files = (self._manifest, *(file for file, _ in self.files))
        return tuple(file.parent.resolve() / file.name for file in files)

    @property
    def has_rows(self) -> bool:
        """Whether the export is CSV, which does not keep the contacts as the API sent them."""
        return any(DataFile(file).has_rows for file, _ in self.files)

    def records(self, data_file: DataFile) -> Iterator[list[bytes]]:
        """Yield the contacts of a file in batches: the JSON of each, without the line break. Not for CSV.

        Args:
            data_file: one of the export's files; afterwards its attributes tell what was wrong with it.
        """
        if data_file.is_table:
            yield from _records_of_table(data_file)
            return
        lines = _LineCollector()
        for chunk in data_file.chunks():
            lines.feed(chunk)
            yield lines.take()
        lines.end()
        yield lines.take()

    def rows(self, data_file: DataFile) -> Iterator[list[list[bytes]]]:
        """Yield the rows of a CSV file in batches: the cells of each, with their quotes.

        Args:
            data_file: one of the export's files; afterwards its attributes tell what was wrong with it.
        """
        rows = CsvReader(self.summary.columns)
        for chunk in data_file.chunks():
            rows.feed(chunk)
            yield rows.take()
        rows.end()
        yield rows.take()


class _LineCollector(LineChecker):
    """A collector of lines: the lines are returned instead of being checked."""

    def __init__(self) -> None:
        super().__init__(lambda _ids: None, lambda _number, _what: None)
        self._lines: list[bytes] = []

    def take(self) -> list[bytes]:
        """Return the complete lines since the last call."""
        lines, self._lines = self._lines, []
        return lines

    def _check(self, block: bytes) -> None:
        self._lines += [line.rstrip(b"\n") for line in io.BytesIO(block)]


def _records_of_table(data_file: DataFile) -> Iterator[list[bytes]]:
    """Yield the contacts of a table in batches, after its bytes have been read and hashed."""
    for _ in data_file.chunks():
        yield []
    yield from data_file.raw_records()


def _checked_files(paths: OutputPaths, summary: Summary) -> list[tuple[Path, FileSummary]]:
    """Return the files of an export, after a check that its manifest and its folder match.

    Raises:
        DamagedExport: they do not match.
        SinkError: the folder cannot be read.
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
        raise DamagedExport(
            f"{str(file)!r} has {length} bytes, its manifest says {expected.bytes}: run verify for details"
        )


def find_export(path: Path) -> OutputPaths:
    """Return the paths of the export that a path refers to.

    Args:
        path: path of the file, of the folder of parts, or of the manifest.

    Raises:
        ConfigError: there is no export at the path.
        SinkError: the path cannot be read.
    """
    paths = OutputPaths(path, "", is_folder=os.path.isdir(path))  # noqa: PTH112 - Path.is_dir raises where names are too long
    if _exists(path):
        if path.name in (MANIFEST, old_name(Path(MANIFEST)).name):
            paths = OutputPaths(path.parent, "", is_folder=True)
        elif path.name.endswith(MANIFEST_OF_FILE) and path.name != MANIFEST_OF_FILE:
            paths = OutputPaths(path.with_name(path.name.removesuffix(MANIFEST_OF_FILE)), "")
    elif not _exists(paths.manifest):
        raise ConfigError(f"there is no export at {str(path)!r}{unfinished_hint(paths)}")
    return paths


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except ValueError:  # the name is not valid in any file system
        return False
    except OSError as exc:
        if is_unreadable(exc):
            raise SinkError(f"{str(path)!r} {describe_os_error(exc)}", path=path) from exc
        return False
    return True


def unfinished_hint(paths: OutputPaths) -> str:
    """Return the end of a message that reports an unfinished export; empty if there is none."""
    parts = (path for path in paths.path.glob("*.part") if not is_ignored_name(path.name))
    unfinished = [standing(paths, paths.checkpoint), *(parts if paths.is_folder else [paths.part(1)])]
    if paths.path.name.endswith(".part") or any(map(os.path.lexists, unfinished)):
        return "; there is an unfinished export: run the export command again to resume it"
    return ""


def manifest_at(paths: OutputPaths) -> Summary | None:
    """Return the summary in an export's manifest, None if the manifest is damaged.

    Raises:
        OSError: the manifest is missing, or cannot be read.
    """
    with open_regular(standing(paths, paths.manifest)) as file:
        return decode_manifest(file.read(_MAX_MANIFEST_BYTES))


def listed_files(paths: OutputPaths, summary: Summary, findings: Findings) -> list[tuple[Path, FileSummary]]:
    """Check the consistency of a manifest, compare it with the folder, and return the files to read.

    Args:
        paths: the paths of the export.
        summary: the summary in the manifest.
        findings: gets a sentence about each difference.

    Returns:
        The path of each data file, with its entry in the manifest.
    """
    if not summary.complete and summary.limited_to_contacts is None:
        findings.add("the manifest says that the export is not complete")
    contacts = sum(file.contacts for file in summary.files)
    if contacts != summary.contacts:
        findings.add(f"the manifest counts {summary.contacts} contacts, but {contacts} in its files")
    if paths.is_folder:
        return _check_folder(paths, summary, findings)
    names = [file.name for file in summary.files]
    if names != [paths.path.name]:
        listed = quote_name(names[0]) if len(names) == 1 else f"{len(names)} files"
        findings.add(f"the manifest describes {listed}, not {quote_name(paths.path.name)}")
    return [(paths.path, file) for file in summary.files if len(names) == 1]


def _check_folder(paths: OutputPaths, summary: Summary, findings: Findings) -> list[tuple[Path, FileSummary]]:
    """Check the names in the manifest, and that the folder contains no other files; return the files to read."""
    folder, manifest = paths.path, standing(paths, paths.manifest).name
    files: dict[str, FileSummary] = {}
    for file in summary.files:
        if not _is_plain(file.name):
            findings.add(f"the manifest lists {quote_name(file.name)}, which is not a valid file name", "such names")
        elif files.setdefault(file.name, file) is not file:
            findings.add(f"the manifest lists {quote_name(file.name)} more than once", "files listed more than once")
    try:
        present = sorted(entry.name for entry in folder.iterdir())
    except OSError as exc:
        findings.add(f"the folder {describe_os_error(exc)}")
        findings.unreadable += is_unreadable(exc)
        present = []
    for name in present:
        is_ours = name in files or name == manifest or (name == PLAN and summary.plan is not None)
        if not (is_ours or is_ignored_name(name) or name in COMPLETION_MARKERS):
            findings.add(
                f"{quote_name(name)} is in the folder, but not in the manifest", "that are not in the manifest"
            )
    return [(folder / name, file) for name, file in files.items()]


def _is_plain(name: str) -> bool:
    """Return whether a name can be the name of a part and stays in the folder: the manifest is untrusted input."""
    return name.isascii() and name.isprintable() and "/" not in name and name not in ("", ".", "..")


def check_libraries(files: Sequence[tuple[Path, FileSummary]]) -> None:
    """Check that the libraries that read the files' formats are installed.

    Raises:
        MissingExtraError: an optional library is not installed.
    """
    suffixes = {path.suffix for path, _ in files}
    if ZSTD_SUFFIX in suffixes:
        zstd()
    if CONVERTED in suffixes:
        arrow()


def quote_name(name: str) -> str:
    """Return a name in quotes, truncated to 100 characters."""
    return repr(name if len(name) <= _MAX_NAME_CHARACTERS else f"{name[:_MAX_NAME_CHARACTERS]}…")
