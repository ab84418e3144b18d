"""SIGINT, SIGTERM and SIGHUP: the first ends a job gracefully, the second at once."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import anyio

from exporter.cli.exits import OUT_OF_TIME, SIGNALLED

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_signal(
    job: Callable[[], Awaitable[int]], stopped: Callable[[str, int], int | None], most_s: float | None = None
) -> int:
    """Run a job, and cancel it when a signal comes or its time is over.

    Args:
        job: gives the exit code.
        stopped: called with the signal's name, or "--max-duration", and the
            exit code, once the job has unwound; may give another one.
        most_s: seconds it may take, None for any number.
    """
    caught: list[signal.Signals] = []
    scope = anyio.CancelScope() if most_s is None else anyio.move_on_after(most_s)

    def on_signal(number: signal.Signals) -> None:
        if caught:
            os._exit(SIGNALLED + number)
        caught.append(number)
        scope.cancel()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue  # `nohup` asks for that
        loop.add_signal_handler(number, on_signal, number)
    with scope:
        return await job()
    name, code = (caught[0].name, SIGNALLED + caught[0]) if caught else ("--max-duration", OUT_OF_TIME)
    other = stopped(name, code)
    return code if other is None else other
