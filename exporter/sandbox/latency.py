"""The latency of a sandbox: how long a request waits before it is handled."""

import asyncio


class Latency:
    """Lets requests wait, and then handles them in turn.

    Requests that waited at the same time are not handled in one step of the event loop, but one in each: those
    that arrive meanwhile begin to wait at once. Otherwise many clients at once would get the latency plus the time
    of all their pages, however long ago they had sent their requests.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def wait(self, delay_s: float) -> None:
        """Wait for a request's latency, then for its turn."""
        await asyncio.sleep(delay_s)
        async with self._turn:
            await asyncio.sleep(0)  # the event loop reads the requests that have arrived
