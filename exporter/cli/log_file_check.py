"""Checks that the log file is not a file that the same command reads or writes."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cyclopts import ArgumentCollection

from exporter.archive.finished import MANIFEST_OF_FILE
from exporter.cli.arguments import is_on, value_so_far
from exporter.cli.output_names import REPORT_SUFFIX, is_output_file, resolve_output_name
from exporter.cli.stderr import open_log
from exporter.errors import ConfigError
from exporter.formats.facts import CONVERTED
from exporter.layout.paths import MANIFEST, OutputPaths, old_name

_STDIN, _STDOUT = 0, 1
_STANDARD_STREAM = "-"
_FILE_OPTIONS = {
    "--token-file": "the file of the access token",
    "--key-file": "the file of the key",
    "--config": "the settings file",
    "--metrics-file": "the metrics file",
    "--html": "the report",
}
_EXPORT_COMMANDS = ("contacts", "demo")
_PATH = "PATH"
"""The argument of the commands that read a finished export."""


def open_log_file(name: str, command: str, arguments: ArgumentCollection) -> None:
    """Open the log file, unless it is a file that the command reads or writes.

    No file is opened or created before that is checked.

    Args:
        name: the file.
        command: the name of the command.
        arguments: its options.

    Raises:
        ConfigError: it is such a file, or cannot be opened.
    """
    if use := next(_uses_of(name, command, arguments), None):
        raise ConfigError(f"log_file cannot be {name!r}, which is {use}: choose another file", "log_file")
    open_log(name, is_quiet=is_on(arguments, "--quiet"))


def _uses_of(name: str, command: str, arguments: ArgumentCollection) -> Iterator[str]:
    """Yield what else the log file is for the command."""
    for option, use in _FILE_OPTIONS.items():
        file = value_so_far(arguments, option)
        if file not in (None, _STANDARD_STREAM) and _is_same_file(name, str(file)):
            yield use
    if value_so_far(arguments, "--token-file") == _STANDARD_STREAM and _is_open_on(_STDIN, name):
        yield "stdin, from which the access token is read"
    output = value_so_far(arguments, "--output") or _STANDARD_STREAM
    if output != _STANDARD_STREAM and _is_output_file(name, output):
        yield f"a file of the export to {output!r}"
    html = value_so_far(arguments, "--html")
    writes_stdout = html == _STANDARD_STREAM or (command in _EXPORT_COMMANDS and output == _STANDARD_STREAM)
    if writes_stdout and _is_open_on(_STDOUT, name):
        yield "stdout"
    export = value_so_far(arguments, _PATH)
    if export is not None and _is_export_file(name, export, html):
        yield f"a file of the export {export!r}, or its report"


def _is_output_file(name: str, output: str) -> bool:
    """Return whether a file is one of an export to this output, of this day or another."""
    with suppress(OSError, ValueError):  # one of the names cannot be a file's: what uses it reports that
        if is_output_file(output, os.path.realpath(name)):
            return True
        place = OutputPaths(Path(resolve_output_name(output)), CONVERTED)
        return any(_is_same_file(name, path) for path in (place.path, place.part(1), place.staging(1), *place.services))
    return False


def _is_export_file(name: str, path: str, html: str | None) -> bool:
    """Return whether a file belongs to a finished export: named by its file, its folder or its manifest."""
    export = path.rstrip(os.sep).removesuffix(MANIFEST_OF_FILE)
    folder, _, file = export.rpartition(os.sep)
    if file in (MANIFEST, old_name(Path(MANIFEST)).name):
        export = folder or os.curdir
    if html is None and _is_same_file(name, f"{export}{REPORT_SUFFIX}"):
        return True
    return _is_output_file(name, f"{export}{os.sep}" if os.path.isdir(export) else export)  # noqa: PTH112 - of any length


def _is_same_file(name: str, other: str | os.PathLike[str]) -> bool:
    """Return whether two names mean one file, also through links and if it is not there yet."""
    with suppress(OSError, ValueError):  # not there, or no name of a file
        return os.path.realpath(name) == os.path.realpath(other) or Path(name).samefile(other)
    return False


def _is_open_on(descriptor: int, name: str) -> bool:
    """Return whether a regular file is open as a standard stream of the process."""
    with suppress(OSError, ValueError):
        status = os.fstat(descriptor)
        return stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.stat(name))  # noqa: PTH116
    return False
