"""What a run says on stderr: retries and waits in a line each, progress as a bar or as JSON, and a last line."""

import time
from dataclasses import asdict

from exporter import __version__
from exporter.cli.bar import Bar, wants_bar
from exporter.cli.exits import READER_GONE, complain, exit_code
from exporter.cli.settings import ReportOptions
from exporter.cli.status import Status, lines, sentence
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

_LOG_EVERY_S = 60


class Reporter:
    """Listens to an export.

    Args:
        options: what the user wants to see.
        name: of the output, as the user gave it.
    """

    def __init__(self, options: ReportOptions, name: str) -> None:
        self._options = options
        self._name = "stdout" if name == "-" else name
        self._status = Status(time.monotonic())
        self._told_at_s = self._status.began_at_s
        self._contacts_kept: int | None = None  # on disk, with a checkpoint that says so; None before that is known
        self._bar = Bar(self._draw) if wants_bar(options) else None
        self._logs = options.progress == "auto" and not self._bar
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
        self._note(event)
        if self._events:
            facts = asdict(event)
            facts.get("position", {}).pop("next_cursor", None)  # of any length, and it could echo the token
            self._events.tell(_EVENT_NAMES[type(event)], **facts)
        elif not self._options.quiet and (line := _line(event)):
            self._print(line)

    def _note(self, event: Event) -> None:
        """Keep what is shown."""
        status = self._status
        if isinstance(event, PageWritten | Resumed):
            status.contacts, status.page = event.position.contacts, event.position.pages
            status.bytes = event.position.written_bytes
        if isinstance(event, PageWritten):
            status.total, status.window = event.total_count, event.window
            self._show()
        elif isinstance(event, Resumed):
            status.contacts_before = status.contacts
        elif isinstance(event, Committed):
            self._contacts_kept, status.saved_at_s = event.position.contacts, time.monotonic()
        elif isinstance(event, Retrying):
            status.retries += 1

    def _show(self) -> None:
        """Draw progress; where nothing can be drawn, say it once a minute."""
        if self._bar:
            self._bar.show()
        elif self._logs and not self._options.quiet and time.monotonic() - self._told_at_s >= _LOG_EVERY_S:
            self._told_at_s = time.monotonic()
            complain(sentence(self._status, self._told_at_s))

    def _draw(self, width: int) -> list[str]:
        return lines(self._status, time.monotonic(), width)

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
            if self._status.page and summary.unknown_fields:
                complain(f"no contact has the fields {', '.join(summary.unknown_fields)}: are they spelled right?")
            if self._status.page and summary.schema_drift:
                complain(_drift(summary))
            counted = summary.total_count_last
            if self._status.page and summary.complete and counted not in (None, summary.contacts):
                complain(
                    f"the API counts {counted:,} contacts, but listed {summary.contacts:,}: contacts that were made, "
                    "changed or deleted meanwhile can be missing or come twice"
                )

    def _last_line(self, summary: Summary) -> str:
        if not self._status.page:
            return (
                f"{self._name} is complete already: {summary.contacts:,} contacts, finished {summary.finished_at}; "
                "nothing was requested (--overwrite exports again)"
            )
        now_s = time.monotonic()
        size = f", {sum(file.bytes for file in summary.files) / 1e6:,.1f} MB" if summary.files else ""
        count = len(summary.files)
        parts = f" in {count:,} part{'s' if count > 1 else ''}" if summary.part_bytes else ""
        limit = "" if summary.complete else f" (limited to {summary.limited_to_contacts:,})"
        return (
            f"{summary.contacts:,} contacts{limit} in {summary.pages:,} pages to {self._name}{parts}{size}: "
            f"{now_s - self._status.began_at_s:,.1f} s, {self._status.rate(now_s):,.0f} contacts/s"
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
            complain(
                f"stopped by {name} after {self._status.contacts:,} contacts; run the same command to export them all"
            )
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
    return f"not as documented: {', '.join(fields[:_MOST_FIELDS])}{more}; {_became(summary)} (schema_drift counts them)"


def _became(summary: Summary) -> str:
    """Say what became of what is not as documented."""
    if summary.csv_raw is not None:
        return "what fits no column is not in the table"
    return "what fits no column is in 'raw' alone" if summary.columns else "all was written as the API sent it"


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
