"""The log file: a copy of what is printed on stderr, each line with its time."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from exporter.errors import ConfigError, SinkError


class LogFile:
    """Receives lines besides stderr; a disk that fails ends it, and nothing else.

    Args:
        warn: prints a warning once the file can no longer be written.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self._descriptor: int | None = None
        self._is_quiet = False

    def open(self, name: str, *, is_quiet: bool) -> None:
        """Append all lines from now on to a file that only its owner can read.

        Args:
            name: the file.
            is_quiet: whether no warning is printed when it can no longer be written.

        Raises:
            ConfigError: it cannot be opened.
        """
        from exporter.layout.atomic import open_private

        try:
            self._descriptor, self._is_quiet = open_private(Path(name)), is_quiet
        except (OSError, ValueError, SinkError) as exc:
            reason = (exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc)
            raise ConfigError(f"log_file {name!r} cannot be opened: {reason}", "log_file") from None

    def append(self, line: str) -> None:
        """Append a line, with the time unless it is JSON, which has its own; nothing if no file is open."""
        if self._descriptor is None:
            return
        text = line if line.startswith("{") else f"{utc_now()} {line}"
        try:
            os.write(self._descriptor, f"{text}\n".encode(errors="backslashreplace"))
        except OSError as exc:
            self._descriptor = None
            if not self._is_quiet:
                self.warn(f"the log file cannot be written any more: {exc.strerror}")


def utc_now() -> str:
    """Return the time as lines and events show it: to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
