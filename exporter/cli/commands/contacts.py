"""The command `contacts`: exports a workspace."""

from exporter.cli.cursor_options import CursorOptions
from exporter.cli.options import ConsoleOptions, MetricsOptions, OutputOptions, SourceOptions
from exporter.cli.record_options import RecordOptions

_SOURCE = SourceOptions()
_OUTPUT = OutputOptions()
_RECORDS = RecordOptions()
_CONSOLE = ConsoleOptions()
_METRICS = MetricsOptions()
_CURSORS = CursorOptions()


async def contacts(  # noqa: PLR0913 - one group of options each
    source: SourceOptions = _SOURCE,
    output: OutputOptions = _OUTPUT,
    records: RecordOptions = _RECORDS,
    cursors: CursorOptions = _CURSORS,
    console: ConsoleOptions = _CONSOLE,
    *,
    metrics: MetricsOptions = _METRICS,
) -> int:
    """Export every contact of a workspace.

    The access token comes from the environment variable INTERCOM_ACCESS_TOKEN, a file, a program or the keyring.
    Archived, deleted and merged contacts are not listed by Intercom.
    """
    output.check()
    from exporter.cli.export_run import ExportCommand, run_export

    return await run_export(
        ExportCommand("contacts", source.open_workspace, source, output, records, cursors, console, metrics)
    )
