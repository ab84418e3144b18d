"""The commands. What a run does not need is not imported."""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Literal

from cyclopts import App
from cyclopts.config import Env

from exporter import __version__
from exporter.cli import exits
from exporter.cli.settings import Flag, OutputOptions, ReportOptions, SourceOptions, Whole, WholeOrNone
from exporter.cli.shaping import ShapeOptions
from exporter.errors import ConfigError, ExporterError

if TYPE_CHECKING:
    from exporter.source.intercom import Intercom

app = App(
    name="intercom-exporter",
    help="Stream every contact out of an Intercom workspace: nothing lost, nothing changed, flat memory.",
    version=__version__,
    config=Env("INTERCOM_EXPORTER_", command=False),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

_CONSUMERS, _EXPANDING_CONSUMERS = 2, 16
_SOURCE = SourceOptions()
_OUTPUT = OutputOptions()
_SHAPE = ShapeOptions()
_REPORT = ReportOptions()


@app.command
async def contacts(
    source: SourceOptions = _SOURCE,
    output: OutputOptions = _OUTPUT,
    shape: ShapeOptions = _SHAPE,
    report: ReportOptions = _REPORT,
) -> int:
    """Export every contact of a workspace.

    The access token comes from the environment variable INTERCOM_ACCESS_TOKEN or from --token-file.
    Archived, deleted and merged contacts are not listed by Intercom.
    """
    output.check()
    return await _export(source.intercom, output, shape, report)


@app.command
async def demo(
    source: SourceOptions = _SOURCE,
    output: OutputOptions = _OUTPUT,
    shape: ShapeOptions = _SHAPE,
    report: ReportOptions = _REPORT,
    *,
    contacts: Whole = 10_000,
) -> int:
    """Do the same against an Intercom made up on the spot: no account, no network.

    Takes the options of `contacts`; those that name the API have no effect.

    Parameters
    ----------
    contacts
        How many contacts are made up.
    """
    output.check()
    return await _export(lambda: _made_up(source, contacts), output, shape, report, "demo")


@app.command
async def check(
    source: SourceOptions = _SOURCE,
    output: OutputOptions = _OUTPUT,
    shape: ShapeOptions = _SHAPE,
    report: ReportOptions = _REPORT,
    *,
    json: Flag = False,
) -> int:
    """Look at a workspace, and at the output, before a long run: two or three requests, nothing is written.

    Takes the options of `contacts`. What will go wrong is said in warnings; the estimates are those of one page.

    Parameters
    ----------
    json
        Print one JSON object instead of lines.
    """
    from exporter.cli.checking import check_and_tell

    return await check_and_tell(source, output, shape, report, as_json=json)


@app.command
def schema(
    *,
    of: Literal["contacts", "events"] = "contacts",
    format: Literal["table", "json-schema"] = "table",  # noqa: A002 - the option's name
) -> int:
    """Print every field that is known of a contact.

    Exports do not depend on it: what a contact has besides is written all the same.

    Parameters
    ----------
    of
        The fields of contacts; or the events of --progress json, always as JSON Schema.
    format
        A table to read, or JSON Schema.
    """
    from exporter.cli.listing import shown

    print(shown(of, format))  # noqa: T201
    return exits.COMPLETE


@app.command
async def verify(path: str, /, *, report: ReportOptions = _REPORT) -> int:
    """Recheck a finished export offline against its manifest.

    Sizes, SHA-256, compression, lines, rows or columns, contacts that come twice. Ends with 7 and a line for each
    difference.

    Parameters
    ----------
    path
        The file, or the folder of parts; or its manifest.
    """
    from exporter.cli.verifying import verify_and_tell

    return await verify_and_tell(path, report)


@app.command
async def sandbox(  # noqa: PLR0913 - one option each
    *,
    contacts: Whole = 10_000,
    seed: Whole = 1,
    port: Whole = 0,
    token: str | None = None,
    latency_ms: float = 0,
    rate_limit: WholeOrNone = None,
    fault: list[str] | None = None,
    change: list[str] | None = None,
    gzip: bool = True,
    hostile: bool = True,
) -> int:
    """Serve a stand-in for Intercom's contacts API on 127.0.0.1, until stopped.

    The first line on stdout is JSON: base_url and token.

    Parameters
    ----------
    contacts
        How many contacts its workspace has.
    seed
        Which contacts: the same seed, the same contacts.
    port
        TCP port; 0 takes a free one.
    token
        The access token it asks for; made up if not given.
    latency_ms
        Milliseconds each answer takes at least.
    rate_limit
        Calls per window of ten seconds; none in practice if not given.
    fault
        What goes wrong: NAME=EVERY (each so many requests), NAME@PAGE (once) or NAME@PAGExTIMES. Names:
        http_500, http_503, http_429, reset, truncate, empty_200, html_200, slow, cursor_loop.
    change
        How the workspace changes while it is read: NAME=EVERY (after each so many pages), NAME@PAGE (once, after
        that page) or NAME@PAGExTIMES (so many at once). Names: insert, update, delete.
    gzip
        Compress answers for clients that ask for it.
    hostile
        Let one contact in a thousand hold values that break careless parsers.
    """
    import anyio
    import orjson

    from exporter.cli.signals import until_signal
    from exporter.sandbox import Sandbox

    if sys.stdout is None:
        raise ConfigError("stdout is closed: the sandbox could not say its address")

    async def serve() -> int:
        async with Sandbox(
            contacts,
            seed=seed,
            port=port,
            token=token,
            latency_ms=latency_ms,
            rate_limit=rate_limit,
            faults=fault or (),
            changes=change or (),
            gzip=gzip,
            hostile=hostile,
        ) as served:
            print(orjson.dumps({"base_url": served.base_url, "token": served.token}).decode(), flush=True)  # noqa: T201
            await anyio.sleep_forever()
        raise AssertionError("it sleeps for ever")

    return await until_signal(serve, lambda _name, _code: exits.COMPLETE)


@asynccontextmanager
async def _made_up(source: SourceOptions, contacts: int) -> AsyncIterator["Intercom"]:
    from exporter.sandbox import Sandbox

    async with Sandbox(contacts) as made_up, source.intercom_at(made_up.base_url, made_up.token) as intercom:
        intercom.origin = f"demo:{contacts}"  # its address is another one each time
        yield intercom


async def _export(
    source: Callable[[], AbstractAsyncContextManager["Intercom"]],
    output: OutputOptions,
    shape: ShapeOptions,
    report: ReportOptions,
    command: str = "contacts",
) -> int:
    import anyio.to_thread
    import stamina.instrumentation

    from exporter.cli.reporter import Reporter
    from exporter.cli.signals import until_signal
    from exporter.cli.tuning import tune_process
    from exporter.exporting import export

    tune_process()
    stamina.instrumentation.set_on_retry_hooks([])  # retries are told by the reporter
    reporter = Reporter(report, output.output)

    async def job() -> int:
        reporter.started(command)
        # In a thread that can be left behind: a token that is read from a pipe may never come.
        shaped = await anyio.to_thread.run_sync(shape.shape, abandon_on_cancel=True)
        async with await anyio.to_thread.run_sync(source, abandon_on_cancel=True) as intercom:
            summary = await export(
                intercom,
                output.output,
                consumers=_consumers(output, shape),
                queue_pages=output.queue_pages,
                max_contacts=output.max_contacts,
                overwrite=output.overwrite,
                restart=output.restart,
                compression=output.compression,
                file_format=output.file_format,
                part_contacts=output.part_contacts,
                part_bytes=output.part_bytes,
                shape=shaped,
                expansion=shape.expansion(),
                csv_raw=output.csv_raw,
                checkpoint_every_s=output.checkpoint_every,
                min_free_bytes=output.min_free_disk,
                observer=reporter,
            )
        reporter.finished(summary)
        return exits.COMPLETE

    try:
        try:
            return await until_signal(job, reporter.stopped, output.max_duration)
        finally:
            reporter.close()  # before anything more is said, whatever has happened
    except ExporterError as error:
        reporter.failed(error)
        return exits.fail(error, kept=reporter.kept, verbose=report.verbose)


def _consumers(output: OutputOptions, shape: ShapeOptions) -> int:
    if output.consumers is not None:
        return output.consumers
    return _EXPANDING_CONSUMERS if shape.expands else _CONSUMERS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give its exit code. Whatever goes wrong, it is one line on stderr."""
    try:
        code = app(sys.argv[1:] if arguments is None else arguments, print_error=False, exit_on_error=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - the last resort
        return exits.end(error)
    return code or exits.COMPLETE
