"""Check a finished export against its manifest: offline, reading only."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.archive.duplicates import Repeated, RepeatedIds
from exporter.archive.findings import Findings
from exporter.archive.finished import listed_files, look_for_libraries, manifest_at, place_of, shown, unfinished
from exporter.archive.line_checker import Lines
from exporter.archive.row_checker import CsvLines
from exporter.errors import ConfigError
from exporter.formats.facts import facts_of_file
from exporter.layout.data_file import Contents, failure_of, is_unreadable
from exporter.layout.paths import Place
from exporter.model import FileSummary, Summary
from exporter.text import count, one_line
from exporter.validation import check_callable, check_path

_MOST_FILES = 1_000
_TELL_EVERY_S = 0.25
_MAX_DETAILS, _MAX_DETAILS_OF_ALL = 2, 12


@dataclass(frozen=True, slots=True)
class Verifying:
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
class Verified:
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


def _ignore(_verifying: Verifying) -> None:
    """Observe nothing."""


def verify(path: str | os.PathLike[str], observer: Callable[[Verifying], None] = _ignore) -> Verified:
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
    place = place_of(Path(path))
    findings = Findings()
    summary = _summary_at(place, findings)
    if summary is None:
        return Verified(None, findings.sentences(), 0, findings.are_unreadable)
    files = listed_files(place, summary, findings)
    look_for_libraries(files)
    progress = _Progress(observer, sum(expected.bytes for _, expected in files))
    with RepeatedIds(summary.contacts, spare_folder=place.path.parent) as ids:
        for file, expected in files:
            progress.begin(file.name)
            details = Findings()
            contents, lines = Contents(file), _lines(file, summary, ids.add, details)
            _read(contents, lines, progress)
            findings.unreadable += contents.is_unreadable
            for difference in _differences(contents, lines, expected):
                findings.add(f"{shown(file.name)} {difference}", "differences of files", _MOST_FILES)
            _add_details(findings, details, is_damaged=contents.sha256.hexdigest() != expected.sha256)
        repeated = ids.count(progress.tell_if_due)
    progress.tell()
    warnings = tuple(_warnings(repeated))
    return Verified(summary, findings.sentences(), repeated.surplus, findings.are_unreadable, warnings)


def _warnings(repeated: Repeated) -> Iterator[str]:
    if repeated.surplus:
        examples = ", ".join(repr(example.decode(errors="backslashreplace")) for example in repeated.examples)
        number = count(repeated.surplus, "contact")
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

    def __init__(self, observer: Callable[[Verifying], None], bytes_total: int) -> None:
        self._observer = observer
        self._now = Verifying("", 0, bytes_total)
        self._bytes_before = 0
        self._told_at_s = time.monotonic()

    def begin(self, name: str) -> None:
        """Take note of the next file."""
        self._bytes_before = self._now.bytes_read
        self._now = replace(self._now, file=name)

    def at(self, file_bytes: int) -> None:
        """Take note of how much of the file has been read."""
        self._now = replace(self._now, bytes_read=self._bytes_before + file_bytes)
        self.tell_if_due()

    def tell_if_due(self) -> None:
        """Tell the observer, unless that has just been done."""
        if time.monotonic() - self._told_at_s >= _TELL_EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Tell the observer."""
        self._observer(self._now)
        self._told_at_s = time.monotonic()


def _summary_at(place: Place, findings: Findings) -> Summary | None:
    try:
        summary = manifest_at(place)
    except FileNotFoundError:
        findings.add(f"no manifest: {str(place.path)!r} is not a finished export{unfinished(place)}")
        return None
    except OSError as exc:
        findings.add(f"the manifest {failure_of(exc)}")
        findings.unreadable += is_unreadable(exc)
        return None
    if summary is None:
        findings.add("the manifest is damaged, or not one of this program's")
    return summary


def _lines(path: Path, summary: Summary, take_ids: Callable[[list[bytes]], None], findings: Findings) -> Lines:
    """Choose what looks at a file's lines, by its format."""
    facts = facts_of_file(path.name)
    if facts is not None and facts.has_rows:
        return CsvLines(take_ids, _report(path, findings, "row"), summary.columns, with_ids=summary.has_ids)
    strict = summary.records == "normalized"
    return Lines(take_ids, _report(path, findings, "line"), with_ids=summary.has_ids, strict=strict)


def _report(path: Path, findings: Findings, unit: str) -> Callable[[int, str], None]:
    name = shown(path.name)

    def report(number: int, what: str) -> None:
        place = f"{unit} {number}" if number else "the header"
        findings.add(f"{place} of {name} is {what}", f"{unit}s of {name} that are {what}")

    return report


def _read(contents: Contents, lines: Lines, progress: _Progress) -> None:
    """Read a file once, and all its lines."""
    if contents.is_table:
        _read_table(contents, lines, progress)
        return
    for piece in contents.pieces():
        lines.feed(piece)
        progress.at(contents.bytes)
    if not (contents.failure or contents.damage):
        lines.end()


def _read_table(contents: Contents, lines: Lines, progress: _Progress) -> None:
    """Read a file, and then the contacts in it."""
    for _ in contents.pieces():
        progress.at(contents.bytes)
    if not contents.failure:
        for records in contents.raw():
            for record in records:
                lines.feed(record + b"\n")
            progress.tell_if_due()


def _differences(contents: Contents, lines: Lines, expected: FileSummary) -> Iterator[str]:
    if contents.failure:
        yield contents.failure
        return
    if contents.bytes != expected.bytes:
        yield f"has {contents.bytes} bytes, the manifest says {expected.bytes}"
    if contents.sha256.hexdigest() != expected.sha256:
        yield "has another SHA-256 than the manifest says"
    if contents.damage:
        yield contents.damage
        return
    if lines.bytes != expected.uncompressed_bytes:
        yield f"has {lines.bytes} bytes of {lines.unit}s, the manifest says {expected.uncompressed_bytes}"
    if lines.count != expected.contacts:
        yield f"has {lines.count} {lines.unit}s, the manifest says {expected.contacts} contacts"
