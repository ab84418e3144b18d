"""What the command `check` says: on stdout, for people or as JSON."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial

import anyio.to_thread
import orjson

from exporter.cli import exits
from exporter.cli.files import read_in_thread
from exporter.cli.logs import logs_shown
from exporter.cli.paths import expanded
from exporter.cli.settings import OutputOptions, ReportOptions, SourceOptions
from exporter.cli.shaping import ShapeOptions
from exporter.cli.signals import until_signal
from exporter.cli.telling import events_for
from exporter.errors import ConfigError, ExporterError
from exporter.preflight import CheckResult, check_with
from exporter.text import count, duration, one_line, size


async def check_and_tell(  # noqa: PLR0913 - one group of options each
    source: SourceOptions,
    output: OutputOptions,
    shape: ShapeOptions,
    report: ReportOptions,
    *,
    as_json: bool,
    strict: bool = False,
) -> int:
    """Look, and print what is found; give the exit code."""
    if sys.stdout is None:
        raise ConfigError("stdout is closed: there is nowhere to print what is found")
    output = replace(
        output, output=await anyio.to_thread.run_sync(partial(expanded, output.output, restart=output.restart))
    )

    async def job() -> int:
        make_shape = partial(shape.shape, allow_readable_secrets=source.allow_readable_secrets)
        shaped = await read_in_thread(make_shape)
        async with source.intercom() as intercom:
            checked = await check_with(intercom, output.output, shape.export_options(output, shaped))
        print(_json(checked) if as_json else _text(checked, output.output))  # noqa: T201
        return exits.USAGE if strict and checked.warnings else exits.COMPLETE

    try:
        with logs_shown(report, events_for(report)):
            return await until_signal(job, _stopped)
    except ExporterError as error:
        return exits.fail(error, verbose=report.verbose)


def _stopped(name: str, _code: int) -> None:
    exits.complain(f"stopped by {name}: nothing was written", "warning")


def _json(checked: CheckResult) -> str:
    """Give it as one JSON object."""
    return orjson.dumps(asdict(checked), option=orjson.OPT_INDENT_2).decode()


def _text(checked: CheckResult, output: str) -> str:
    """Give it as lines, a fact each.

    Args:
        checked: what was found out.
        output: the name of the output.
    """
    facts = [f"{name:<11} {one_line(what)}" for name, what in _facts(checked, output)]
    return "\n".join([*facts, *(f"warning:    {one_line(warning)}" for warning in checked.warnings)])


def _facts(checked: CheckResult, output: str) -> Iterator[tuple[str, str]]:
    region = f", region {checked.workspace_region}" if checked.workspace_region else ""
    yield "workspace:", f"{checked.workspace}{region}" if checked.workspace else "not told to this token"
    echoed = checked.api_version_echoed or "not told"
    yield "API:", f"{checked.base_url}, version {checked.api_version} (answered in: {echoed})"
    if checked.contacts is None:
        yield "contacts:", "not counted by the API"
    else:
        yield "contacts:", f"{checked.contacts:,} in {count(checked.pages or 0, 'page')}"
        if checked.contacts_left not in (None, checked.contacts):
            yield "left:", f"{count(checked.contacts_left or 0, 'contact')}; the estimates below are for these"
        yield "requests:", f"about {checked.requests or 0:,}"
    limit = checked.window_limit
    yield "rate limit:", "not announced" if limit is None else f"{limit:,} calls in 10 s, shared with all other users"
    if checked.estimated_duration_s is not None:
        yield "takes:", f"about {duration(checked.estimated_duration_s)}, with {checked.latency_s:.2f} s a page"
    if checked.estimated_bytes is not None:
        free = "" if checked.free_disk_bytes is None else f"; {size(checked.free_disk_bytes)} are free"
        yield "needs:", f"about {size(checked.estimated_bytes)} for {'stdout' if output == '-' else output}{free}"
