"""Check a finished export against its manifest: offline, reading only."""

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
from exporter.model import FileSummary, Summary
from exporter.text import count, one_line
from exporter.validation import check_callable, check_path

_MAX_FILES = 1_000
_NOTIFY_INTERVAL_S = 0.25
_MAX_DETAILS, _MAX_DETAILS_OF_ALL = 2, 12


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    """How far a verification has got.

    Attributes:
        file: name of the file being read, or of the last one read.
        bytes_read: of all files together, as they are on disk.
        bytes_total: of all files together, as the manifest says.
    """

    file: str
    bytes_read: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What a verification found.

    Attributes:
        summary: the manifest's figures, None when there is no manifest that can be read.
        differences: one sentence each, safe to print; none when the export is
            what its manifest says. Of a contact they name no more than its id.
        duplicates: contacts whose id an earlier contact had: no damage, since the API takes no snapshot.
        unreadable: whether all of the differences are files that cannot be read:
            permissions, or a failing disk. Then nothing is known to differ.
        warnings: one sentence each about what is no difference, such as duplicates.
    """

    summary: Summary | None
    differences: tuple[str, ...]
    duplicates: int
    unreadable: bool = False
    warnings: tuple[str, ...] = ()


def _ignore(_verifying: VerifyProgress) -> None:
    """Observe nothing."""


def verify(path: str | os.PathLike[str], observer: Callable[[VerifyProgress], None] = _ignore) -> VerifyResult:
    """Compare a finished export with its manifest, and look at every line of it. Blocks.

    Of an export without ids, by choice of its fields, duplicates cannot be told.
    Nothing is written but, for an export of more than 100,000 contacts, ids
    into the temporary folder, or beside the export where the system has none
    that can be written: some 30 bytes a contact. Memory does not grow with the
    export.

    Args:
        path: the file, or the folder of its parts, or the manifest.
        observer: called some four times a second, and at the end; what it
            raises ends the verification.

    Raises:
        ConfigError: neither an export nor a manifest is there, or the extra
            that its format needs is not installed.
        SinkError: there is no room for the ids.
    """
    check_path(path)
    check_callable("observer", observer)
    if not os.fspath(path):
        raise ConfigError("there is no path to verify")
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
            progress.begin(file.name)
            details = Findings()
            contents, lines = DataFile(file), _checker_of(file, summary, ids.add, details)
            _read(contents, lines, progress)
            findings.unreadable += contents.is_unreadable
            for difference in _differences(contents, lines, expected):
                findings.add(f"{quote_name(file.name)} {difference}", "differences of files", _MAX_FILES)
            _add_details(findings, details, is_damaged=contents.sha256.hexdigest() != expected.sha256)
        repeated = ids.count(progress.notify_if_due)
    progress.notify()
    warnings = tuple(_warnings(repeated))
    return VerifyResult(summary, findings.sentences(), repeated.count, findings.are_unreadable, warnings)


def _warnings(repeated: Duplicates) -> Iterator[str]:
    if repeated.count:
        examples = ", ".join(repr(example.decode(errors="backslashreplace")) for example in repeated.examples)
        number = count(repeated.count, "contact")
        yield one_line(
            f"{number} with the id of an earlier one, for example {examples}: "
            "the API takes no snapshot, so a contact that changes while the list is read can be listed twice"
        )


def _add_details(findings: Findings, details: Findings, *, is_damaged: bool) -> None:
    """Add what is wrong with the lines of a file; few sentences where its bytes are known to be others."""
    for sentence in details.sentences(_MAX_DETAILS if is_damaged else None):
        findings.add(sentence, *(("details of damaged files", _MAX_DETAILS_OF_ALL) if is_damaged else ()))


class _Progress:
    """How far it has got; an observer is told now and then."""

    def __init__(self, observer: Callable[[VerifyProgress], None], bytes_total: int) -> None:
        self._observer = observer
        self._now = VerifyProgress("", 0, bytes_total)
        self._bytes_before = 0
        self._notified_at_s = time.monotonic()

    def begin(self, name: str) -> None:
        """Take note of the next file."""
        self._bytes_before = self._now.bytes_read
        self._now = replace(self._now, file=name)

    def at(self, file_bytes: int) -> None:
        """Take note of how much of the file has been read."""
        self._now = replace(self._now, bytes_read=self._bytes_before + file_bytes)
        self.notify_if_due()

    def notify_if_due(self) -> None:
        """Tell the observer, unless that has just been done."""
        if time.monotonic() - self._notified_at_s >= _NOTIFY_INTERVAL_S:
            self.notify()

    def notify(self) -> None:
        """Tell the observer."""
        self._observer(self._now)
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
        findings.add("the manifest is damaged, or not one of this program's")
    return summary


def _checker_of(path: Path, summary: Summary, on_ids: Callable[[list[bytes]], None], findings: Findings) -> LineChecker:
    """Choose what looks at a file's lines, by its format."""
    facts = facts_of_file(path.name)
    if facts is not None and facts.has_rows:
        return CsvChecker(on_ids, _report(path, findings, "row"), summary.columns, with_ids=summary.has_ids)
    strict = summary.records == "normalized"
    return LineChecker(on_ids, _report(path, findings, "line"), with_ids=summary.has_ids, strict=strict)


def _report(path: Path, findings: Findings, unit: str) -> Callable[[int, str], None]:
    name = quote_name(path.name)

    def report(number: int, what: str) -> None:
        paths = f"{unit} {number}" if number else "the header"
        findings.add(f"{paths} of {name} is {what}", f"{unit}s of {name} that are {what}")

    return report


def _read(contents: DataFile, lines: LineChecker, progress: _Progress) -> None:
    """Read a file once, and all its lines."""
    if contents.is_table:
        _read_table(contents, lines, progress)
        return
    for piece in contents.chunks():
        lines.feed(piece)
        progress.at(contents.bytes)
    if not (contents.failure or contents.corruption):
        lines.end()


def _read_table(contents: DataFile, lines: LineChecker, progress: _Progress) -> None:
    """Read a file, and then the contacts in it."""
    for _ in contents.chunks():
        progress.at(contents.bytes)
    if not contents.failure:
        for records in contents.raw_records():
            for record in records:
                lines.feed(record + b"\n")
            progress.notify_if_due()


def _differences(contents: DataFile, lines: LineChecker, expected: FileSummary) -> Iterator[str]:
    if contents.failure:
        yield contents.failure
        return
    if contents.bytes != expected.bytes:
        yield f"has {contents.bytes} bytes, the manifest says {expected.bytes}"
    if contents.sha256.hexdigest() != expected.sha256:
        yield "has another SHA-256 than the manifest says"
    if contents.corruption:
        yield contents.corruption
        return
    if lines.bytes != expected.uncompressed_bytes:
        yield f"has {lines.bytes} bytes of {lines.unit}s, the manifest says {expected.uncompressed_bytes}"
    if lines.count != expected.contacts:
        yield f"has {lines.count} {lines.unit}s, the manifest says {expected.contacts} contacts"
