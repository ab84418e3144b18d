"""The file of a report: where it may be written, and writing it."""

import os
import stat
import sys
import tempfile
from pathlib import Path

from exporter.archive.finished import FinishedExport
from exporter.archive.report.page import REPORT_MARKER
from exporter.cli.output_names import REPORT_SUFFIX
from exporter.errors import ConfigError
from exporter.layout.atomic import os_errors_as_sink_errors, remove, replace_durably, sync, write_all
from exporter.layout.data_file import open_regular
from exporter.layout.paths import OutputPaths


def report_path(export: FinishedExport, html: str | None, *, replace: bool) -> Path:
    """Return the path of a report.

    Args:
        export: what the report is about.
        html: the path that the user named, None for one beside the export.
        replace: whether it may be that of an existing file that is not a report.

    Raises:
        ConfigError: no report can be written there.
    """
    if html is not None and "\0" in html:
        raise ConfigError("the report cannot be written: invalid path")
    target = export.path.with_name(f"{export.path.name}{REPORT_SUFFIX}") if html is None else Path(html)
    if not target.parent.is_dir():
        raise ConfigError(f"the folder of {str(target)!r} does not exist")
    if target.parent.resolve() == export.path.resolve() or _is_export_folder(target.parent):
        raise ConfigError("cannot write a report into an export folder: choose another path with --html")
    if target.parent.resolve() / target.name in export.all_files:
        raise ConfigError(f"{str(target)!r} is a file of the export itself: choose another name with --html")
    if os.path.lexists(target) and not stat.S_ISREG(target.lstat().st_mode):
        raise ConfigError(f"{str(target)!r} exists and is not a regular file: choose another name")
    if os.path.lexists(target) and not replace and not _is_report(target):
        raise ConfigError(f"{str(target)!r} exists and is not a report: choose another name, or use --replace")
    return target


def write_report(target: Path | None, content: bytes) -> None:
    """Write a report to a file that is complete or absent, and that only its owner can read; None is stdout.

    Raises:
        SinkError: it cannot be written.
    """
    with os_errors_as_sink_errors(target):
        if target is None:
            sys.stdout.buffer.write(content)
        else:
            _write_file(target, content)


def _write_file(target: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".tmp")
    try:
        try:
            write_all(descriptor, content)
            sync(descriptor)
        finally:
            os.close(descriptor)
        replace_durably(Path(name), target)
    except BaseException:
        remove(Path(name))
        raise


def _is_export_folder(folder: Path) -> bool:
    """Return whether a folder is that of an export, finished or not: verify refuses any foreign file in it."""
    place = OutputPaths(folder, "", is_folder=True)
    return any(map(os.path.lexists, place.services))


def _is_report(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return REPORT_MARKER.encode() in file.read(200)
    except OSError as exc:
        raise ConfigError(
            f"{str(path)!r} exists and cannot be read ({exc.strerror}): choose another name, or use --replace"
        ) from exc
