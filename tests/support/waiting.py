"""Waiting for something that another task, thread or process does."""

import time
from collections.abc import Callable

import anyio

MOST_S = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks and threads run until something is so."""
    with anyio.fail_after(MOST_S):
        while not condition():  # noqa: ASYNC110 - no event of the loop reports it
            await anyio.sleep(0.001)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait, without an event loop, until something is so."""
    ends_at = time.monotonic() + MOST_S
    while not condition():
        assert time.monotonic() < ends_at, "it did not happen"
        time.sleep(0.01)
