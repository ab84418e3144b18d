"""The log file: never a file that the same command reads or writes."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cyclopts import ArgumentCollection

from exporter.archive.finished import MANIFEST_OF_FILE
from exporter.cli import exits
from exporter.cli.config import said
from exporter.cli.conflicts import is_on
from exporter.cli.paths import REPORT_SUFFIX, expanded, is_file_of
from exporter.errors import ConfigError
from exporter.formats.facts import CONVERTED
from exporter.layout.paths import MANIFEST, OutputPaths, old_name

_STDIN, _STDOUT = 0, 1
_STANDARD = "-"
_FILES = {
    "--token-file": "the file of the access token",
    "--key-file": "the file of the key",
    "--config": "the settings file",
    "--metrics-file": "the metrics file",
    "--html": "the report",
}
_WRITING = ("contacts", "demo")
_PATH = "PATH"
"""The argument of the commands that read a finished export."""


def open_log_file(name: str, command: str, arguments: ArgumentCollection) -> None:
    """Open the log file, unless it is a file that the command reads or writes.

    Nothing is opened or made before that is sure.

    Args:
        name: the file.
        command: the name of the command.
        arguments: its options.

    Raises:
        ConfigError: it is such a file, or cannot be opened.
    """
    if use := next(_uses_of(name, command, arguments), None):
        raise ConfigError(f"log_file cannot be {name!r}, which is {use}: choose another file", "log_file")
    exits.log_into(name, is_quiet=is_on(arguments, "--quiet"))


def _uses_of(name: str, command: str, arguments: ArgumentCollection) -> Iterator[str]:
    """Say what else the log file is for the command."""
    for option, use in _FILES.items():
        file = said(arguments, option)
        if file not in (None, _STANDARD) and _are_same(name, str(file)):
            yield use
    if said(arguments, "--token-file") == _STANDARD and _is_open_as(_STDIN, name):
        yield "stdin, from which the access token is read"
    output = said(arguments, "--output") or _STANDARD
    if output != _STANDARD and _is_of_output(name, output):
        yield f"a file of the export to {output!r}"
    all_data_written = said(arguments, "--html") == _STANDARD or (command in _WRITING and output == _STANDARD)
    if all_data_written and _is_open_as(_STDOUT, name):
        yield "stdout"
    if (export := said(arguments, _PATH)) is not None and _is_of_export(name, export, said(arguments, "--html")):
        yield f"a file of the export {export!r}, or its report"


def _is_of_output(name: str, output: str) -> bool:
    """Return whether a file is one of an export to this output, of today or another day."""
    with suppress(OSError, ValueError):  # one of the names cannot be a file's: what uses it will say so
        if is_file_of(output, os.path.realpath(name)):
            return True
        place = OutputPaths(Path(expanded(output)), CONVERTED)
        return any(_are_same(name, path) for path in (place.path, place.part(1), place.staging(1), *place.services))
    return False


def _is_of_export(name: str, path: str, html: str | None) -> bool:
    """Return whether a file belongs to a finished export: named by its file, its folder or its manifest."""
    export = path.rstrip(os.sep).removesuffix(MANIFEST_OF_FILE)
    folder, _, file = export.rpartition(os.sep)
    if file in (MANIFEST, old_name(Path(MANIFEST)).name):
        export = folder or os.curdir
    if html is None and _are_same(name, f"{export}{REPORT_SUFFIX}"):
        return True
    return _is_of_output(name, f"{export}{os.sep}" if os.path.isdir(export) else export)  # noqa: PTH112 - of any length


def _are_same(name: str, other: str | os.PathLike[str]) -> bool:
    """Return whether two names mean one file, also through links and if it is not there yet."""
    with suppress(OSError, ValueError):  # not there, or no name of a file
        return os.path.realpath(name) == os.path.realpath(other) or Path(name).samefile(other)
    return False


def _is_open_as(descriptor: int, name: str) -> bool:
    """Return whether a regular file is open as a standard stream of the process."""
    with suppress(OSError, ValueError):
        status = os.fstat(descriptor)
        return stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.stat(name))  # noqa: PTH116
    return False
