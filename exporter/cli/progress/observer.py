"""What an export prints: its status while it runs, and its last lines."""

import shlex
import time
from dataclasses import asdict

from exporter._version import __version__
from exporter.cli.error_messages import message_of
from exporter.cli.exit_codes import READER_CLOSED, exit_code
from exporter.cli.options import ConsoleOptions
from exporter.cli.progress.printer import Clock, make_printer
from exporter.cli.progress.status import ExportStatus
from exporter.cli.progress.summary import proof_line, retry_summary, shortfall_warning, warnings
from exporter.cli.stderr import log_line
from exporter.errors import ExporterError
from exporter.estimate import WORTH_SAVING_S, saved_by_cursors_s
from exporter.layout.settings import LIST_ENDPOINT
from exporter.layout.summary import Summary
from exporter.observe.events import (
    Committed,
    CursorsChanged,
    Event,
    PageWritten,
    Planned,
    RangeDiscarded,
    RangeFinished,
    RateLimited,
    RequestFinished,
    Resumed,
    RetryScheduled,
)
from exporter.source.rate_limit import WINDOW_S
from exporter.text import count, duration, one_line, size

_RESUME = "run the same command again to resume"


class ProgressReporter:
    """Observes an export, and prints its progress and its result.

    Args:
        options: what the user wants to see.
        name: of the output, as the user gave it.
        clock: returns seconds.
        suggests_cursors: whether to suggest ``--cursors`` where it would save much time.

    Attributes:
        printer: prints it.
    """

    def __init__(
        self, options: ConsoleOptions, name: str, clock: Clock = time.monotonic, *, suggests_cursors: bool = False
    ) -> None:
        self._name = "stdout" if name == "-" else name
        self._clock = clock
        self._status = ExportStatus(clock())
        self._suggests_cursors = suggests_cursors
        self._latency_s: float | None = None  # of the first page
        self._contacts_saved: int | None = None  # on disk, covered by a checkpoint; None before that is known
        self.printer = make_printer(options, self._status, clock)

    def on_start(self, command: str) -> None:
        """Report that the command starts."""
        tool = f"intercom-exporter {__version__}"
        self.printer.write_event("started", tool=tool, command=command, output=self._name)

    def on_error(self, error: ExporterError) -> None:
        """Report that the command fails, for programs; a line for people is printed besides."""
        self._write_failed(type(error).__name__, message_of(error), exit_code(error))

    def _write_failed(self, error: str, message: str, code: int) -> None:
        if code != READER_CLOSED:
            saved = self._contacts_saved
            message = one_line(message)
            self.printer.write_event("failed", error=error, message=message, exit_code=code, contacts_kept=saved)

    def __call__(self, event: Event) -> None:
        """Show an event of the export; lines about it are the log's."""
        self._update(event)
        self._suggest_cursors(event)
        self.printer.on_event(event)

    def _update(self, event: Event) -> None:
        """Update the status."""
        status = self._status
        if isinstance(event, PageWritten | Resumed | RangeDiscarded):
            status.contacts, status.page = event.position.contacts, event.position.pages
            status.bytes = event.position.written_bytes
        if isinstance(event, PageWritten):
            status.total, status.window = event.total_count, event.window
            self.printer.update()
        elif isinstance(event, Resumed):
            status.resumed_contacts = status.contacts
        elif isinstance(event, Committed):
            self._contacts_saved, status.saved_at_s = event.position.contacts, self._clock()
        elif isinstance(event, RetryScheduled):
            status.retries += 1
            self._pause("next attempt", event.wait_s)
        elif isinstance(event, RateLimited):
            self._pause("rate limit resets", event.wait_s)
        elif isinstance(event, Planned | RangeFinished | CursorsChanged):
            self._update_ranges(event)

    def _update_ranges(self, event: Planned | RangeFinished | CursorsChanged) -> None:
        """Update what only exports with several cursors have."""
        status = self._status
        if isinstance(event, Planned):
            status.ranges, status.total = (0, event.ranges), event.contacts
        elif isinstance(event, RangeFinished):
            status.ranges = event.finished, event.ranges
        else:
            status.cursors = event.cursors, event.maximum
        self.printer.update()

    def _suggest_cursors(self, event: Event) -> None:
        """Suggest several cursors after the first page, if they would save much time."""
        if isinstance(event, RequestFinished) and self._latency_s is None and event.path == LIST_ENDPOINT:
            self._latency_s = event.duration_s
        if not isinstance(event, PageWritten) or event.position.pages != 1 or not self._suggests_cursors:
            return
        if self._status.ranges is not None or self._latency_s is None:
            return
        pages = (event.total_count or 0) // max(event.position.contacts, 1)
        calls_per_s = event.window[1] / WINDOW_S if event.window else None
        saved_s = saved_by_cursors_s(pages, self._latency_s, calls_per_s)
        if saved_s > WORTH_SAVING_S:
            alone, saved = duration(round(pages * self._latency_s)), duration(round(saved_s))
            self.printer.print_line(
                f"about {alone} with one cursor: --cursors 32 would save about {saved} "
                "(to a folder, such as -o contacts/, or to stdout)"
            )

    def _pause(self, reason: str, wait_s: float) -> None:
        """Show how long requests wait; of several waits the one that ends last."""
        until_s = self._clock() + wait_s
        if until_s > self._status.pause[1]:
            self._status.pause = reason, until_s
        self.printer.update()

    def on_finish(self, summary: Summary) -> None:
        """Report the result."""
        self.close()
        self.printer.write_event("finished", **asdict(summary) | {"retries": dict(summary.retries)})
        if not self._status.page:
            self.printer.print_line(self._already_complete(summary))
            if line := shortfall_warning(summary):
                self.printer.print_line(line, "warning")
            return
        self.printer.print_line(self._result(summary))
        for line in warnings(summary):
            self.printer.print_line(line, "warning")
        for line in filter(None, (proof_line(summary), retry_summary(summary))):
            self.printer.print_line(line)
        if summary.files:
            self.printer.print_line(f"verify it any time with: intercom-exporter verify {shlex.quote(self._name)}")

    def _already_complete(self, summary: Summary) -> str:
        return (
            f"{self._quoted} is already complete: {count(summary.contacts, 'contact')}, "
            f"finished {summary.finished_at}; no request was sent (use --overwrite to export again)"
        )

    def _result(self, summary: Summary) -> str:
        now_s = self._clock()
        written = f", {size(sum(file.bytes for file in summary.files))}" if summary.files else ""
        parts = f" in {count(len(summary.files), 'part')}" if summary.part_bytes else ""
        limit = "" if summary.complete else f" (limited to {summary.limited_to_contacts:,})"
        return (
            f"{count(summary.contacts, 'contact')}{limit} in {count(summary.pages, 'page')} "
            f"to {self._quoted}{parts}{written}: "
            f"{duration(now_s - self._status.started_at_s)}, {self._status.rate(now_s):,.0f} contacts/s"
        )

    @property
    def saved_hint(self) -> str:
        """What is saved after an error, and how to resume from it."""
        if not self._contacts_saved:
            return ""
        return f" ({count(self._contacts_saved, 'contact')} saved: {_RESUME})"

    def on_interrupt(self, name: str, code: int) -> None:
        """Print that a signal or the time limit ended the export, and how to resume."""
        self.close()
        self._write_failed("Stopped", f"stopped by {name}", code)
        if self._name == "stdout":
            how = f" after {count(self._status.contacts, 'contact')}; run the same command to export them all"
        elif self._contacts_saved is None:
            how = f" before anything new was saved: {_RESUME}"
        else:
            how = f": {count(self._contacts_saved, 'contact')} saved; {_RESUME}"
        log_line(f"stopped by {name}{how}", "warning")

    @property
    def _quoted(self) -> str:
        return self._name if self._name == "stdout" else repr(self._name)

    def close(self) -> None:
        """Leave the terminal as it was, until more is to be shown."""
        self.printer.close()
