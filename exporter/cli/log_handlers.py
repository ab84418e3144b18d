"""The library's log on the command's stderr; frequent retries and waits are summed up."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from exporter.cli.options import ConsoleOptions
from exporter.cli.progress.json_events import JsonEventWriter, event_fields
from exporter.cli.stderr import log_line
from exporter.observe.events import EVENT_NAMES, Event, RateLimited, RetryScheduled
from exporter.observe.logging import logger
from exporter.text import count, one_line

_MAX_BURST_LINES = 3
_LINE_INTERVAL_S = 30.0


@contextmanager
def console_logging(options: ConsoleOptions, events: JsonEventWriter | None = None) -> Iterator[None]:
    """Show the library's log while the block lasts.

    Args:
        options: how much of it.
        events: writes records as events instead; without those of the export, which its observer writes.
    """
    if options.quiet:
        yield
        return
    handler: logging.Handler = _LineHandler(None if options.verbose else Throttle(time.monotonic))
    if events:
        handler = _EventHandler(events)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if options.verbose else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class Throttle:
    """Decides which lines about retries and waits are printed: the first three, then one each half minute.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._allowance = float(_MAX_BURST_LINES)
        self._at_s = clock()
        self._skipped: Counter[str] = Counter()

    def should_skip(self, event: Event | None) -> bool:
        """Return whether to print no line about an event, and count it then."""
        if not isinstance(event, RetryScheduled | RateLimited):
            return False
        now_s = self._clock()
        self._allowance = min(self._allowance + (now_s - self._at_s) / _LINE_INTERVAL_S, _MAX_BURST_LINES)
        self._at_s = now_s
        if self._allowance >= 1:
            self._allowance -= 1
            return False
        self._skipped[event.cause if isinstance(event, RetryScheduled) else "rate limit"] += 1
        return True

    def take_skipped(self) -> str:
        """Return a note about records skipped since the last line, to append to it; empty if there were none."""
        skipped, self._skipped = self._skipped, Counter()
        if not skipped:
            return ""
        causes = ", ".join(f"{cause} {number:,}" for cause, number in sorted(skipped.items()))
        return f" (and {count(skipped.total(), 'more delay')}: {causes}; -v shows each)"


class _EventHandler(logging.Handler):
    """Writes records as events, but for those that the observer writes."""

    def __init__(self, events: JsonEventWriter) -> None:
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        if address := getattr(record, "metrics_address", None):
            self._events.write("metrics", address=address)
        elif not hasattr(record, "event"):
            self._events.write("log", level=record.levelname.lower(), message=one_line(record.getMessage()))


class _LineHandler(logging.Handler):
    """Prints records as the command prints its own lines."""

    def __init__(self, throttle: Throttle | None) -> None:
        super().__init__()
        self._throttle = throttle

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        event: Event | None = getattr(record, "event", None)
        more = ""
        if self._throttle:
            if self._throttle.should_skip(event):
                return
            more = self._throttle.take_skipped() if isinstance(event, RetryScheduled | RateLimited) else ""
        facts = {} if event is None else {"event": EVENT_NAMES[type(event)], **event_fields(event)}
        log_line(f"{record.getMessage()}{more}", record.levelname.lower(), **facts)
