"""The command `check`: checks a workspace and an output before a long run."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from exporter.cli.converters import Flag
from exporter.cli.cursor_options import CursorOptions
from exporter.cli.exit_codes import COMPLETE, USAGE
from exporter.cli.options import ConsoleOptions, OutputOptions, SourceOptions
from exporter.cli.record_options import RecordOptions
from exporter.errors import ConfigError
from exporter.text import count, duration, one_line, size

if TYPE_CHECKING:
    from exporter.preflight import CheckResult

_SOURCE = SourceOptions()
_OUTPUT = OutputOptions()
_RECORDS = RecordOptions()
_CONSOLE = ConsoleOptions()
_CURSORS = CursorOptions()


async def check(  # noqa: PLR0913 - one group of options each
    source: SourceOptions = _SOURCE,
    output: OutputOptions = _OUTPUT,
    records: RecordOptions = _RECORDS,
    cursors: CursorOptions = _CURSORS,
    console: ConsoleOptions = _CONSOLE,
    *,
    json: Flag = False,
    strict: Flag = False,
) -> int:
    """Check a workspace and an output before a long run; nothing is written.

    It sends two or three requests; with --cursors also those that count the ranges.

    Takes the options of `contacts`. Likely problems are listed as warnings; estimates are made from the first page.

    Parameters
    ----------
    json
        Print one JSON object instead of lines.
    strict
        Exit with 2 if there is a warning.
    """
    if sys.stdout is None:
        raise ConfigError("stdout is closed: cannot print the result")
    from exporter.cli.log_handlers import console_logging
    from exporter.cli.progress.printer import make_printer
    from exporter.cli.signals import run_job

    async def job() -> int:
        result = await _check(source, output, records, cursors)
        print(_json(result) if json else _text(result, output.output))  # noqa: T201
        return USAGE if strict and result.warnings else COMPLETE

    output = await _with_resolved_name(output)
    with console_logging(console, make_printer(console).events):
        return await run_job(job, console, "nothing was written")


async def _with_resolved_name(output: OutputOptions) -> OutputOptions:
    """Return the options with the name that an export would write to now."""
    import anyio.to_thread

    from exporter.cli.output_names import resolve_output_name

    resolve = partial(resolve_output_name, output.output, restart=output.restart)
    return replace(output, output=await anyio.to_thread.run_sync(resolve))


async def _check(
    source: SourceOptions, output: OutputOptions, records: RecordOptions, cursors: CursorOptions
) -> "CheckResult":
    from exporter.cli.file_reading import read_in_thread
    from exporter.preflight import check_with

    select = partial(records.selection, allow_readable_secrets=source.allow_readable_secrets)
    options = cursors.apply(records.export_options(output, await read_in_thread(select)))
    async with source.open_workspace() as intercom:
        return await check_with(intercom, output.output, options)


def _json(result: "CheckResult") -> str:
    """Return the result as one JSON object."""
    import orjson

    return orjson.dumps(asdict(result), option=orjson.OPT_INDENT_2).decode()


def _text(result: "CheckResult", output: str) -> str:
    """Return the result as lines, a fact each.

    Args:
        result: of the check.
        output: the name of the output.
    """
    facts = [f"{name:<11} {one_line(fact)}" for name, fact in _facts(result, output)]
    return "\n".join([*facts, *(f"warning:    {one_line(warning)}" for warning in result.warnings)])


def _facts_of_cursors(result: "CheckResult") -> Iterator[tuple[str, str]]:
    """Yield what several cursors would do, or would save."""
    from exporter.estimate import WORTH_SAVING_S

    if result.saved_by_cursors_s > WORTH_SAVING_S:
        yield "faster:", f"--cursors 32 would save about {duration(result.saved_by_cursors_s)} (to a folder or stdout)"
    plan = result.plan
    if plan is None:
        return
    one_s = result.estimated_duration_one_cursor_s
    alone = "" if one_s is None else f"; with one cursor about {duration(one_s)}"
    by = plan.by.replace("+", " and ")
    ranges, requests = count(plan.ranges, "range"), count(plan.requests, "request")
    yield "plan:", f"{ranges} by {by} for {plan.cursors} cursors, made with {requests}{alone}"
    yield "search:", "agrees with the list" if result.search_agrees else "does not agree with the list"


def _facts(result: "CheckResult", output: str) -> Iterator[tuple[str, str]]:
    region = f", region {result.workspace_region}" if result.workspace_region else ""
    yield "workspace:", f"{result.workspace}{region}" if result.workspace else "not readable with this token"
    echoed = result.api_version_echoed or "unknown"
    yield "API:", f"{result.base_url}, version {result.api_version} (responded with: {echoed})"
    if result.contacts is None:
        yield "contacts:", "not counted by the API"
    else:
        yield "contacts:", f"{result.contacts:,} in {count(result.pages or 0, 'page')}"
        if result.contacts_left not in (None, result.contacts):
            yield "left:", f"{count(result.contacts_left or 0, 'contact')}; the estimates below are for these"
        yield "requests:", f"about {result.requests or 0:,}"
    limit = result.window_limit
    yield "rate limit:", "not announced" if limit is None else f"{limit:,} calls in 10 s, shared with all other users"
    if result.estimated_duration_s is not None:
        yield "duration:", f"about {duration(result.estimated_duration_s)}, with {result.latency_s:.2f} s a page"
    yield from _facts_of_cursors(result)
    if result.estimated_bytes is not None:
        free = "" if result.free_disk_bytes is None else f"; {size(result.free_disk_bytes)} are free"
        yield "size:", f"about {size(result.estimated_bytes)} for {'stdout' if output == '-' else output}{free}"
