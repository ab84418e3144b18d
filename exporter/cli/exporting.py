"""What the commands `contacts` and `demo` do: export, and tell how it goes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread
import stamina.instrumentation

from exporter.cli import exits
from exporter.cli.files import read_in_thread
from exporter.cli.logs import logs_shown
from exporter.cli.metering import Meter, metered
from exporter.cli.paths import naming_resumed
from exporter.cli.reporter import Reporter
from exporter.cli.settings import MetricsOptions, OutputOptions, ReportOptions, SourceOptions
from exporter.cli.shaping import ShapeOptions
from exporter.cli.signals import until_signal
from exporter.cli.tuning import tune_process
from exporter.errors import ExporterError
from exporter.exports import export_with
from exporter.observe.events import Event

if TYPE_CHECKING:
    from exporter.source.intercom import Intercom


Workspace = Callable[[], AbstractAsyncContextManager["Intercom"]]


def made_up(source: SourceOptions, contacts: int, *, hostile: bool) -> Workspace:
    """Make a workspace up, of so many contacts; hostile ones among them if asked for."""

    @asynccontextmanager
    async def opened() -> AsyncIterator["Intercom"]:
        from exporter.sandbox import Sandbox

        async with (
            Sandbox(contacts, hostile=hostile) as sandbox,
            source.intercom_at(sandbox.base_url, sandbox.token) as intercom,
        ):
            intercom.identity = (
                f"demo:{contacts}{':hostile' if hostile else ''}"  # its address is another one each time
            )
            yield intercom

    return opened


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be exported, and how.

    Attributes:
        command: its name.
        workspace: where the contacts come from.
        source: the options that describe it.
        output: where they go.
        shape: what is written of each.
        report: what is said meanwhile.
        metrics: what is counted meanwhile.
    """

    command: str
    workspace: Workspace
    source: SourceOptions
    output: OutputOptions
    shape: ShapeOptions
    report: ReportOptions
    metrics: MetricsOptions


async def export_and_tell(job: Job) -> int:
    """Export a workspace; give the exit code."""
    tune_process()
    stamina.instrumentation.set_on_retry_hooks([])  # retries are told by the log
    pattern = job.output.output  # metrics of each night's export have the same label
    job = replace(job, output=await anyio.to_thread.run_sync(job.output.prepared))
    reporter = Reporter(job.report, job.output.output)
    with (
        logs_shown(job.report, reporter.events),
        metered(job.metrics, pattern, quiet=job.report.quiet) as meter,
    ):
        meter.exit_code = await _run(job, reporter, meter, pattern)
        return meter.exit_code


async def _run(job: Job, reporter: Reporter, meter: Meter, pattern: str) -> int:
    output, shape = job.output, job.shape

    def observe(event: Event) -> None:
        reporter(event)
        meter.observer(event)

    async def export_it() -> int:
        reporter.started(job.command)
        # In a thread that can be left behind: a key that is read from a pipe may never come.
        make_shape = partial(shape.shape, allow_readable_secrets=job.source.allow_readable_secrets)
        shaped = await read_in_thread(make_shape)
        async with job.workspace() as intercom:
            summary = await export_with(intercom, output.output, shape.export_options(output, shaped), observe)
        reporter.finished(summary)
        return exits.COMPLETE

    try:
        try:
            with naming_resumed(pattern, output.output):
                return await until_signal(export_it, reporter.stopped, output.max_duration)
        finally:
            reporter.close()  # before anything more is said, whatever has happened
    except ExporterError as error:
        reporter.failed(error)
        return exits.fail(error, kept=reporter.kept, verbose=job.report.verbose)
