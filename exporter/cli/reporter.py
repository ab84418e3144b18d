"""What a run says on stderr: retries and waits in a line each, progress as a bar or as JSON, and a last line."""

import io
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.cli.exits import READER_GONE, complain, exit_code, say
from exporter.cli.settings import ReportOptions
from exporter.cli.telling import Events
from exporter.errors import ExporterError, one_line
from exporter.events import (
    AttributesUntold,
    Committed,
    Event,
    OldVersion,
    PageWritten,
    Resumed,
    Retrying,
    VersionMismatch,
    Waiting,
)
from exporter.model import Summary

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Reporter:
    """Listens to an export.

    Args:
        options: what the user wants to see.
        name: of the output, as the user gave it.
    """

    def __init__(self, options: ReportOptions, name: str) -> None:
        self._options = options
        self._name = "stdout" if name == "-" else name
        self._began_at = time.monotonic()
        self._contacts = 0
        self._contacts_before = 0  # of earlier runs
        self._contacts_kept: int | None = None  # on disk, with a checkpoint that says so; None before that is known
        self._pages = 0
        self._bar = Bar("contacts") if wants_bar(options) else None
        self._events = Events() if options.progress == "json" and not options.quiet else None

    def started(self, command: str) -> None:
        """Say that the command begins."""
        if self._events:
            self._events.tell("started", tool=f"intercom-exporter {__version__}", command=command, output=self._name)

    def failed(self, error: ExporterError) -> None:
        """Say that it ends with an error; the line for people is printed besides."""
        self._tell_failed(type(error).__name__, str(error), exit_code(error))

    def _tell_failed(self, error: str, message: str, code: int) -> None:
        if self._events and code != READER_GONE:
            kept = self._contacts_kept
            self._events.tell("failed", error=error, message=one_line(message), exit_code=code, contacts_kept=kept)

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, PageWritten):
            self._pages, self._contacts = event.position.pages, event.position.contacts
            if self._bar:
                self._bar.move(self._contacts, event.total_count)
        elif isinstance(event, Resumed):
            self._pages, self._contacts = event.position.pages, event.position.contacts
            self._contacts_before = self._contacts
        elif isinstance(event, Committed):
            self._contacts_kept = event.position.contacts
        if self._events:
            facts = asdict(event)
            facts.get("position", {}).pop("next_cursor", None)  # of any length, and it could echo the token
            self._events.tell(_EVENT_NAMES[type(event)], **facts)
        elif not self._options.quiet and (line := _line(event)):
            self._print(line)

    def _print(self, line: str) -> None:
        if self._bar:
            self._bar.hide()
        complain(line)

    def finished(self, summary: Summary) -> None:
        """Say how it ended."""
        self.close()
        if self._events:
            self._events.tell("finished", **asdict(summary) | {"retries": dict(summary.retries)})
        elif not self._options.quiet:
            complain(self._last_line(summary))
            if self._pages and summary.unknown_fields:
                complain(f"no contact has the fields {', '.join(summary.unknown_fields)}: are they spelled right?")
            if self._pages and summary.schema_drift:
                complain(_drift(summary))
            counted = summary.total_count_last
            if self._pages and summary.complete and counted not in (None, summary.contacts):
                complain(
                    f"the API counts {counted:,} contacts, but listed {summary.contacts:,}: contacts that were made, "
                    "changed or deleted meanwhile can be missing or come twice"
                )

    def _last_line(self, summary: Summary) -> str:
        if not self._pages:
            return (
                f"{self._name} is complete already: {summary.contacts:,} contacts, finished {summary.finished_at}; "
                "nothing was requested (--overwrite exports again)"
            )
        seconds = max(time.monotonic() - self._began_at, 0.001)
        size = f", {sum(file.bytes for file in summary.files) / 1e6:,.1f} MB" if summary.files else ""
        count = len(summary.files)
        parts = f" in {count:,} part{'s' if count > 1 else ''}" if summary.part_bytes else ""
        limit = "" if summary.complete else f" (limited to {summary.limited_to_contacts:,})"
        return (
            f"{summary.contacts:,} contacts{limit} in {summary.pages:,} pages to {self._name}{parts}{size}: "
            f"{seconds:,.1f} s, {(summary.contacts - self._contacts_before) / seconds:,.0f} contacts/s"
        )

    @property
    def kept(self) -> str:
        """What an error leaves to go on with."""
        return f" ({self._contacts_kept:,} contacts are kept: the same command goes on)" if self._contacts_kept else ""

    def stopped(self, name: str, code: int) -> None:
        """Say that a signal, or the clock, ended it, and how to go on."""
        self.close()
        self._tell_failed("Stopped", f"stopped by {name}", code)
        if self._name == "stdout":
            complain(f"stopped by {name} after {self._contacts:,} contacts; run the same command to export them all")
        elif self._contacts_kept is None:
            complain(f"stopped by {name} before anything new was on disk: the same command goes on")
        else:
            complain(f"stopped by {name}: {self._contacts_kept:,} contacts are kept on disk; the same command goes on")

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar:
            self._bar.hide()


def _drift(summary: Summary) -> str:
    fields = [f"{path} ({', '.join(kinds)})" for path, kinds in summary.schema_drift.items()]
    more = f" and {len(fields) - _MOST_FIELDS} more" if len(fields) > _MOST_FIELDS else ""
    lacking = any("no_column" in kinds for kinds in summary.schema_drift.values())
    return f"not as documented: {', '.join(fields[:_MOST_FIELDS])}{more}; the manifest counts them (schema_drift), " + (
        "and what has no column was not written" if lacking else "all was written as the API sent it"
    )


_MOST_FIELDS = 5
_EVENT_NAMES = {
    AttributesUntold: "attributes_untold",
    PageWritten: "page",
    Resumed: "resumed",
    Committed: "checkpoint",
    Retrying: "retry",
    Waiting: "waiting",
    VersionMismatch: "version_mismatch",
    OldVersion: "old_version",
}


def _line(event: Event) -> str | None:
    match event:
        case Retrying():
            return f"{event.detail}; attempt {event.attempt + 1} follows in {event.wait_s:.1f} s"
        case Waiting():
            return f"waiting {event.wait_s:.1f} s for the API's next window (limit {event.window_limit:,})"
        case Resumed() if event.position.pages:
            return f"going on after {event.position.contacts:,} contacts"
        case OldVersion():
            return f"version {event.asked} of the API lists leads alone, and at most 10,000: 2.x lists all contacts"
        case VersionMismatch():
            return f"asked for API version {event.asked}, the API answered in {event.echoed}"
        case _:
            return _UNTOLD if isinstance(event, AttributesUntold) else None


_UNTOLD = (
    "the API does not tell this token the names of custom attributes: they are in one column, as JSON "
    "(--fields custom_attributes.NAME gives one a column)"
)


def wants_bar(options: ReportOptions) -> bool:
    """Whether progress is to be drawn."""
    if options.quiet or options.progress in ("json", "none") or sys.stderr is None:
        return False
    return options.progress == "bar" or sys.stderr.isatty()


class Bar:
    """A progress bar, begun with the first move and gone when it is hidden.

    Args:
        what: is counted.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def move(self, done: int, total: int | None) -> None:
        """Show how many of how many are done."""
        if self._progress is None or self._task is None:
            self._progress = _rich_progress()
            self._task = self._progress.add_task(self._what)
            self._progress.start()
        self._progress.update(self._task, completed=done, total=total)

    def hide(self) -> None:
        """Take the bar off the terminal."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _rich_progress() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=_Terminal(), force_terminal=True),
        transient=True,
    )


class _Terminal(io.StringIO):
    """Stderr for a library that draws: it never raises, and never waits long."""

    def write(self, text: str) -> int:
        say(text, end="")
        return len(text)

    def fileno(self) -> int:
        return sys.stderr.fileno()
