"""Exit codes, in one table, and the one line that goes with each."""

import errno
import json
import os
import select
import sys
from datetime import UTC, datetime
from typing import Any

from cyclopts import CycloptsError, UnusedCliTokensError

from exporter.errors import (
    CheckpointError,
    ConfigError,
    CredentialsError,
    ExporterError,
    SinkError,
    SourceError,
    one_line,
)

COMPLETE = 0
BUG = 1
USAGE = 2
READER_GONE = 141
DESTINATION = 5
DIFFERENCES = 7
OUT_OF_TIME = 8
SIGNALLED = 128  # plus the signal's number
INTERRUPTED = 130

_PATIENCE_MS = 500

_CODES: tuple[tuple[type[ExporterError], int], ...] = (
    (ConfigError, USAGE),
    (CredentialsError, 3),
    (SourceError, 4),
    (SinkError, DESTINATION),
    (CheckpointError, 6),
)
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_GO_ON = (3, 4, DESTINATION)  # after these the same command continues


def exit_code(error: ExporterError) -> int:
    """Give the exit code of an error."""
    if isinstance(error, SinkError) and isinstance(error.__cause__, BrokenPipeError | ConnectionResetError):
        return READER_GONE
    return next((code for kind, code in _CODES if isinstance(error, kind)), BUG)


def log_as(form: str) -> None:
    """Choose how lines are printed from now on: ``text``, or ``json`` with a time and a level."""
    global _form  # noqa: PLW0603 - stderr is the process's, too
    _form = form


_form = "text"


def complain(message: str, level: str = "error", **facts: Any) -> None:
    """Print one line on stderr, waiting half a second for it to be taken; for debug and info not each time anew.

    Args:
        message: what is to be said.
        level: how bad it is: debug, info, warning or error.
        facts: what else a program may want to know.
    """
    if level in ("error", "warning"):
        _stderr.is_stuck = False
    if _form == "json":
        say(json.dumps({"time": utc_now(), "level": level, "message": one_line(message), **facts}))
    else:
        say(f"intercom-exporter: {one_line(message)}")


def utc_now() -> str:
    """Give the time as lines and events show it: to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def say(line: str, end: str = "\n") -> None:
    """Print on stderr, if there is one that takes it within half a second; nothing waits for it longer.

    Once it did not, what follows is dropped, without waiting, until there is room again.
    """
    _stderr.say(f"{line}{end}".encode(errors="backslashreplace"))


class _Stderr:
    """Stderr, which nobody may be reading."""

    def __init__(self) -> None:
        self.is_stuck = False

    def say(self, text: bytes) -> None:
        rest = memoryview(text)
        if sys.stderr is None:
            return
        try:
            descriptor = sys.stderr.fileno()
            room = select.poll()
            room.register(descriptor, select.POLLOUT)
            while rest and room.poll(0 if self.is_stuck else _PATIENCE_MS):
                rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]
        except (OSError, ValueError):
            return
        self.is_stuck = bool(rest)


_stderr = _Stderr()


def fail(error: ExporterError, *, kept: str = "", verbose: bool = False) -> int:
    """Say what went wrong, and what is kept, in one line; give the exit code."""
    code = exit_code(error)
    if code != READER_GONE:
        details = f" [{_details(error)}]" if verbose else ""
        complain(f"{error}{kept if code in _GO_ON and _leaves_the_output(error) else ''}{details}")
    return code


def _leaves_the_output(error: ExporterError) -> bool:
    """Whether what was committed is still there: it need not be when somebody moved or changed it."""
    return not isinstance(error, SinkError) or getattr(error.__cause__, "errno", None) in _DISK_TROUBLE


def end(error: BaseException) -> int:
    """Say why the command could not even do its work, or could not say it; give the exit code."""
    code = USAGE
    match error:
        case ExporterError():
            return fail(error)
        case UnusedCliTokensError():  # not quoted: it could be a token
            line = "there is an argument too many, with no option before it. See intercom-exporter --help."
        case CycloptsError():
            line = f"{error} See intercom-exporter --help."
        case BrokenPipeError() | SystemExit():  # rich leaves by SystemExit when nobody reads the help
            return READER_GONE
        case KeyboardInterrupt():
            return INTERRUPTED
        case OSError():
            line, code = f"cannot write to stdout: {error.strerror}", DESTINATION
        case _:
            return _bug(error)
    complain(line)
    return code


def _bug(error: BaseException) -> int:
    """Say that it is our fault, and where; give the exit code."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "?"
    complain(f"a bug of this program's: {type(error).__name__} at {place}; please report it")
    return BUG


def _details(error: BaseException) -> str:
    facts = [f"{name}={value}" for name in ("status", "code", "request_id") if (value := getattr(error, name, None))]
    cause = error.__cause__
    while cause is not None:
        facts.append(f"caused by {type(cause).__name__}")
        cause = cause.__cause__
    return ", ".join([type(error).__name__, *facts])
