"""The command `report`: creates an HTML page about a finished export."""

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from exporter.cli.converters import Flag, PathToExport
from exporter.cli.exit_codes import COMPLETE, DIFFERENCES
from exporter.cli.options import ConsoleOptions
from exporter.errors import ConfigError
from exporter.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.cli.progress.printer import Printer
    from exporter.cli.progress.status import ReadStatus

_STDOUT = "-"
_CONSOLE = ConsoleOptions()


async def report(
    path: PathToExport,
    /,
    *,
    html: Annotated[str | None, Parameter(name=("--html", "-o"), allow_leading_hyphen=True, metavar="FILE")] = None,
    replace: Flag = False,
    console: ConsoleOptions = _CONSOLE,
) -> int:
    """Create an HTML report of a finished export: what it holds, and how the export went.

    Contacts by role, month and country; fill rate of each field and custom attribute; duplicates; the course of the
    export. No values of contacts, no external resources. Needs the extra [report].

    Parameters
    ----------
    path
        The file, or the folder of parts; or its manifest.
    html
        File to write; default: `PATH.report.html`; `-` is stdout.
    replace
        Replace an existing file of that name that is not a report.
    """
    if html == _STDOUT and sys.stdout is None:
        raise ConfigError("stdout is closed: name a file with --html")
    from exporter.cli.progress.printer import make_printer
    from exporter.cli.progress.status import ReadStatus
    from exporter.cli.signals import run_job

    status = ReadStatus("MB read")
    printer = make_printer(console, status)

    async def job() -> int:
        return await _report(path, html, printer, status, replace=replace)

    return await run_job(job, console, "nothing was written")


async def _report(path: str, html: str | None, printer: "Printer", status: "ReadStatus", *, replace: bool) -> int:
    import anyio.to_thread

    from exporter.archive.finished import DamagedExport
    from exporter.cli.stderr import log_line

    try:
        target = await anyio.to_thread.run_sync(lambda: _create(path, html, printer, status, replace=replace))
    except DamagedExport as damage:
        printer.close()
        log_line(str(damage))
        return DIFFERENCES
    finally:
        printer.close()
    if target:
        printer.write_event("report", path=one_line(str(target)))
        printer.print_line(f"the report is {str(target)!r}")
    return COMPLETE


def _create(path: str, html: str | None, printer: "Printer", status: "ReadStatus", *, replace: bool) -> "Path | None":
    """Read an export and write its report; return the path of the report, None for stdout. Blocks."""
    from exporter.archive.report.page import render_report, template_engine
    from exporter.archive.report.scan import open_export, scan_export
    from exporter.cli.report_file import report_path, write_report

    template_engine()
    export = open_export(path)
    target = None if html == _STDOUT else report_path(export, html, replace=replace)
    status.bytes_total = sum(file.bytes for file in export.summary.files)
    tally, duplicates = scan_export(export, _progress_of(printer, status))
    content = render_report(export.path, export.summary, tally, duplicates).encode(errors="backslashreplace")
    printer.close()
    write_report(target, content)
    return target


def _progress_of(printer: "Printer", status: "ReadStatus") -> "Callable[[str, int], None]":
    """Return what is called with a file and its bytes read so far."""
    from anyio import from_thread

    current, earlier_bytes = "", 0

    def on_progress(file: str, read: int) -> None:
        nonlocal current, earlier_bytes
        if file != current:
            current, earlier_bytes = file, status.bytes_read
        status.bytes_read = earlier_bytes + read
        from_thread.check_cancelled()
        printer.update()

    return on_progress
