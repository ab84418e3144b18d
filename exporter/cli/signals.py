"""SIGINT, SIGTERM and SIGHUP: the first ends a job gracefully, the second at once."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import anyio

from exporter.cli.error_report import report_error
from exporter.cli.exit_codes import SIGNAL_BASE, TIME_LIMIT
from exporter.cli.options import ConsoleOptions
from exporter.cli.stderr import log_line
from exporter.errors import ExporterError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_until_signal(
    job: Callable[[], Awaitable[int]],
    on_interrupt: Callable[[str, int], int | None],
    max_duration_s: float | None = None,
) -> int:
    """Run a job, and cancel it when a signal comes or its time is over; return the exit code.

    Args:
        job: returns the exit code.
        on_interrupt: called with the signal's name, or "--max-duration", and the
            exit code, once the job has unwound; may return another code.
        max_duration_s: seconds it may take, None for no limit.
    """
    caught: list[signal.Signals] = []
    scope = anyio.CancelScope() if max_duration_s is None else anyio.move_on_after(max_duration_s)

    def on_signal(number: signal.Signals) -> None:
        if caught:
            os._exit(SIGNAL_BASE + number)
        caught.append(number)
        scope.cancel()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue  # `nohup` asks for that
        loop.add_signal_handler(number, on_signal, number)
    with scope:
        return await job()
    name, code = (caught[0].name, SIGNAL_BASE + caught[0]) if caught else ("--max-duration", TIME_LIMIT)
    other = on_interrupt(name, code)
    return code if other is None else other


async def run_job(job: Callable[[], Awaitable[int]], options: ConsoleOptions, outcome: str) -> int:
    """Run the job of a command that saves nothing on the way; return the exit code.

    Args:
        job: returns the exit code.
        options: how much an error's line says.
        outcome: what a signal leaves behind: "nothing was written".
    """

    def on_interrupt(name: str, _code: int) -> None:
        log_line(f"stopped by {name}: {outcome}", "warning")

    try:
        return await run_until_signal(job, on_interrupt)
    except ExporterError as error:
        return report_error(error, verbose=options.verbose)
