"""Names of outputs: dates in them, and the folders that they need."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from glob import escape, glob
from pathlib import Path

from exporter.destination.preconditions import finished_summary
from exporter.errors import CheckpointError, ConfigError
from exporter.layout.atomic import sync_folder
from exporter.layout.checkpoint import Checkpoint, load_checkpoint
from exporter.layout.paths import OutputPaths, is_folder_output, standing

REPORT_SUFFIX = ".report.html"
"""Follows the name of an export in the name of its report."""

_FORMATS = {"{date}": "%Y-%m-%d", "{time}": "%H%M%S"}
_DIGITS = {"{date}": "[0-9]" * 4 + ("-" + "[0-9]" * 2) * 2, "{time}": "[0-9]" * 6}
_FIELD = re.compile(r"(\{date\}|\{time\})")
_StartTime = tuple[str, str]
"""When an export was started: date and time, as names have them."""


def resolve_output_name(output: str, now: datetime | None = None, *, restart: bool = False) -> str:
    """Return an output's name with the date and time of its first run.

    If the latest export whose name fits is unfinished, its name is returned:
    the same command resumes it on another day.

    Args:
        output: as the user gave it, with `{date}` and `{time}` in UTC.
        now: the time; default: now.
        restart: whether a new export is started in any case.
    """
    if not _FIELD.search(output):
        return output
    starts_over = restart or "\0" in output  # no file has such a name
    return (None if starts_over else _NamePattern(output).latest_unfinished()) or fill_in_date(output, now)


def fill_in_date(output: str, now: datetime | None = None) -> str:
    """Return an output's name with the date and time of a new export."""
    now = now or datetime.now(UTC)
    return _FIELD.sub(lambda field: now.strftime(_FORMATS[field[0]]), output)


@contextmanager
def naming_resumed_export(pattern: str, output: str) -> Iterator[None]:
    """Add to errors about a checkpoint that the export was started on another day, and what to do.

    Args:
        pattern: the output as the user gave it.
        output: its name in this run.
    """
    try:
        yield
    except CheckpointError as error:
        if output == fill_in_date(pattern):
            raise
        advice = f"{output!r} was started earlier: --restart keeps it and starts an export under a new name"
        raise CheckpointError(f"{error} ({advice})", path=error.path) from error.__cause__


def is_output_file(output: str, path: str) -> bool:
    """Return whether an export to this output, started at any time, has a file at an absolute path."""
    pieces = _FIELD.split(os.path.realpath(output))
    endings = "(/.*)?" if is_folder_output(output) else r"(\.part|\.checkpoint\.json|\.manifest\.json)?(\.tmp)?"
    return re.fullmatch(f"{_regex_of(pieces)}{endings}", path, re.DOTALL) is not None


def make_parents(output: str) -> None:
    """Create the missing folders above an output, for their owner alone, and durable.

    Raises:
        ConfigError: one cannot be created.
    """
    missing = [folder for folder in Path(output).parents if not os.path.lexists(folder)]
    try:
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "invalid path"
        raise ConfigError(f"the folder of {output!r} cannot be created: {reason}") from None


class _NamePattern:
    """A name with dates in it, and the exports whose names fit it.

    Args:
        output: the name, as the user gave it.
    """

    def __init__(self, output: str) -> None:
        pieces = _FIELD.split(str(Path(output)))  # as `glob` spells what it finds
        self._slash = output[len(output.rstrip(os.sep)) :]
        self._glob = "".join(_DIGITS.get(piece) or escape(piece) for piece in pieces)
        self._is_folder = is_folder_output(output)
        self._names = re.compile(_regex_of(pieces), re.DOTALL)

    def latest_unfinished(self) -> str | None:
        """Return the name of the latest unfinished export; None where a later one is finished."""
        unfinished = max(self._unfinished(), default=None)
        if unfinished is None or any(started > unfinished[0] for started in self._finished()):
            return None
        return f"{unfinished[1]}{self._slash}"

    def _unfinished(self) -> Iterator[tuple[_StartTime, str]]:
        for place, name in self._matching_outputs("checkpoint"):
            if checkpoint := _resumable(place):
                yield _start_time(name, checkpoint.figures.started_at), str(place.path)

    def _finished(self) -> Iterator[_StartTime]:
        for place, name in self._matching_outputs("manifest"):
            with suppress(OSError):
                if _is_regular_file(standing(place, place.manifest)) and (summary := finished_summary(place)):
                    yield _start_time(name, summary.started_at)

    def _matching_outputs(self, kind: str) -> Iterator[tuple[OutputPaths, re.Match[str]]]:
        """Yield the outputs that have a checkpoint or a manifest, under names with valid dates."""
        place = OutputPaths(Path(self._glob), "", is_folder=self._is_folder)
        for path in map(str, place.names_of(getattr(place, kind))):
            for match in glob(path):  # noqa: PTH207 - a pattern that may begin at the root
                output = match.removesuffix(path.removeprefix(self._glob))
                name = self._names.fullmatch(output)
                if name and _is_valid_time(name):
                    yield replace(place, path=Path(output)), name


def _regex_of(pieces: list[str]) -> str:
    """Return the regular expression of a name in pieces; a date that comes again is the same."""
    expression = ""
    for index, piece in enumerate(pieces):
        group = piece.strip("{}")
        if piece not in _FORMATS:
            expression += re.escape(piece)
        else:
            expression += f"(?P={group})" if piece in pieces[:index] else f"(?P<{group}>{_DIGITS[piece]})"
    return expression


def _is_valid_time(name: re.Match[str]) -> bool:
    """Return whether the date and time in a name exist."""
    try:
        for group, digits in name.groupdict().items():
            datetime.strptime(digits, _FORMATS[f"{{{group}}}"]).replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def _start_time(name: re.Match[str], started_at: str) -> _StartTime:
    """Return when an export was started: by its name, and by its figures where that has no date."""
    fields = name.groupdict()
    return fields.get("date", started_at[: len("2026-11-26")]), fields.get("time", "")


def _resumable(place: OutputPaths) -> Checkpoint | None:
    """Return the checkpoint of an export that has a page and is not finished."""
    path = standing(place, place.checkpoint)
    try:
        checkpoint = load_checkpoint(path) if _is_regular_file(path) else None
    except (CheckpointError, OSError):  # not of this program, or unreadable
        return None
    if checkpoint is None or not checkpoint.figures.position.pages:
        return None
    place = replace(place, suffix=f".{checkpoint.settings.format}")
    return None if _is_finished_or_taken(place, checkpoint) else checkpoint


def _is_finished_or_taken(place: OutputPaths, checkpoint: Checkpoint) -> bool:
    """Return whether an output is finished, or another file has its name: neither is ever replaced on another day."""
    if any(map(os.path.lexists, place.names_of(place.manifest))):
        return place.is_folder or checkpoint.all_data_written or os.path.lexists(place.path)
    is_this = checkpoint.all_data_written and not os.path.lexists(place.staging(1))
    return not place.is_folder and os.path.lexists(place.path) and not is_this


def _is_regular_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)
