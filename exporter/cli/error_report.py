"""From an error to its one line on stderr and its exit code."""

import errno

from cyclopts import CycloptsError

from exporter.cli.error_messages import message_of, usage_message
from exporter.cli.exit_codes import (
    DESTINATION,
    INTERNAL_ERROR,
    INTERRUPTED,
    READER_CLOSED,
    RESUMABLE_CODES,
    USAGE,
    exit_code,
)
from exporter.cli.stderr import log_line
from exporter.errors import ExporterError, SinkError

_OTHER_ADVICE = ("--restart", "--prove ids")
"""A message with one of these options says what to do; advice to run the same command again would be wrong."""

_EXHAUSTED_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


def report_error(error: ExporterError, *, saved_hint: str = "", verbose: bool = False) -> int:
    """Log an error, and what is saved, in one line; return the exit code."""
    code = exit_code(error)
    if code != READER_CLOSED:
        details = f" [{_details(error)}]" if verbose else ""
        has_advice = any(option in str(error) for option in _OTHER_ADVICE)
        is_resumable = code in RESUMABLE_CODES and _output_is_intact(error) and not has_advice
        hint = saved_hint if is_resumable else ""
        log_line(f"{message_of(error)}{hint}{details}")
    return code


def report_exception(error: BaseException) -> int:
    """Log why the command could not do its work, or not print its result; return the exit code."""
    match error:
        case ExporterError():
            return report_error(error)
        case CycloptsError():
            log_line(usage_message(error))
            return USAGE
        case BrokenPipeError() | SystemExit():  # rich raises SystemExit when the reader of the help is gone
            return READER_CLOSED
        case KeyboardInterrupt():
            return INTERRUPTED
        case OSError():
            return _report_os_error(error)
        case _:
            return _report_internal_error(error)


def _output_is_intact(error: ExporterError) -> bool:
    """Return whether what was committed is still there: another process may have moved or changed it."""
    return not isinstance(error, SinkError) or getattr(error.__cause__, "errno", None) in _DISK_FULL_ERRNOS


def _report_os_error(error: OSError) -> int:
    """Log what the operating system refused, other than files of an export; return the exit code."""
    code = USAGE
    if error.errno in _EXHAUSTED_ERRNOS:
        line = f"this machine or its limits are too small: {error.strerror}"
    elif type(error).__name__ == "SSLError":  # such as OPENSSL_CONF, which OpenSSL reads by itself
        line = f"TLS cannot be set up on this machine: {error.strerror or error}"
    elif error.filename is not None:  # such as SSLKEYLOGFILE, which the HTTP library opens
        line = f"{error.filename!r} cannot be used: {error.strerror}"
    else:
        line, code = f"cannot write to stdout: {error.strerror}", DESTINATION
    log_line(line)
    return code


def _report_internal_error(error: BaseException) -> int:
    """Log an internal error with its place in the code; return the exit code."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    location = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "?"
    log_line(f"internal error: {type(error).__name__} at {location}; please report it")
    return INTERNAL_ERROR


def _details(error: BaseException) -> str:
    facts = [f"{name}={value}" for name in ("status", "code", "request_id") if (value := getattr(error, name, None))]
    cause = error.__cause__
    while cause is not None:
        facts.append(f"caused by {type(cause).__name__}")
        cause = cause.__cause__
    return ", ".join([type(error).__name__, *facts])
