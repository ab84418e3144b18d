"""SIGINT and SIGTERM: the first ends a job in order, the second at once."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import anyio

from exporter.cli.exits import SIGNALLED

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def until_signal(job: Callable[[], Awaitable[int]], stopped: Callable[[str], int | None]) -> int:
    """Run a job, and cancel it when a signal comes.

    Args:
        job: gives the exit code.
        stopped: called with the signal's name once the job has unwound; may
            give another exit code than the usual 128 + its number.
    """
    caught: list[signal.Signals] = []
    scope = anyio.CancelScope()

    def on_signal(number: signal.Signals) -> None:
        if caught:
            os._exit(SIGNALLED + number)
        caught.append(number)
        scope.cancel()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    with scope:
        return await job()
    code = stopped(caught[0].name)
    return SIGNALLED + caught[0] if code is None else code
