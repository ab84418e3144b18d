"""What the library logs, on the command's stderr; retries and waits are summed up when there are many."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from exporter.cli import exits
from exporter.cli.settings import ReportOptions
from exporter.cli.telling import Events, facts_of
from exporter.observe.events import EVENT_NAMES, Event, RateLimited, RetryScheduled
from exporter.observe.logging import logger
from exporter.text import count, one_line

_FIRST_LINES = 3
_LINE_EVERY_S = 30.0


@contextmanager
def logs_shown(options: ReportOptions, events: Events | None = None) -> Iterator[None]:
    """Show the library's log while the block lasts.

    Args:
        options: how much of it.
        events: prints it as events instead; events of the export itself are not its.
    """
    if options.quiet:
        yield
        return
    handler: logging.Handler = _Handler(None if options.verbose else Throttle(time.monotonic))
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
    """Decides which lines about retries and waits are printed: the first ones, then one each half minute.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._allowance = float(_FIRST_LINES)
        self._at_s = clock()
        self._skipped: Counter[str] = Counter()

    def skips(self, event: Event | None) -> bool:
        """Return whether no line is printed about an event; it is counted then."""
        if not isinstance(event, RetryScheduled | RateLimited):
            return False
        now_s = self._clock()
        self._allowance = min(self._allowance + (now_s - self._at_s) / _LINE_EVERY_S, _FIRST_LINES)
        self._at_s = now_s
        if self._allowance >= 1:
            self._allowance -= 1
            return False
        self._skipped[event.cause if isinstance(event, RetryScheduled) else "rate limit"] += 1
        return True

    def skipped(self) -> str:
        """Describe what was skipped since the last line, to be put behind it; empty if nothing was."""
        skipped, self._skipped = self._skipped, Counter()
        if not skipped:
            return ""
        causes = ", ".join(f"{cause} {number:,}" for cause, number in sorted(skipped.items()))
        return f" (and {count(skipped.total(), 'more delay')}: {causes}; -v shows each)"


class _EventHandler(logging.Handler):
    """Prints records as events, but for those that an observer prints."""

    def __init__(self, events: Events) -> None:
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        if address := getattr(record, "metrics_address", None):
            self._events.tell("metrics", address=address)
        elif not hasattr(record, "event"):
            self._events.tell("log", level=record.levelname.lower(), message=one_line(record.getMessage()))


class _Handler(logging.Handler):
    """Prints records as the command prints its own lines."""

    def __init__(self, throttle: Throttle | None) -> None:
        super().__init__()
        self._throttle = throttle

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        event: Event | None = getattr(record, "event", None)
        more = ""
        if self._throttle:
            if self._throttle.skips(event):
                return
            more = self._throttle.skipped() if isinstance(event, RetryScheduled | RateLimited) else ""
        facts = {} if event is None else {"event": EVENT_NAMES[type(event)], **facts_of(event)}
        exits.complain(f"{record.getMessage()}{more}", record.levelname.lower(), **facts)
