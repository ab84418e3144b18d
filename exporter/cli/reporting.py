"""What the command `report` does: read an export, write its page, say where."""

import os
import stat
import sys
import tempfile
from pathlib import Path

import anyio.to_thread
from anyio import from_thread

from exporter.archive.finished import DamagedExport, FinishedExport
from exporter.archive.report.page import REPORT_MARKER, render_report, template_engine
from exporter.archive.report.scan import open_export, scan_export
from exporter.cli import exits
from exporter.cli.bar import Bar, wants_bar
from exporter.cli.paths import REPORT_SUFFIX
from exporter.cli.settings import ReportOptions
from exporter.cli.signals import until_signal
from exporter.cli.status import progress_line
from exporter.cli.telling import events_for
from exporter.errors import ConfigError, ExporterError
from exporter.layout.atomic import os_errors_as_sink_errors, remove, replace_durably, sync, write_all
from exporter.layout.data_file import open_regular
from exporter.layout.paths import OutputPaths
from exporter.text import one_line

_STDOUT = "-"


async def report_and_tell(path: str, html: str | None, options: ReportOptions, *, replace: bool) -> int:
    """Write the report of an export; give the exit code."""
    if html == _STDOUT and sys.stdout is None:
        raise ConfigError("stdout is closed: name a file with --html")
    done = _Progress(options)

    def job_in_thread() -> Path | None:
        template_engine()
        export = open_export(path)
        target = None if html == _STDOUT else _target(export, html, replace=replace)
        done.total = sum(file.bytes for file in export.summary.files)
        tally, duplicates = scan_export(export, done.at)
        content = render_report(export.path, export.summary, tally, duplicates).encode(errors="backslashreplace")
        done.close()
        with os_errors_as_sink_errors(target):
            if target is None:
                sys.stdout.buffer.write(content)
            else:
                _write(target, content)
        return target

    async def job() -> int:
        target = await anyio.to_thread.run_sync(job_in_thread)
        if target:
            _tell(target, options)
        return exits.COMPLETE

    try:
        return await until_signal(job, _stopped)
    except DamagedExport as damage:
        done.close()
        exits.complain(str(damage))
        return exits.DIFFERENCES
    except ExporterError as error:
        done.close()
        return exits.fail(error, verbose=options.verbose)
    finally:
        done.close()


def _tell(target: Path, options: ReportOptions) -> None:
    if events := events_for(options):
        events.tell("report", path=one_line(str(target)))
    elif not options.quiet:
        exits.complain(f"the report is {str(target)!r}", "info")


class _Progress:
    """How much of an export has been read."""

    def __init__(self, options: ReportOptions) -> None:
        self.total = 0
        self._file, self._before, self._read = "", 0, 0
        self._bar = Bar(self._draw) if wants_bar(options) else None

    def at(self, file: str, read: int) -> None:
        """Take note of it, and end the reading if nobody waits for it any more."""
        if file != self._file:
            self._file, self._before, self._read = file, self._before + self._read, 0
        self._read = read
        from_thread.check_cancelled()
        if self._bar:
            self._bar.show()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar:
            self._bar.hide()

    def _draw(self, width: int) -> list[str]:
        megabytes = (self._before + self._read) // 1_000_000
        return [progress_line("MB read", megabytes, self.total // 1_000_000, width)]


def _target(export: FinishedExport, html: str | None, *, replace: bool) -> Path:
    """Decide where the report goes, and refuse to replace what is none."""
    if html is not None and "\0" in html:
        raise ConfigError("the report cannot be written: there is no such name")
    target = export.path.with_name(f"{export.path.name}{REPORT_SUFFIX}") if html is None else Path(html)
    if not target.parent.is_dir():
        raise ConfigError(f"the folder of {str(target)!r} is not there")
    if target.parent.resolve() == export.path.resolve() or _holds_parts(target.parent):
        raise ConfigError("a report does not belong into the folder of an export: name another place with --html")
    if target.parent.resolve() / target.name in export.all_files:
        raise ConfigError(f"{str(target)!r} is a file of the export itself: choose another name with --html")
    if os.path.lexists(target) and not stat.S_ISREG(target.lstat().st_mode):
        raise ConfigError(f"{str(target)!r} is there, and is no regular file: choose another name")
    if os.path.lexists(target) and not replace and not _is_report(target):
        raise ConfigError(f"{str(target)!r} is there, and is no report: choose another name, or use --replace")
    return target


def _holds_parts(folder: Path) -> bool:
    """Whether a folder is that of an export, finished or not: whatever else is in it would be refused."""
    place = OutputPaths(folder, "", is_folder=True)
    return any(map(os.path.lexists, place.services))


def _write(target: Path, content: bytes) -> None:
    """Write a file, of our own eyes alone, that is there as a whole or not at all."""
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


def _is_report(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return REPORT_MARKER.encode() in file.read(200)
    except OSError as exc:
        raise ConfigError(
            f"{str(path)!r} is there, and cannot be read ({exc.strerror}): choose another name, or use --replace"
        ) from exc


def _stopped(name: str, _code: int) -> None:
    exits.complain(f"stopped by {name}: nothing was written", "warning")
