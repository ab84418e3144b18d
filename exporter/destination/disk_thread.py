"""The thread in which an output's blocking work is done."""

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
    """One thread for one output: its work is done in the order in which it was given.

    The event loop's own threads are the host's: they may all be busy for long.
    A bare ``task.cancel()`` leaves work behind in its thread; here nothing else
    begins before that has ended.

    Args:
        prepare: called in the thread before all other work.
    """

    def __init__(self, prepare: Callable[[], object] = lambda: None) -> None:
        self._executor = ThreadPoolExecutor(1, "intercom-exporter-disk", prepare)

    async def run(self, work: Callable[[], T]) -> T:
        """Do some work.

        Cancellation:
            Waits for the work to end. A bare ``task.cancel()`` does not.
        """
        with anyio.CancelScope(shield=True):
            result: T = await _in_a_thread(work, executor=self._executor)
        return result

    async def end(self, last: Callable[[], object]) -> None:
        """Do the last of the work, once, whatever happens to this task, and let the thread end.

        Cancellation:
            Waits for the work to end. A bare ``task.cancel()`` does not, and the work is done all the same.
        """
        work = self._executor.submit(last)
        self._executor.shutdown(wait=False)
        with anyio.CancelScope(shield=True):
            await asyncio.shield(asyncio.wrap_future(work))
