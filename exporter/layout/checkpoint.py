"""The checkpoint file: the progress of an unfinished export, from which a later process can resume."""

import codecs
import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson

from exporter.errors import CheckpointError
from exporter.formats.facts import CONVERTED
from exporter.layout.atomic import remove, replace_durably, write_temporary
from exporter.layout.paths import LATE, LISTED, temporary_path
from exporter.layout.plan_progress import PlanProgress, TrackFiles
from exporter.layout.settings import OutputSettings
from exporter.layout.summary import FileSummary
from exporter.model import Position, Timeline

CHECKPOINT_VERSION, RANGES_VERSION = 1, 2
_MAX_BYTES = 1 << 26
_MAX_NUMBER, _MAX_AGAIN = 2**53, 2**16
_TRACK = re.compile(rf"[0-9]{{5,6}}|{LATE}|{LISTED}", re.ASCII)


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
        plan: for an export with several cursors, the progress of its ranges; `position` is then their sum.
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
    plan: PlanProgress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of an unfinished export. It covers only bytes that are on disk.

    Attributes:
        settings: the settings of the export.
        figures: the progress of the export.
        files: the finished data files; the last one may still have the name of a part.
        part: the unfinished part, with its committed length and the SHA-256 of
            those bytes; None before its first byte.
        tracks: for an export with several cursors, the files of each track by its name, instead of
            `files` and `part`.
        keys: for such an export, the committed length and the SHA-256 of the keys' file.
    """

    settings: OutputSettings
    figures: JobProgress
    files: tuple[FileSummary, ...] = ()
    part: FileSummary | None = None
    tracks: Mapping[str, TrackFiles] = field(default_factory=dict)
    keys: FileSummary | None = None

    @property
    def all_data_written(self) -> bool:
        """Whether every contact is written, so that only the final names and the manifest are missing."""
        position, limit = self.figures.position, self.settings.max_contacts
        return position.reached_end or (limit is not None and position.contacts >= limit)

    @property
    def all_files(self) -> tuple[FileSummary, ...]:
        """Every file, finished or not, that the checkpoint covers."""
        lists = (*self.tracks.values(), TrackFiles(files=self.files, part=self.part))
        return tuple(file for one in lists for file in (*one.files, *((one.part,) if one.part else ())))


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> int:
    """Replace the checkpoint at `path`; return its length in bytes.

    Durability:
        The new checkpoint is on disk when this returns. After a crash before
        that, the old one is still there.
    """
    fields = _fields_of_ranges(checkpoint) if checkpoint.figures.plan else _fields_of_list(checkpoint)
    content = orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        replace_durably(write_temporary(path, content), path)
    except OSError:
        remove(temporary_path(path))
        raise
    return len(content)


def _fields_of_list(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the members of version 1, which the list has."""
    fields: dict[str, Any] = {"checkpoint_version": CHECKPOINT_VERSION, **dataclasses.asdict(checkpoint)}
    del fields["tracks"], fields["keys"], fields["figures"]["plan"]
    fields["figures"]["timeline"] = orjson.Fragment(orjson.dumps(fields["figures"]["timeline"]))  # on one line
    return fields


def _fields_of_ranges(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the members of version 2, which exports with several cursors have. Each range is on one line."""
    totals = dataclasses.asdict(checkpoint.figures)
    plan = totals.pop("plan")
    del totals["trail"]  # each range has its own
    totals["matched_fields"] = totals.pop("found")
    totals["timeline"] = orjson.Fragment(orjson.dumps(totals["timeline"]))
    opened, finished = plan.pop("open"), plan.pop("finished")
    plan["ranges"] = [orjson.Fragment(orjson.dumps(one)) for one in plan["ranges"]]
    files = {name: dataclasses.asdict(files) for name, files in checkpoint.tracks.items()}
    nothing = dataclasses.asdict(TrackFiles())
    return {
        "checkpoint_version": RANGES_VERSION,
        "settings": dataclasses.asdict(checkpoint.settings),
        "plan_sha256": plan.pop("plan_sha256"),
        "totals": totals,
        "plan": plan,
        "keys": checkpoint.keys and dataclasses.asdict(checkpoint.keys),
        "finished": {
            name: orjson.Fragment(orjson.dumps(files.get(name, nothing)["files"])) for name in sorted(finished)
        },
        "open": {
            name: orjson.Fragment(orjson.dumps({**opened[name], **files.get(name, nothing)})) for name in sorted(opened)
        },
    }


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
        version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("checkpoint_version", b"")
        read = _READERS.get(bytes(version))
        if read is not None and is_consistent(checkpoint := read(content)):
            return checkpoint
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise CheckpointError(
        f"the checkpoint {str(path)!r} is damaged or of another version: use --restart to start over", path=path
    )


def _read_list(content: bytes) -> Checkpoint:
    return msgspec.json.decode(content, type=Checkpoint)


class _Ranges(msgspec.Struct):
    """The members of version 2."""

    settings: OutputSettings
    plan_sha256: str
    totals: dict[str, Any]
    plan: dict[str, Any]
    finished: dict[str, tuple[FileSummary, ...]]
    open: dict[str, dict[str, Any]]
    keys: FileSummary | None = None


def _read_ranges(content: bytes) -> Checkpoint:
    stored = msgspec.json.decode(content, type=_Ranges)
    files = {name: TrackFiles(files=finished) for name, finished in stored.finished.items()}
    files |= {name: msgspec.convert(one, TrackFiles) for name, one in stored.open.items()}
    plan = {**stored.plan, "plan_sha256": stored.plan_sha256, "finished": [*stored.finished], "open": stored.open}
    totals = {**stored.totals, "found": stored.totals.get("matched_fields", ()), "plan": plan}
    return Checkpoint(
        settings=stored.settings, figures=msgspec.convert(totals, JobProgress), tracks=files, keys=stored.keys
    )


_READERS = {b"%d" % CHECKPOINT_VERSION: _read_list, b"%d" % RANGES_VERSION: _read_ranges}


def is_consistent(checkpoint: Checkpoint) -> bool:
    """Return whether the files' totals match the position, and the position tells where to resume."""
    figures, position, files = checkpoint.figures, checkpoint.figures.position, checkpoint.all_files
    totals = [("contacts", "contacts"), ("uncompressed_bytes", "uncompressed_bytes")]
    if f".{checkpoint.settings.format}" != CONVERTED:  # for a converted format, `written_bytes` counts journal bytes
        totals.append(("bytes", "written_bytes"))
    return (
        _in_range(figures)
        and _in_range(position)
        and all(map(_in_range, files))
        and all(sum(getattr(file, name) for file in files) == getattr(position, total) for name, total in totals)
        and not (position.reached_end and position.next_cursor is not None)
        and (_are_consistent_tracks(checkpoint) if figures.plan else _tells_where_to_resume(checkpoint))
        and figures.runs >= 1
        and figures.timeline.is_valid
    )


def _tells_where_to_resume(checkpoint: Checkpoint) -> bool:
    position = checkpoint.figures.position
    has_cursor = position.next_cursor is not None
    return (position.pages > 0 and checkpoint.all_data_written) or has_cursor == (position.pages > 0)


def _are_consistent_tracks(checkpoint: Checkpoint) -> bool:
    """Return whether the files of each open track match its position, and no track is both finished and open."""
    plan = checkpoint.figures.plan
    if plan is None or not _is_plausible(plan) or (plan.proof is not None and plan.open):
        return False
    if checkpoint.figures.position.contacts and checkpoint.keys is None and plan.proof is None:
        return False
    if set(plan.open) & set(plan.finished) or not set(checkpoint.tracks) <= {*plan.open, *plan.finished}:
        return False
    for name, one in plan.open.items():
        track = checkpoint.tracks.get(name, TrackFiles())
        written = sum(file.contacts for file in (*track.files, *((track.part,) if track.part else ())))
        if written != one.position.contacts or not _in_range(one.position) or not _in_range(one):
            return False
    return True


def _is_plausible(plan: PlanProgress) -> bool:
    """Return whether names and numbers are such as this program writes."""
    names = {*plan.open, *plan.finished, *plan.again}
    return (
        all(map(_TRACK.fullmatch, names))
        and _in_range(plan)
        and all(0 <= times < _MAX_AGAIN for times in plan.again.values())
        and all(map(_in_range, plan.ranges))
        and (plan.proof is None or _in_range(plan.proof))
    )


def _in_range(record: Any) -> bool:
    """Return whether every number is between 0 and 2**53: other numbers come from a damaged file."""
    values = [getattr(record, name) for name in record.__slots__]
    if isinstance(record, JobProgress):
        values += (*record.retries.values(), *record.lists_missing_causes.values(), *record.corrections.values())
        values += (count for kinds in record.schema_drift.values() for count in kinds.values())
    return all(0 <= value < _MAX_NUMBER for value in values if isinstance(value, int | float))
