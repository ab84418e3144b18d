"""How a command shows its progress and its result: `make_printer` decides once, from the options."""

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from exporter.cli.options import ConsoleOptions
from exporter.cli.progress.json_events import JsonEventWriter, event_fields
from exporter.cli.progress.live import LiveDisplay
from exporter.cli.stderr import log_line
from exporter.observe.events import EVENT_NAMES, Event, RequestFinished

_LINE_INTERVAL_S = 60
Clock = Callable[[], float]


class Status(Protocol):
    """What a printer shows of a command that runs."""

    def render_lines(self, now_s: float, width: int) -> list[str]:
        """Return the lines of a live display, for a width in columns."""

    def render_log_line(self, now_s: float) -> str | None:
        """Return one line for a log; None if the command logs no progress."""


class Printer:
    """Prints lines for people, but no progress: the printer of ``--progress none``, and what others have in common.

    Attributes:
        events: writes events as JSON; None with any other printer.
    """

    events: JsonEventWriter | None = None

    def update(self) -> None:
        """Show a status that has changed."""

    def on_event(self, event: Event) -> None:
        """Show an event of the library; the log has a line for people."""

    def write_event(self, event: str, **fields: Any) -> None:
        """Write an event of the command, for programs."""

    def print_line(self, message: str, level: str = "info") -> None:
        """Print a line for people."""
        log_line(message, level)

    def close(self) -> None:
        """Leave the terminal as it was, until `update` is called again."""


class QuietPrinter(Printer):
    """Prints nothing but errors."""

    def print_line(self, message: str, level: str = "info") -> None:
        """Print a line if it is an error."""
        if level == "error":
            log_line(message, level)


class LogPrinter(Printer):
    """Prints a line of progress each minute.

    Args:
        status: what it shows.
        clock: returns seconds.
    """

    def __init__(self, status: Status, clock: Clock) -> None:
        self._status = status
        self._clock = clock
        self._last_line_at_s = clock()

    def update(self) -> None:
        """Print a line if the last one was a minute ago."""
        now_s = self._clock()
        if now_s - self._last_line_at_s >= _LINE_INTERVAL_S and (line := self._status.render_log_line(now_s)):
            self._last_line_at_s = now_s
            log_line(line, "info")


class TerminalPrinter(Printer):
    """Shows a live display on a terminal.

    Args:
        status: what it shows.
        clock: returns seconds.
    """

    def __init__(self, status: Status, clock: Clock) -> None:
        self._display = LiveDisplay(lambda width: status.render_lines(clock(), width))

    def update(self) -> None:
        """Start the display; it draws the status some times a second."""
        self._display.start()

    def close(self) -> None:
        """Stop the display."""
        self._display.stop()


class JsonPrinter(Printer):
    """Writes events as JSON, and no lines for people.

    Args:
        verbose: whether each request is an event.
    """

    def __init__(self, *, verbose: bool) -> None:
        self.events: JsonEventWriter = JsonEventWriter()
        self._is_verbose = verbose

    def on_event(self, event: Event) -> None:
        """Write an event of the library."""
        if self._is_verbose or not isinstance(event, RequestFinished):
            self.events.write(EVENT_NAMES[type(event)], **event_fields(event))

    def write_event(self, event: str, **fields: Any) -> None:
        """Write an event of the command."""
        self.events.write(event, **fields)

    def print_line(self, message: str, level: str = "info") -> None:
        """Print nothing: an event has the same facts."""


def make_printer(options: ConsoleOptions, status: Status | None = None, clock: Clock = time.monotonic) -> Printer:
    """Return the printer that the options ask for.

    Args:
        options: what the user wants to see.
        status: what it shows of a command that runs, None for nothing.
        clock: returns seconds.
    """
    if options.quiet:
        return QuietPrinter()
    if options.progress == "json":
        return JsonPrinter(verbose=options.verbose)
    if status is None:
        return Printer()
    if _uses_live_display(options):
        return TerminalPrinter(status, clock)
    return LogPrinter(status, clock) if options.progress == "auto" else Printer()


def _uses_live_display(options: ConsoleOptions) -> bool:
    if options.progress == "none" or sys.stderr is None:
        return False
    # With --verbose each request is a line, and these lines are the progress.
    return options.progress == "bar" or (sys.stderr.isatty() and not options.verbose)
