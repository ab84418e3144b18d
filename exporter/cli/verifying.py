"""What the command `verify` says: progress, each difference on a line, and a last line."""

from dataclasses import asdict

import anyio.to_thread
from anyio import from_thread

from exporter.archive.verify import VerifyProgress, VerifyResult, verify
from exporter.cli import exits
from exporter.cli.bar import Bar, wants_bar
from exporter.cli.exits import complain
from exporter.cli.settings import ReportOptions
from exporter.cli.signals import until_signal
from exporter.cli.status import progress_line
from exporter.cli.telling import events_for
from exporter.errors import ExporterError
from exporter.text import count, size


async def verify_and_tell(path: str, options: ReportOptions, *, strict: bool = False) -> int:
    """Verify an export; give the exit code."""
    now = VerifyProgress("", 0, 0)
    bar = Bar(lambda width: [_progress(now, width)]) if wants_bar(options) else None
    events = events_for(options)

    def observe(event: VerifyProgress) -> None:
        nonlocal now
        now = event
        from_thread.check_cancelled()
        if events:
            events.tell("verifying", **asdict(event))
        elif bar:
            bar.show()

    async def job() -> int:
        try:
            verified = await anyio.to_thread.run_sync(verify, path, observe)
        finally:
            if bar:
                bar.hide()
        if events:
            contacts = verified.summary.contacts if verified.summary else None
            events.tell("verified", contacts=contacts, duplicates=verified.duplicates, differences=verified.differences)
        else:
            _tell(path, verified, quiet=options.quiet)
        return _code_of(verified, strict=strict)

    try:
        return await until_signal(job, _stopped)
    except ExporterError as error:
        return exits.fail(error, verbose=options.verbose)


def _code_of(verified: VerifyResult, *, strict: bool) -> int:
    if verified.unreadable:
        return exits.DESTINATION
    is_refused = verified.differences or (strict and verified.duplicates)
    return exits.DIFFERENCES if is_refused else exits.COMPLETE


def _stopped(name: str, _code: int) -> None:
    complain(f"stopped by {name}: nothing was changed", "warning")


def _progress(now: VerifyProgress, width: int) -> str:
    return progress_line("MB checked", now.bytes_read // 1_000_000, now.bytes_total // 1_000_000, width)


def _tell(path: str, verified: VerifyResult, *, quiet: bool) -> None:
    for difference in verified.differences:
        complain(difference)
    for warning in () if quiet else verified.warnings:
        complain(warning, "warning")
    if verified.summary and not verified.differences and not quiet:
        files, summary = verified.summary.files, verified.summary
        limit = "" if summary.complete else f" (limited to {summary.limited_to_contacts:,})"
        in_files = f" in {count(len(files), 'file')}" if len(files) > 1 else ""
        total = size(sum(file.bytes for file in files))
        contacts = f"{count(summary.contacts, 'contact')}{limit}{in_files}"
        missing = f"; {summary.shortfall:,} more that the API counts may be missing" if summary.shortfall else ""
        complain(f"{path!r} is as its manifest says: {contacts}, {total}{missing}", "info")
