"""Verification of a finished export against its manifest: offline and read-only."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.archive.duplicates import DuplicateCounter, Duplicates
from exporter.archive.findings import Findings
from exporter.archive.finished import (
    check_libraries,
    find_export,
    listed_files,
    manifest_at,
    quote_name,
    unfinished_hint,
)
from exporter.archive.line_checker import LineChecker
from exporter.archive.row_checker import CsvChecker
from exporter.errors import ConfigError
from exporter.formats.facts import facts_of_file
from exporter.layout.data_file import DataFile, describe_os_error, is_unreadable
from exporter.layout.paths import OutputPaths
from exporter.layout.summary import FileSummary, Summary
from exporter.text import count, one_line
from exporter.validation import check_callable, check_path

_MAX_FILES = 1_000
_ROW_CHECKERS = {"csv": CsvChecker}
"""What checks the rows of a format, by its kind; all other formats have lines of JSON."""
_NOTIFY_INTERVAL_S = 0.25
_MAX_DETAILS_PER_FILE, _MAX_DETAILS = 2, 12  # of damaged files


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    """The progress of a verification.

    Attributes:
        file: name of the file that is being read, or of the last one.
        bytes_read: number of bytes read so far, from all files on disk.
        bytes_total: number of bytes of all files, according to the manifest.
    """

    file: str
    bytes_read: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The result of a verification.

    Attributes:
        summary: the summary in the manifest, None if no manifest can be read.
        differences: one sentence per difference, safe to print; empty if the export
            matches its manifest. The sentences contain no value of a contact except its id.
        duplicates: number of contacts with the id of an earlier contact. They are no damage: the API takes no snapshot.
        unreadable: whether every difference is a file that cannot be read, because of
            permissions or a failing disk. The files themselves may be intact.
        warnings: one sentence per problem that is not a difference, such as duplicates.
    """

    summary: Summary | None
    differences: tuple[str, ...]
    duplicates: int
    unreadable: bool = False
    warnings: tuple[str, ...] = ()


def _ignore(_progress: VerifyProgress) -> None:
    """Do nothing: the default observer."""


def verify(path: str | os.PathLike[str], observer: Callable[[VerifyProgress], None] = _ignore) -> VerifyResult:
    """Compare a finished export with its manifest, and check every line. Blocks.

    Duplicates cannot be counted if the selected fields do not include the id.
    The verification writes only temporary files: for an export of more than
    100,000 contacts it writes the ids, about 30 bytes per contact, to the system's
    temporary folder, or beside the export if that folder is not writable. Memory
    use does not depend on the size of the export.

    Args:
        path: path of the file, of the folder of parts, or of the manifest.
        observer: called about four times per second, and at the end; an exception
            that it raises ends the verification.

    Returns:
        The differences, the number of duplicates and the warnings.

    Raises:
        ConfigError: there is neither an export nor a manifest at the path, or the
            extra that its format needs is not installed.
        SinkError: there is too little free space for the ids.
    """
    check_path(path)
    check_callable("observer", observer)
    if not os.fspath(path):
        raise ConfigError("the path of the export is empty")
    paths = find_export(Path(path))
    findings = Findings()
    summary = _summary_at(paths, findings)
    if summary is None:
        return VerifyResult(None, findings.sentences(), 0, findings.are_unreadable)
    files = listed_files(paths, summary, findings)
    check_libraries(files)
    progress = _Progress(observer, sum(expected.bytes for _, expected in files))
    with DuplicateCounter(summary.contacts, spare_folder=paths.path.parent) as ids:
        for file, expected in files:
            progress.start_file(file.name)
            details = Findings()
            data_file, checker = DataFile(file), _checker_of(file, summary, ids.add, details)
            _read(data_file, checker, progress)
            findings.unreadable += data_file.is_unreadable
            for difference in _differences(data_file, checker, expected):
                findings.add(f"{quote_name(file.name)} {difference}", "differences of files", _MAX_FILES)
            _add_details(findings, details, is_damaged=data_file.sha256.hexdigest() != expected.sha256)
        duplicates = ids.count(progress.notify_if_due)
    progress.notify()
    warnings = tuple(_warnings(duplicates))
    return VerifyResult(summary, findings.sentences(), duplicates.count, findings.are_unreadable, warnings)


def _warnings(duplicates: Duplicates) -> Iterator[str]:
    if duplicates.count:
        examples = ", ".join(repr(example.decode(errors="backslashreplace")) for example in duplicates.examples)
        number = count(duplicates.count, "duplicate id")
        yield one_line(
            f"{number}, for example {examples}: "
            "the API takes no snapshot, so contacts updated during the export can be listed twice"
        )


def _add_details(findings: Findings, details: Findings, *, is_damaged: bool) -> None:
    """Add the findings about a file's lines; only a few if the SHA-256 already shows that the file is damaged."""
    for sentence in details.sentences(_MAX_DETAILS_PER_FILE if is_damaged else None):
        findings.add(sentence, *(("details of damaged files", _MAX_DETAILS) if is_damaged else ()))


class _Progress:
    """The progress of a verification; it notifies the observer at most four times per second."""

    def __init__(self, observer: Callable[[VerifyProgress], None], bytes_total: int) -> None:
        self._observer = observer
        self._progress = VerifyProgress("", 0, bytes_total)
        self._bytes_before = 0
        self._notified_at_s = time.monotonic()

    def start_file(self, name: str) -> None:
        """Record the start of the next file."""
        self._bytes_before = self._progress.bytes_read
        self._progress = replace(self._progress, file=name)

    def update(self, file_bytes: int) -> None:
        """Record how many bytes of the current file have been read, and notify the observer if that is due."""
        self._progress = replace(self._progress, bytes_read=self._bytes_before + file_bytes)
        self.notify_if_due()

    def notify_if_due(self) -> None:
        """Notify the observer, unless the latest notification is less than 0.25 s ago."""
        if time.monotonic() - self._notified_at_s >= _NOTIFY_INTERVAL_S:
            self.notify()

    def notify(self) -> None:
        """Notify the observer."""
        self._observer(self._progress)
        self._notified_at_s = time.monotonic()


def _summary_at(paths: OutputPaths, findings: Findings) -> Summary | None:
    try:
        summary = manifest_at(paths)
    except FileNotFoundError:
        findings.add(f"no manifest: {str(paths.path)!r} is not a finished export{unfinished_hint(paths)}")
        return None
    except OSError as exc:
        findings.add(f"the manifest {describe_os_error(exc)}")
        findings.unreadable += is_unreadable(exc)
        return None
    if summary is None:
        findings.add("the manifest is damaged, or was not written by intercom-exporter")
    return summary


def _checker_of(path: Path, summary: Summary, on_ids: Callable[[list[bytes]], None], findings: Findings) -> LineChecker:
    """Return the checker for a file's format."""
    facts = facts_of_file(path.name)
    if facts is not None and facts.kind in _ROW_CHECKERS:
        on_problem = _problem_reporter(path, findings, "row")
        return _ROW_CHECKERS[facts.kind](on_ids, on_problem, summary.columns, with_ids=summary.has_ids)
    strict = summary.records == "normalized"
    return LineChecker(on_ids, _problem_reporter(path, findings, "line"), with_ids=summary.has_ids, strict=strict)


def _problem_reporter(path: Path, findings: Findings, unit: str) -> Callable[[int, str], None]:
    """Return a function that adds a sentence about an invalid line or row of a file."""
    name = quote_name(path.name)

    def report(number: int, problem: str) -> None:
        position = f"{unit} {number}" if number else "the header"
        findings.add(f"{position} of {name} is {problem}", f"{unit}s of {name} that are {problem}")

    return report


def _read(data_file: DataFile, checker: LineChecker, progress: _Progress) -> None:
    """Read a file once, and check all its lines."""
    if data_file.is_table:
        _read_table(data_file, checker, progress)
        return
    for chunk in data_file.chunks():
        checker.feed(chunk)
        progress.update(data_file.bytes)
    if not (data_file.failure or data_file.corruption):
        checker.end()


def _read_table(data_file: DataFile, checker: LineChecker, progress: _Progress) -> None:
    """Read the bytes of a Parquet file, and then check its contacts."""
    for _ in data_file.chunks():
        progress.update(data_file.bytes)
    if not data_file.failure:
        for records in data_file.raw_records():
            for record in records:
                checker.feed(record + b"\n")
            progress.notify_if_due()


def _differences(data_file: DataFile, checker: LineChecker, expected: FileSummary) -> Iterator[str]:
    if data_file.failure:
        yield data_file.failure
        return
    if data_file.bytes != expected.bytes:
        yield f"has {data_file.bytes} bytes, the manifest says {expected.bytes}"
    if data_file.sha256.hexdigest() != expected.sha256:
        yield "has a different SHA-256 from the one in the manifest"
    if data_file.corruption:
        yield data_file.corruption
        return
    if checker.bytes != expected.uncompressed_bytes:
        yield f"has {checker.bytes} bytes of {checker.unit}s, the manifest says {expected.uncompressed_bytes}"
    if checker.count != expected.contacts:
        yield f"has {checker.count} {checker.unit}s, the manifest says {expected.contacts} contacts"
