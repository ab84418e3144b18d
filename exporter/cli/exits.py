"""Exit codes, in one table, and the one line that goes with each."""

import errno
import json
import os
import select
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyclopts import CycloptsError

from exporter.cli.usage import sentence_of, usage_sentence
from exporter.cli.values import without_tokens
from exporter.errors import CheckpointError, ConfigError, CredentialsError, ExporterError, SinkError, SourceError
from exporter.text import one_line

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
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
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

    What looks like an access token is left out of the message.
    """
    if level in ("error", "warning"):
        _stderr.is_stuck = False
    message = one_line(without_tokens(message))
    if _form == "json":
        line = json.dumps({"time": utc_now(), "level": level, "message": message, **facts})
    else:
        line = f"intercom-exporter: {message}"
    show(line, _stderr.print_line or say)


def lines_through(print_line: Callable[[str], None] | None) -> None:
    """Let lines be printed by what draws on the terminal, so that they go above it; None prints them plainly again."""
    _stderr.print_line = print_line


def show(line: str, print_line: Callable[[str], None]) -> None:
    """Print a line, and append it to the log file if there is one."""
    if _log_file.descriptor is not None:
        _log_file.append(line if line.startswith("{") else f"{utc_now()} {line}")
    print_line(line)


def log_into(name: str, *, is_quiet: bool) -> None:
    """Append all lines from now on to a file, too: a plain one, for its owner alone.

    Args:
        name: the file.
        is_quiet: whether nothing is said when it can be written no more.

    Raises:
        ConfigError: it cannot be opened.
    """
    from exporter.layout.atomic import open_private

    try:
        _log_file.descriptor, _log_file.is_quiet = open_private(Path(name)), is_quiet
    except (OSError, ValueError, SinkError) as exc:
        reason = (exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc)
        raise ConfigError(f"log_file {name!r} cannot be opened: {reason}", "log_file") from None


def warn_of_log_file(warn: Callable[[str], None]) -> None:
    """Choose what prints the warning that the log file cannot be written any more."""
    _log_file.warn = warn


class _LogFile:
    """What lines are appended to, besides stderr; a disk that fails ends it, and nothing else."""

    def __init__(self) -> None:
        self.descriptor: int | None = None
        self.is_quiet = False
        self.warn: Callable[[str], None] = lambda message: complain(message, "warning")

    def append(self, line: str) -> None:
        descriptor = self.descriptor
        try:
            if descriptor is not None:
                os.write(descriptor, f"{line}\n".encode(errors="backslashreplace"))
        except OSError as exc:
            self.descriptor = None
            if not self.is_quiet:
                self.warn(f"the log file cannot be written any more: {exc.strerror}")


_log_file = _LogFile()


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
        self.print_line: Callable[[str], None] | None = None

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
        complain(f"{sentence_of(error)}{kept if code in _GO_ON and _leaves_the_output(error) else ''}{details}")
    return code


def _leaves_the_output(error: ExporterError) -> bool:
    """Whether what was committed is still there: it need not be when somebody moved or changed it."""
    return not isinstance(error, SinkError) or getattr(error.__cause__, "errno", None) in _DISK_TROUBLE


def end(error: BaseException) -> int:
    """Say why the command could not even do its work, or could not say it; give the exit code."""
    match error:
        case ExporterError():
            return fail(error)
        case CycloptsError():
            complain(usage_sentence(error))
            return USAGE
        case BrokenPipeError() | SystemExit():  # rich leaves by SystemExit when nobody reads the help
            return READER_GONE
        case KeyboardInterrupt():
            return INTERRUPTED
        case OSError():
            return _end_by_system(error)
        case _:
            return _bug(error)


def _end_by_system(error: OSError) -> int:
    """Say what the operating system refused, outside of files of an export; give the exit code."""
    code = USAGE
    if error.errno in _EXHAUSTED:
        line = f"this machine or its limits are too small: {error.strerror}"
    elif type(error).__name__ == "SSLError":  # such as OPENSSL_CONF, which OpenSSL reads by itself
        line = f"TLS cannot be set up on this machine: {error.strerror or error}"
    elif error.filename is not None:  # such as SSLKEYLOGFILE, which the HTTP library opens
        line = f"{error.filename!r} cannot be used: {error.strerror}"
    else:
        line, code = f"cannot write to stdout: {error.strerror}", DESTINATION
    complain(line)
    return code


def _bug(error: BaseException) -> int:
    """Say that it is our fault, and where; give the exit code."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "?"
    complain(f"internal error: {type(error).__name__} at {place}; please report it")
    return BUG


def _details(error: BaseException) -> str:
    facts = [f"{name}={value}" for name in ("status", "code", "request_id") if (value := getattr(error, name, None))]
    cause = error.__cause__
    while cause is not None:
        facts.append(f"caused by {type(cause).__name__}")
        cause = cause.__cause__
    return ", ".join([type(error).__name__, *facts])
