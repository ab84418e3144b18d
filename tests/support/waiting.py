"""Waiting for another task, thread or process."""

import time
from collections.abc import Callable

import anyio

MAX_WAIT_S = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks and threads run until a condition is true."""
    with anyio.fail_after(MAX_WAIT_S):
        while not condition():  # noqa: ASYNC110 - no event of the loop reports it
            await anyio.sleep(0.001)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait, without an event loop, until a condition is true."""
    ends_at = time.monotonic() + MAX_WAIT_S
    while not condition():
        assert time.monotonic() < ends_at, "it did not happen"
        time.sleep(0.01)
