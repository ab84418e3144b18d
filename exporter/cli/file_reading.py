"""Reading small files from coroutines, in a thread that can be left behind."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def read_in_thread(read: Callable[[], T]) -> T:
    """Read a small file, in its own thread.

    Cancellation:
        The thread is left behind: it may wait for a pipe without a writer.
    """
    from concurrent.futures import ThreadPoolExecutor

    from aiofiles.os import wrap

    # The loop waits for its own threads before it ends.
    executor = ThreadPoolExecutor(1, "intercom-exporter-read")
    try:
        result: T = await wrap(read)(executor=executor)
    finally:
        executor.shutdown(wait=False)
    return result
