"""What the command `report` does: read an export, write its page, say where."""

import os
import sys
from pathlib import Path

import anyio.to_thread
from anyio import from_thread

from exporter.cli import exits
from exporter.cli.bar import Bar, wants_bar
from exporter.cli.logs import logs_shown
from exporter.cli.settings import ReportOptions
from exporter.cli.signals import until_signal
from exporter.cli.status import progress_line
from exporter.errors import ConfigError, ExporterError
from exporter.report.page import MARK, page, template_engine
from exporter.report.reading import Damaged, opened, read
from exporter.sink.durable import prepare_file, put_in_place, writing
from exporter.sink.finished import Finished

_STDOUT = "-"
_SUFFIX = ".report.html"


async def report_and_tell(path: str, html: str | None, options: ReportOptions, *, replace: bool) -> int:
    """Write the report of an export; give the exit code."""
    if html == _STDOUT and sys.stdout is None:
        raise ConfigError("stdout is closed: name a file with --html")
    done = _Progress(options)

    def job_in_thread() -> Path | None:
        template_engine()
        export = opened(path)
        target = None if html == _STDOUT else _target(export, html, replace=replace)
        done.total = sum(file.bytes for file in export.summary.files)
        tally, duplicates = read(export, done.at)
        text = page(export.path, export.summary, tally, duplicates)
        done.close()
        if target is None:
            print(text, end="")  # noqa: T201
        else:
            with writing(target):
                put_in_place(prepare_file(target, text.encode(errors="backslashreplace")), target)
        return target

    async def job() -> int:
        target = await anyio.to_thread.run_sync(job_in_thread)
        if target and not options.quiet:
            exits.complain(f"the report is {str(target)!r}", "info")
        return exits.COMPLETE

    try:
        with logs_shown(options):
            return await until_signal(job, _stopped)
    except Damaged as damage:
        done.close()
        exits.complain(f"{path!r} is not what its manifest says: {damage}")
        return exits.DIFFERENCES
    except ExporterError as error:
        done.close()
        return exits.fail(error, verbose=options.verbose)
    finally:
        done.close()


class _Progress:
    """How much of an export has been read."""

    def __init__(self, options: ReportOptions) -> None:
        self.total = 0
        self._file, self._before, self._read = "", 0, 0
        self._bar = Bar(self._draw) if wants_bar(options) else None

    def at(self, file: str, read: int) -> None:
        """Take note of it, and end the reading if nobody waits for it any more."""
        if file != self._file:
            self._file, self._before = file, self._before + self._read
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


def _target(export: Finished, html: str | None, *, replace: bool) -> Path:
    """Decide where the report goes, and refuse to replace what is none."""
    target = export.path.with_name(f"{export.path.name}{_SUFFIX}") if html is None else Path(html)
    if not target.parent.is_dir():
        raise ConfigError(f"the folder of {str(target)!r} is not there")
    if target.parent == export.path:
        raise ConfigError("a report does not belong into the folder of an export: name another place with --html")
    if os.path.lexists(target) and not replace and not _is_report(target):
        raise ConfigError(f"{str(target)!r} is there, and is no report: choose another name, or use --replace")
    return target


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return not path.is_symlink() and MARK.encode() in file.read(200)
    except OSError:
        return False


def _stopped(name: str, _code: int) -> None:
    exits.complain(f"stopped by {name}: nothing was written", "warning")
