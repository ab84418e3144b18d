"""The command `verify`: rechecks a finished export, and prints each difference."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from exporter.cli.converters import Flag, PathToExport
from exporter.cli.exit_codes import COMPLETE, DESTINATION, DIFFERENCES
from exporter.cli.options import ConsoleOptions
from exporter.text import count, size

if TYPE_CHECKING:
    from exporter.archive.verify import VerifyProgress, VerifyResult
    from exporter.cli.progress.printer import Printer
    from exporter.cli.progress.status import ReadStatus
    from exporter.layout.summary import Summary

_CONSOLE = ConsoleOptions()


async def verify(path: PathToExport, /, *, strict: Flag = False, console: ConsoleOptions = _CONSOLE) -> int:
    """Recheck a finished export offline against its manifest.

    Checks sizes, SHA-256, compression, lines, rows or columns. Exits with 7 and prints a line for each difference.
    Duplicate contacts are counted; they are no difference, since a workspace changes while it is read.

    Parameters
    ----------
    path
        The file, or the folder of parts; or its manifest.
    strict
        Also exit with 7 when there are duplicate contacts.
    """
    from exporter.cli.progress.printer import make_printer
    from exporter.cli.progress.status import ReadStatus
    from exporter.cli.signals import run_job

    status = ReadStatus("MB checked")
    printer = make_printer(console, status)

    async def job() -> int:
        result = await _verify(path, status, printer)
        _print_result(path, result, printer)
        return _exit_code(result, strict=strict)

    return await run_job(job, console, "nothing was changed")


async def _verify(path: str, status: "ReadStatus", printer: "Printer") -> "VerifyResult":
    import anyio.to_thread
    from anyio import from_thread

    from exporter.archive.verify import verify as verify_export

    def observe(event: "VerifyProgress") -> None:
        from_thread.check_cancelled()
        status.bytes_read, status.bytes_total = event.bytes_read, event.bytes_total
        printer.write_event("verifying", **asdict(event))
        printer.update()

    try:
        return await anyio.to_thread.run_sync(verify_export, path, observe)
    finally:
        printer.close()


def _exit_code(result: "VerifyResult", *, strict: bool) -> int:
    if result.unreadable:
        return DESTINATION
    return DIFFERENCES if result.differences or (strict and result.duplicates) else COMPLETE


def _print_result(path: str, result: "VerifyResult", printer: "Printer") -> None:
    contacts = result.summary.contacts if result.summary else None
    differences = result.differences
    printer.write_event("verified", contacts=contacts, duplicates=result.duplicates, differences=differences)
    for difference in differences:
        printer.print_line(difference, "error")
    for warning in result.warnings:
        printer.print_line(warning, "warning")
    if result.summary and not differences:
        printer.print_line(f"{path!r} matches its manifest: {_figures(result.summary)}")


def _figures(summary: "Summary") -> str:
    files = summary.files
    limit = "" if summary.complete else f" (limited to {summary.limited_to_contacts:,})"
    in_files = f" in {count(len(files), 'file')}" if len(files) > 1 else ""
    total = size(sum(file.bytes for file in files))
    missing = f"; {summary.shortfall:,} more that the API counts may be missing" if summary.shortfall else ""
    return f"{count(summary.contacts, 'contact')}{limit}{in_files}, {total}{missing}"
