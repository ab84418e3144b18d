"""What the library logs, on the command's stderr."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from exporter.cli import exits
from exporter.cli.settings import ReportOptions
from exporter.cli.telling import facts_of
from exporter.events import NAMES
from exporter.logs import logger


@contextmanager
def logs_shown(options: ReportOptions, before: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Show the library's log while the block lasts.

    Args:
        options: how much of it.
        before: called before each line.
    """
    if options.quiet:
        yield
        return
    handler, level = _Handler(before), logger.level
    if options.progress == "json":  # which tells events itself
        handler.addFilter(lambda record: not hasattr(record, "event"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if options.verbose else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Handler(logging.Handler):
    """Prints records as the command prints its own lines."""

    def __init__(self, before: Callable[[], None]) -> None:
        super().__init__()
        self._before = before

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        self._before()
        event = getattr(record, "event", None)
        facts = {} if event is None else {"event": NAMES[type(event)], **facts_of(event)}
        exits.complain(record.getMessage(), record.levelname.lower(), **facts)
