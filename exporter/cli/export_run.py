"""The run of an export, for the commands `contacts` and `demo`: from their options to an exit code."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread
import stamina.instrumentation

from exporter.cli.cursor_options import CursorOptions
from exporter.cli.error_report import report_error
from exporter.cli.exit_codes import COMPLETE
from exporter.cli.file_reading import read_in_thread
from exporter.cli.log_handlers import console_logging
from exporter.cli.metrics import RunMetrics, run_metrics
from exporter.cli.options import ConsoleOptions, MetricsOptions, OutputOptions, SourceOptions
from exporter.cli.output_names import naming_resumed_export
from exporter.cli.process_tuning import allow_open_files, tune_process
from exporter.cli.progress.observer import ProgressReporter
from exporter.cli.record_options import RecordOptions
from exporter.cli.signals import run_until_signal
from exporter.errors import ExporterError
from exporter.exports import export_with
from exporter.observe.events import Event

if TYPE_CHECKING:
    from exporter.source.intercom import Intercom


OpenWorkspace = Callable[[], AbstractAsyncContextManager["Intercom"]]


@dataclass(frozen=True, slots=True)
class ExportCommand:
    """A command that exports, with its options.

    Attributes:
        name: of the command.
        open_workspace: opens a client of the workspace.
        source: where the contacts come from.
        output: where they go.
        records: what is written of each.
        cursors: how many pages are requested at once.
        console: what is printed while it runs.
        metrics: what is measured while it runs.
    """

    name: str
    open_workspace: OpenWorkspace
    source: SourceOptions
    output: OutputOptions
    records: RecordOptions
    cursors: CursorOptions
    console: ConsoleOptions
    metrics: MetricsOptions


async def run_export(command: ExportCommand) -> int:
    """Export a workspace; return the exit code."""
    tune_process()
    if command.cursors.cursors != 1:
        allow_open_files()
    stamina.instrumentation.set_on_retry_hooks([])  # retries are logged by the library
    pattern = command.output.output  # metrics of each night's export have the same label
    command = replace(command, output=await anyio.to_thread.run_sync(command.output.resolve))
    can_use_cursors = command.output.max_contacts is None and not command.source.api_version.startswith("1.")
    reporter = ProgressReporter(command.console, command.output.output, suggests_cursors=can_use_cursors)
    with (
        console_logging(command.console, reporter.printer.events),
        run_metrics(command.metrics, pattern, quiet=command.console.quiet) as metrics,
    ):
        metrics.exit_code = await _run(command, reporter, metrics, pattern)
        return metrics.exit_code


async def _run(command: ExportCommand, reporter: ProgressReporter, metrics: RunMetrics, pattern: str) -> int:
    output = command.output
    try:
        try:
            with naming_resumed_export(pattern, output.output):
                job = partial(_export, command, reporter, metrics)
                return await run_until_signal(job, reporter.on_interrupt, output.max_duration)
        finally:
            reporter.close()  # before any further line is printed
    except ExporterError as error:
        reporter.on_error(error)
        return report_error(error, saved_hint=reporter.saved_hint, verbose=command.console.verbose)


async def _export(command: ExportCommand, reporter: ProgressReporter, metrics: RunMetrics) -> int:
    def observe(event: Event) -> None:
        reporter(event)
        metrics.observer(event)

    reporter.on_start(command.name)
    # In a thread that can be left behind: a key that is read from a pipe may never arrive.
    select = partial(command.records.selection, allow_readable_secrets=command.source.allow_readable_secrets)
    options = command.cursors.apply(command.records.export_options(command.output, await read_in_thread(select)))
    async with command.open_workspace() as intercom:
        summary = await export_with(intercom, command.output.output, options, observe)
    reporter.on_finish(summary)
    return COMPLETE
