"""The checkpoint: how far an unfinished export has got, in words that a later process can trust."""

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
_MAX_BYTES = 1 << 26
_MOST = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """What decides an output's bytes: only a run with the same settings resumes.

    Attributes:
        base_url: the API's address, or the name it is remembered by.
        endpoint: path of the listing.
        api_version: the version asked for.
        per_page: contacts per page asked for.
        format: the data files' suffix without its dot.
        max_contacts: the limit, None without one.
        part_contacts: most contacts in a part, None without that limit.
        part_bytes: most bytes in a part, None for a single file.
        fields: the fields that are chosen, empty for all.
        dropped: the fields that are left out.
        pseudonymised: the fields that get pseudonyms.
        pseudonym_key: digits that another key would not have.
        expanded: the lists that are completed.
        tag_names: whether tags get their names.
        csv_raw: of CSV, whether formulas stay; None for other formats.
        csv_bom: of CSV, whether each file begins with a UTF-8 byte-order mark.
        csv_phones: of CSV that is not raw, whether phone numbers stay as they are; once they got an apostrophe.
        records: how contacts are written, exact or normalized.
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
        """Name the settings that differ, for a sentence; empty when none does.

        The page size is none of them where the bytes do not depend on it.
        """
        names = [name for name in self.__slots__ if getattr(self, name) != getattr(other, name)]
        if names == ["per_page"] and not self.why_pages_matter:
            return ""
        return ", ".join(name.replace("_", " ") for name in names)

    @property
    def named_paths(self) -> tuple[str, ...]:
        """Every path of a field that the settings name."""
        return (*self.fields, *self.dropped, *self.pseudonymised)

    @property
    def why_pages_matter(self) -> str:
        """Why another page size makes other bytes; empty where it does not."""
        if self.part_bytes is not None:
            return "a part holds whole pages, so the bytes depend on --per-page"
        if self.format in BY_NAME and BY_NAME[self.format].compression:
            return "each page is compressed by itself, so the bytes depend on --per-page"
        return ""


_SUMMARY_NAMES = {"max_contacts": "limited_to_contacts"}
"""Settings that a summary has under another name."""

_NOT_SUMMED = ("base_url", "endpoint", "api_version", "per_page", "format")
"""Settings that a summary has in its source, or in its files' names."""


def summary_settings(settings: OutputSettings) -> dict[str, Any]:
    """Return settings under the names that a summary, and so a manifest, has for them."""
    names = (one.name for one in dataclasses.fields(OutputSettings) if one.name not in _NOT_SUMMED)
    return {_SUMMARY_NAMES.get(name, name): getattr(settings, name) for name in names}


def settings_of(summary: Summary, file_format: str) -> OutputSettings:
    """Return the settings that a finished export was made with.

    Args:
        summary: of its manifest.
        file_format: the suffix of its files without the dot.
    """
    source = summary.source
    names = (one.name for one in dataclasses.fields(OutputSettings) if one.name not in _NOT_SUMMED)
    return OutputSettings(
        base_url=source.base_url,
        endpoint=source.endpoint,
        api_version=source.api_version,
        per_page=source.per_page,
        format=file_format,
        **{name: getattr(summary, _SUMMARY_NAMES.get(name, name)) for name in names},
    )


def csv_settings(raw: bool | None, *, bom: bool) -> dict[str, Any]:
    """Return the settings of CSV: `raw` is None for other formats."""
    return {"csv_raw": raw, "csv_bom": bom, "csv_phones": raw is False}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """How far an export has got and what that took, all its runs together.

    Attributes:
        position: up to where everything is written.
        trail: what the loop guard remembers there.
        started_at: when the first run began.
        runs: runs so far, the present one included.
        total_count_first: the API's count on the first page, None without one.
        total_count_last: the API's count on the latest page, None without one.
        api_version_echoed: the API version of the latest page, None when it did not say.
        requests: requests sent, every attempt counted.
        retries: attempts repeated, by cause.
        rate_limit_wait_s: seconds spent waiting for the API's rate-limit window.
        found: of the fields that the settings name, those that some contact had.
        lists_expanded: lists of contacts that were completed.
        lists_missing: lists that could not be.
        lists_missing_causes: the same by cause.
        columns: of a table, the paths of the fields that they are.
        schema_checked: contacts that were compared with the schema.
        schema_drift: by path and kind, in how many of those a field was not as documented.
        corrections: by kind, what was corrected to normalize contacts.
        irregular_contacts: contacts that were checked and that strict readers refuse or change.
        timeline: how it went.
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
    timeline: Timeline = Timeline()  # noqa: RUF009 - it cannot be changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of an unfinished export. It never speaks of bytes that are not on disk.

    Attributes:
        settings: of the export.
        figures: how far it has got.
        files: data files that are written to their ends; the last one may still
            have its part's name.
        part: the part that is resumed: its committed length and the hash of that;
            None before its first byte.
    """

    settings: OutputSettings
    figures: JobProgress
    files: tuple[FileSummary, ...] = ()
    part: FileSummary | None = None

    @property
    def all_data_written(self) -> bool:
        """Whether nothing is to be appended any more: what is missing are names and the manifest."""
        position, limit = self.figures.position, self.settings.max_contacts
        return position.reached_end or (limit is not None and position.contacts >= limit)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> int:
    """Replace the checkpoint at `path`; return its length.

    Durability:
        The new one is on disk when this returns; whatever dies before leaves
        the old one.
    """
    figures: dict[str, Any] = {"checkpoint_version": CHECKPOINT_VERSION, **dataclasses.asdict(checkpoint)}
    figures["figures"]["timeline"] = orjson.Fragment(orjson.dumps(figures["figures"]["timeline"]))  # on one line
    content = orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        replace_durably(write_temporary(path, content), path)
    except OSError:
        remove(temporary_path(path))
        raise
    return len(content)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Read the checkpoint at `path`, None when there is none.

    Raises:
        CheckpointError: it is damaged, or no checkpoint of ours.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES).removeprefix(codecs.BOM_UTF8)  # an editor may have saved it again
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
    """Whether it makes sense: the files together are what the position says, and it is clear where to resume."""
    figures, position = checkpoint.figures, checkpoint.figures.position
    files = (*checkpoint.files, *((checkpoint.part,) if checkpoint.part else ()))
    sums = [("contacts", "contacts"), ("uncompressed_bytes", "uncompressed_bytes")]
    if f".{checkpoint.settings.format}" != CONVERTED:  # else the position is one in their journals
        sums.append(("bytes", "written_bytes"))
    goes_on = position.next_cursor is not None
    return (
        all(map(_in_range, (figures, position, *files)))
        and all(sum(getattr(file, mine) for file in files) == getattr(position, whole) for mine, whole in sums)
        and not (position.reached_end and goes_on)
        and ((position.pages > 0 and checkpoint.all_data_written) or goes_on == (position.pages > 0))
        and figures.runs >= 1
        and figures.timeline.is_valid
    )


def _in_range(figures: JobProgress | Position | FileSummary) -> bool:
    """Whether all its numbers are such as can be counted to."""
    values = [getattr(figures, name) for name in figures.__slots__]
    if isinstance(figures, JobProgress):
        values += (*figures.retries.values(), *figures.lists_missing_causes.values(), *figures.corrections.values())
        values += (count for kinds in figures.schema_drift.values() for count in kinds.values())
    return all(0 <= value < _MOST for value in values if isinstance(value, int | float))
