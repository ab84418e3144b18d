"""The checkpoint file: the progress of an unfinished export, from which a later process can resume."""

import codecs
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson

from exporter.errors import CheckpointError
from exporter.formats.facts import BY_NAME, CONVERTED
from exporter.layout.atomic import remove, replace_durably, write_temporary
from exporter.layout.paths import temporary_path
from exporter.model import FileSummary, Position, Summary, Timeline

CHECKPOINT_VERSION = 1
LIST_ENDPOINT, SEARCH_ENDPOINT = "/contacts", "/contacts/search"
_MAX_BYTES = 1 << 26
_MAX_NUMBER = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """The settings that determine an output's bytes. Only a run with the same settings can resume.

    Attributes:
        base_url: the API's base URL, or the name that stands for it in the output.
        endpoint: path of the listing endpoint.
        api_version: the requested API version.
        per_page: the requested number of contacts per page.
        format: the data files' suffix without its dot.
        max_contacts: the maximum number of contacts, None for no limit.
        part_contacts: the maximum number of contacts in a part, None for no limit.
        part_bytes: the maximum number of bytes in a part, None for a single file.
        fields: the selected fields, empty for all.
        dropped: the fields that are removed.
        pseudonymised: the fields whose values are replaced by pseudonyms.
        pseudonym_key: hexadecimal digits that identify the key of the pseudonyms; None without pseudonyms.
        expanded: the lists that are expanded.
        tag_names: whether names are added to tags.
        csv_raw: for CSV, whether formulas stay unescaped; None for other formats.
        csv_bom: for CSV, whether each file starts with a UTF-8 byte-order mark.
        csv_phones: for CSV that is not raw, whether phone numbers stay unescaped. Early versions prefixed them with
            an apostrophe.
        records: how contacts are written, "exact" or "normalized".
    """

    base_url: str
    endpoint: str
    api_version: str
    per_page: int
    format: str
    max_contacts: int | None = None
    part_contacts: int | None = None
    part_bytes: int | None = None
    fields: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    pseudonymised: tuple[str, ...] = ()
    pseudonym_key: str | None = None
    expanded: tuple[str, ...] = ()
    tag_names: bool = False
    csv_raw: bool | None = None
    csv_bom: bool = False
    csv_phones: bool = False
    records: str = "exact"

    def differences(self, other: "OutputSettings") -> str:
        """Return the names of the settings that differ, for a message; empty if none differs.

        The page size counts only if the bytes depend on it.
        """
        names = [name for name in self.__slots__ if getattr(self, name) != getattr(other, name)]
        if names == ["per_page"] and not self.why_pages_matter:
            return ""
        return ", ".join(name.replace("_", " ") for name in names)

    @property
    def named_paths(self) -> tuple[str, ...]:
        """Every field path in the settings: selected, dropped and pseudonymised."""
        return (*self.fields, *self.dropped, *self.pseudonymised)

    @property
    def why_pages_matter(self) -> str:
        """The reason why the bytes depend on the page size; empty if they do not."""
        if self.part_bytes is not None:
            return "a part holds whole pages, so the bytes depend on --per-page"
        if self.format in BY_NAME and BY_NAME[self.format].compression:
            return "each page is compressed by itself, so the bytes depend on --per-page"
        return ""


_SUMMARY_NAMES = {"max_contacts": "limited_to_contacts"}
"""Settings that have another name in a summary."""

_NOT_IN_SUMMARY = ("base_url", "endpoint", "api_version", "per_page", "format")
"""Settings that are in the summary's `source` or in its files' names, not in fields of the summary."""


def summary_settings(settings: OutputSettings) -> dict[str, Any]:
    """Return the settings by their names in a summary and in a manifest."""
    names = (field.name for field in dataclasses.fields(OutputSettings) if field.name not in _NOT_IN_SUMMARY)
    return {_SUMMARY_NAMES.get(name, name): getattr(settings, name) for name in names}


def settings_of(summary: Summary, file_format: str) -> OutputSettings:
    """Return the settings of a finished export.

    Args:
        summary: the summary in its manifest.
        file_format: the suffix of its files without the dot.
    """
    source = summary.source
    names = (field.name for field in dataclasses.fields(OutputSettings) if field.name not in _NOT_IN_SUMMARY)
    return OutputSettings(
        base_url=source.base_url,
        endpoint=source.endpoint,
        api_version=source.api_version,
        per_page=source.per_page,
        format=file_format,
        **{name: getattr(summary, _SUMMARY_NAMES.get(name, name)) for name in names},
    )


def csv_settings(raw: bool | None, *, bom: bool) -> dict[str, Any]:
    """Return the CSV settings by name; `raw` is None for other formats."""
    return {"csv_raw": raw, "csv_bom": bom, "csv_phones": raw is False}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """The progress of an export and its statistics, summed over all its runs.

    Attributes:
        position: the position up to which all contacts are written.
        trail: the state of the loop guard at that position.
        started_at: start time of the first run.
        runs: number of runs so far, the current one included.
        total_count_first: the API's contact count on the first page, None if the page had none.
        total_count_last: the API's contact count on the latest page, None if the page had none.
        api_version_echoed: the API version in the latest page's response, None if it named none.
        requests: requests sent; each attempt counts.
        retries: repeated attempts, by cause.
        rate_limit_wait_s: seconds spent waiting for the API's rate-limit window.
        found: the fields in the settings that at least one contact had.
        lists_expanded: number of lists that were expanded.
        lists_missing: number of lists that could not be expanded.
        lists_missing_causes: the same number by cause.
        columns: for a table, the field paths of its columns.
        schema_checked: number of contacts that were compared with the schema.
        schema_drift: number of those contacts with schema drift, by field path and by the type that was found.
        corrections: number of corrections that normalized the contacts, by kind.
        irregular_contacts: number of checked contacts that strict JSON readers reject or change.
        timeline: contacts, retries and waits over time.
    """

    position: Position = field(default_factory=Position)
    trail: str = ""
    started_at: str = ""
    runs: int = 1
    total_count_first: int | None = None
    total_count_last: int | None = None
    api_version_echoed: str | None = None
    requests: int = 0
    retries: Mapping[str, int] = field(default_factory=dict)
    rate_limit_wait_s: float = 0.0
    found: tuple[str, ...] = ()
    lists_expanded: int = 0
    lists_missing: int = 0
    lists_missing_causes: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    schema_checked: int = 0
    schema_drift: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    corrections: Mapping[str, int] = field(default_factory=dict)
    irregular_contacts: int = 0
    timeline: Timeline = Timeline()  # noqa: RUF009 - a Timeline is immutable


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of an unfinished export. It covers only bytes that are on disk.

    Attributes:
        settings: the settings of the export.
        figures: the progress of the export.
        files: the finished data files; the last one may still have the name of a part.
        part: the unfinished part, with its committed length and the SHA-256 of
            those bytes; None before its first byte.
    """

    settings: OutputSettings
    figures: JobProgress
    files: tuple[FileSummary, ...] = ()
    part: FileSummary | None = None

    @property
    def all_data_written(self) -> bool:
        """Whether every contact is written, so that only the final names and the manifest are missing."""
        position, limit = self.figures.position, self.settings.max_contacts
        return position.reached_end or (limit is not None and position.contacts >= limit)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> int:
    """Replace the checkpoint at `path`; return its length in bytes.

    Durability:
        The new checkpoint is on disk when this returns. After a crash before
        that, the old one is still there.
    """
    fields: dict[str, Any] = {"checkpoint_version": CHECKPOINT_VERSION, **dataclasses.asdict(checkpoint)}
    fields["figures"]["timeline"] = orjson.Fragment(orjson.dumps(fields["figures"]["timeline"]))  # on one line
    content = orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        replace_durably(write_temporary(path, content), path)
    except OSError:
        remove(temporary_path(path))
        raise
    return len(content)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint at `path`, None if there is none.

    Raises:
        CheckpointError: the file is damaged, or not a checkpoint of this version.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES).removeprefix(codecs.BOM_UTF8)  # a text editor may have added one
    except FileNotFoundError:
        return None
    try:
        version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("checkpoint_version")
        if version is not None and bytes(version) == b"%d" % CHECKPOINT_VERSION:
            checkpoint = msgspec.json.decode(content, type=Checkpoint)
            if _is_consistent(checkpoint):
                return checkpoint
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise CheckpointError(
        f"the checkpoint {str(path)!r} is damaged or of another version: use --restart to start over", path=path
    )


def _is_consistent(checkpoint: Checkpoint) -> bool:
    """Return whether the files' totals match the position, and the position tells where to resume."""
    figures, position = checkpoint.figures, checkpoint.figures.position
    files = (*checkpoint.files, *((checkpoint.part,) if checkpoint.part else ()))
    totals = [("contacts", "contacts"), ("uncompressed_bytes", "uncompressed_bytes")]
    if f".{checkpoint.settings.format}" != CONVERTED:  # for a converted format, `written_bytes` counts journal bytes
        totals.append(("bytes", "written_bytes"))
    has_cursor = position.next_cursor is not None
    return (
        all(map(_in_range, (figures, position, *files)))
        and all(sum(getattr(file, name) for file in files) == getattr(position, total) for name, total in totals)
        and not (position.reached_end and has_cursor)
        and ((position.pages > 0 and checkpoint.all_data_written) or has_cursor == (position.pages > 0))
        and figures.runs >= 1
        and figures.timeline.is_valid
    )


def _in_range(record: JobProgress | Position | FileSummary) -> bool:
    """Return whether every number is between 0 and 2**53: other numbers come from a damaged file."""
    values = [getattr(record, name) for name in record.__slots__]
    if isinstance(record, JobProgress):
        values += (*record.retries.values(), *record.lists_missing_causes.values(), *record.corrections.values())
        values += (count for kinds in record.schema_drift.values() for count in kinds.values())
    return all(0 <= value < _MAX_NUMBER for value in values if isinstance(value, int | float))
