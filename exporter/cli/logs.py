"""What the library logs, on the command's stderr."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from exporter.cli import exits
from exporter.cli.settings import ReportOptions
from exporter.events import NAMES
from exporter.logs import logger


def _nothing() -> None:
    """Do nothing before a line."""


@contextmanager
def logs_shown(options: ReportOptions, before: Callable[[], None] = _nothing) -> Iterator[None]:
    """Show the library's log while the block lasts.

    Args:
        options: how much of it, and in what form.
        before: called before each line.
    """
    exits.log_as(options.log_format)
    if options.quiet or options.progress == "json":  # events tell the same
        yield
        return
    handler, level = _Handler(before), logger.level
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
        facts = {"event": NAMES[type(event)], **asdict(event)} if event is not None else {}
        facts.get("position", {}).pop("next_cursor", None)  # of any length, and it could echo the token
        exits.complain(record.getMessage(), record.levelname.lower(), **facts)
