"""The exit codes of the command, in one table."""

from exporter.errors import CheckpointError, ConfigError, CredentialsError, ExporterError, SinkError, SourceError

COMPLETE = 0
INTERNAL_ERROR = 1
USAGE = 2
DESTINATION = 5
DIFFERENCES = 7
TIME_LIMIT = 8
SIGNAL_BASE = 128  # plus the signal's number
INTERRUPTED = 130
READER_CLOSED = 141

_CODES: tuple[tuple[type[ExporterError], int], ...] = (
    (ConfigError, USAGE),
    (CredentialsError, 3),
    (SourceError, 4),
    (SinkError, DESTINATION),
    (CheckpointError, 6),
)
RESUMABLE_CODES = (3, 4, DESTINATION)
"""Codes of errors after which the same command resumes the export."""


def exit_code(error: ExporterError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, SinkError) and isinstance(error.__cause__, BrokenPipeError | ConnectionResetError):
        return READER_CLOSED
    return next((code for kind, code in _CODES if isinstance(error, kind)), INTERNAL_ERROR)
