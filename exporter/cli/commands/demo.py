"""The command `demo`: the export of `contacts`, against a built-in fake Intercom."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

from exporter.cli.converters import Flag, integer
from exporter.cli.cursor_options import CursorOptions
from exporter.cli.options import ConsoleOptions, MetricsOptions, OutputOptions, SourceOptions
from exporter.cli.record_options import RecordOptions

if TYPE_CHECKING:
    from exporter.source.intercom import Intercom

_SOURCE = SourceOptions()
_OUTPUT = OutputOptions()
_RECORDS = RecordOptions()
_CONSOLE = ConsoleOptions()
_METRICS = MetricsOptions()
_CURSORS = CursorOptions()


async def demo(  # noqa: PLR0913 - one group of options each
    source: SourceOptions = _SOURCE,
    output: OutputOptions = _OUTPUT,
    records: RecordOptions = _RECORDS,
    cursors: CursorOptions = _CURSORS,
    console: ConsoleOptions = _CONSOLE,
    *,
    metrics: MetricsOptions = _METRICS,
    contacts: Annotated[int, integer(0, 10**9)] = 10_000,
    hostile: Flag = False,
) -> int:
    """Run the export against a built-in fake Intercom: no account, no network.

    Takes the options of `contacts`; those that name the API have no effect.

    Parameters
    ----------
    contacts
        Number of synthetic contacts.
    hostile
        Give one contact in a thousand values that break naive parsers.
    """
    output.check()
    from exporter.cli.export_run import ExportCommand, run_export

    open_workspace = partial(_demo_workspace, source, contacts, hostile=hostile)
    return await run_export(ExportCommand("demo", open_workspace, source, output, records, cursors, console, metrics))


@asynccontextmanager
async def _demo_workspace(source: SourceOptions, contacts: int, *, hostile: bool) -> AsyncIterator["Intercom"]:
    """Open a client of a fake workspace of synthetic contacts."""
    from exporter.sandbox import Sandbox

    async with (
        Sandbox(contacts, hostile=hostile) as sandbox,
        source.make_client(sandbox.base_url, sandbox.token) as intercom,
    ):
        # What the output records: the address is another one each time.
        intercom.identity = f"demo:{contacts}{':hostile' if hostile else ''}"
        yield intercom
