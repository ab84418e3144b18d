"""The thread that does the blocking work of an output."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import anyio
from aiofiles.os import wrap

T = TypeVar("T")


def _call(work: Callable[[], T]) -> T:
    return work()


_in_a_thread = wrap(_call)


class DiskThread:
    """One thread for one output: it runs functions in the order of the calls.

    The event loop's default threads belong to the host application, and may all
    be busy for a long time. After a bare ``task.cancel()`` the running function
    continues in the thread; a single thread starts no other function before it ends.

    Args:
        prepare: called once in the thread, before all other functions.
    """

    def __init__(self, prepare: Callable[[], object] = lambda: None) -> None:
        self._executor = ThreadPoolExecutor(1, "intercom-exporter-disk", prepare)

    async def run(self, work: Callable[[], T]) -> T:
        """Run a function in the thread and return its result.

        Cancellation:
            Waits for the function to end. A bare ``task.cancel()`` does not wait.
        """
        with anyio.CancelScope(shield=True):
            result: T = await _in_a_thread(work, executor=self._executor)
        return result

    async def end(self, last: Callable[[], object]) -> None:
        """Run one last function in the thread, then end the thread. The function runs even if this task is cancelled.

        Cancellation:
            Waits for the function to end. A bare ``task.cancel()`` does not wait, but the function still runs.
        """
        work = self._executor.submit(last)
        self._executor.shutdown(wait=False)
        with anyio.CancelScope(shield=True):
            await asyncio.shield(asyncio.wrap_future(work))
