"""What a run says on stderr: progress as a bar, in lines or as JSON, and last lines."""

import shlex
import time
from dataclasses import asdict

from exporter._version import __version__
from exporter.cli.bar import Bar, wants_bar
from exporter.cli.exits import READER_GONE, complain, exit_code
from exporter.cli.remarks import remarks, shortfall_of, troubles
from exporter.cli.settings import ReportOptions
from exporter.cli.status import Status, lines, sentence
from exporter.cli.telling import Events, events_for, facts_of
from exporter.cli.usage import sentence_of
from exporter.errors import ExporterError
from exporter.model import Summary
from exporter.observe.events import (
    EVENT_NAMES,
    Committed,
    Event,
    PageWritten,
    RateLimited,
    RequestFinished,
    Resumed,
    RetryScheduled,
)
from exporter.text import count, duration, one_line, size

_LOG_EVERY_S = 60
_RESUME = "run the same command again to resume"


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
        self._events = events_for(options)

    @property
    def events(self) -> Events | None:
        """What prints events; None where they are not asked for."""
        return self._events

    def started(self, command: str) -> None:
        """Say that the command begins."""
        if self._events:
            self._events.tell("started", tool=f"intercom-exporter {__version__}", command=command, output=self._name)

    def failed(self, error: ExporterError) -> None:
        """Say that it ends with an error; the line for people is printed besides."""
        self._tell_failed(type(error).__name__, sentence_of(error), exit_code(error))

    def _tell_failed(self, error: str, message: str, code: int) -> None:
        if self._events and code != READER_GONE:
            kept = self._contacts_kept
            self._events.tell("failed", error=error, message=one_line(message), exit_code=code, contacts_kept=kept)

    def __call__(self, event: Event) -> None:
        """Take note of an event; lines about it are the log's."""
        self._note(event)
        if self._events and (self._options.verbose or not isinstance(event, RequestFinished)):
            self._events.tell(EVENT_NAMES[type(event)], **facts_of(event))

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
        elif isinstance(event, RetryScheduled):
            status.retries += 1
            self._pause("next attempt", event.wait_s)
        elif isinstance(event, RateLimited):
            self._pause("rate limit resets", event.wait_s)

    def _pause(self, what: str, wait_s: float) -> None:
        """Show how long requests wait; of several waits the one that ends last."""
        until_s = time.monotonic() + wait_s
        if until_s > self._status.pause[1]:
            self._status.pause = what, until_s
        self._show()

    def _show(self) -> None:
        """Draw progress; where nothing can be drawn, say it once a minute."""
        if self._bar:
            self._bar.show()
        elif self._logs and not self._options.quiet and time.monotonic() - self._told_at_s >= _LOG_EVERY_S:
            self._told_at_s = time.monotonic()
            complain(sentence(self._status, self._told_at_s), "info")

    def _draw(self, width: int) -> list[str]:
        return lines(self._status, time.monotonic(), width)

    def finished(self, summary: Summary) -> None:
        """Say how it ended."""
        self.close()
        if self._events:
            self._events.tell("finished", **asdict(summary) | {"retries": dict(summary.retries)})
        elif not self._options.quiet:
            complain(self._last_line(summary), "info")
            if self._status.page:
                for line in remarks(summary):
                    complain(line, "warning")
                if trouble := troubles(summary):
                    complain(trouble, "info")
                if summary.files:
                    complain(f"recheck it at any time: intercom-exporter verify {shlex.quote(self._name)}", "info")
            elif sentence := shortfall_of(summary):
                complain(sentence, "warning")

    def _last_line(self, summary: Summary) -> str:
        if not self._status.page:
            return (
                f"{self._quoted} is complete already: {count(summary.contacts, 'contact')}, "
                f"finished {summary.finished_at}; "
                "nothing was requested (--overwrite exports again)"
            )
        now_s = time.monotonic()
        written = f", {size(sum(file.bytes for file in summary.files))}" if summary.files else ""
        parts = f" in {count(len(summary.files), 'part')}" if summary.part_bytes else ""
        limit = "" if summary.complete else f" (limited to {summary.limited_to_contacts:,})"
        return (
            f"{count(summary.contacts, 'contact')}{limit} in {count(summary.pages, 'page')} "
            f"to {self._quoted}{parts}{written}: "
            f"{duration(now_s - self._status.began_at_s)}, {self._status.rate(now_s):,.0f} contacts/s"
        )

    @property
    def kept(self) -> str:
        """What an error leaves, and how to resume from it."""
        if not self._contacts_kept:
            return ""
        return f" ({_are_kept(self._contacts_kept)}: {_RESUME})"

    def stopped(self, name: str, code: int) -> None:
        """Print that a signal or the time limit ended it, and how to resume."""
        self.close()
        self._tell_failed("Stopped", f"stopped by {name}", code)
        if self._name == "stdout":
            how = f" after {count(self._status.contacts, 'contact')}; run the same command to export them all"
        elif self._contacts_kept is None:
            how = f" before anything new was on disk: {_RESUME}"
        else:
            how = f": {_are_kept(self._contacts_kept)} on disk; {_RESUME}"
        complain(f"stopped by {name}{how}", "warning")

    @property
    def _quoted(self) -> str:
        return self._name if self._name == "stdout" else repr(self._name)

    def close(self) -> None:
        """Leave the terminal as it was, until more is to be shown."""
        if self._bar:
            self._bar.hide()


def _are_kept(contacts: int) -> str:
    return f"{count(contacts, 'contact')} {'is' if contacts == 1 else 'are'} kept"
