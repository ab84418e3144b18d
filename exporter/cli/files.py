"""Files that a command reads while its event loop runs."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def read_in_thread(read: Callable[[], T]) -> T:
    """Read a small file, in a thread of its own.

    Cancellation:
        The thread is left behind: a pipe that nobody writes to is not waited for.
    """
    from concurrent.futures import ThreadPoolExecutor

    from aiofiles.os import wrap

    # Of the loop's own threads the loop waits for the last one before it ends.
    executor = ThreadPoolExecutor(1, "intercom-exporter-read")
    try:
        result: T = await wrap(read)(executor=executor)
    finally:
        executor.shutdown(wait=False)
    return result
