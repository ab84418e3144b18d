"""Lines on stderr, and in the log file: nothing waits long for a stderr that is not read."""

import json
import os
import select
import sys
from collections.abc import Callable
from typing import Any

from exporter.cli.converters import redact_tokens
from exporter.cli.log_file import LogFile, utc_now
from exporter.text import one_line

_WRITE_TIMEOUT_MS = 500


def set_log_format(log_format: str) -> None:
    """Choose how lines are printed from now on: ``text``, or ``json`` with a time and a level."""
    _stderr.log_format = log_format


def log_line(message: str, level: str = "error", **fields: Any) -> None:
    """Print one line on stderr, waiting half a second for it to be written.

    Once stderr is blocked, only errors and warnings wait for it again.
    What looks like an access token is left out of the message.

    Args:
        message: what happened.
        level: debug, info, warning or error.
        fields: further members of a line in JSON.
    """
    if level in ("error", "warning"):
        _stderr.is_blocked = False
    message = one_line(redact_tokens(message))
    if _stderr.log_format == "json":
        line = json.dumps({"time": utc_now(), "level": level, "message": message, **fields})
    else:
        line = f"intercom-exporter: {message}"
    write_line(line, _stderr.print_line or write_stderr)


def route_lines(print_line: Callable[[str], None] | None) -> None:
    """Send lines to the live display, which prints them above itself; None sends them to stderr again."""
    _stderr.print_line = print_line


def write_line(line: str, print_line: Callable[[str], None]) -> None:
    """Print a line, and append it to the log file if there is one."""
    _log_file.append(line)
    print_line(line)


def write_stderr(line: str, end: str = "\n") -> None:
    """Write to stderr, waiting half a second at most.

    Once stderr is blocked, further text is dropped without waiting, until stderr accepts some again.
    """
    _stderr.write(f"{line}{end}".encode(errors="backslashreplace"))


def open_log(name: str, *, is_quiet: bool) -> None:
    """Append all lines from now on to a log file too.

    Args:
        name: the file.
        is_quiet: whether no warning is printed when it can no longer be written.

    Raises:
        ConfigError: it cannot be opened.
    """
    _log_file.open(name, is_quiet=is_quiet)


def on_log_file_failure(warn: Callable[[str], None]) -> None:
    """Choose what prints the warning that the log file can no longer be written."""
    _log_file.warn = warn


class _Stderr:
    """Stderr, which may be closed, or a pipe that is not read."""

    def __init__(self) -> None:
        self.log_format = "text"
        self.is_blocked = False
        self.print_line: Callable[[str], None] | None = None

    def write(self, text: bytes) -> None:
        rest = memoryview(text)
        if sys.stderr is None:
            return
        try:
            descriptor = sys.stderr.fileno()
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            while rest and poll.poll(0 if self.is_blocked else _WRITE_TIMEOUT_MS):
                rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]
        except (OSError, ValueError):
            return
        self.is_blocked = bool(rest)


_stderr = _Stderr()
_log_file = LogFile(lambda message: log_line(message, "warning"))
