"""Standard output, or any other descriptor that is written from front to back."""

import anyio.to_thread

from exporter.model import Frame
from exporter.sink.durable import write_all, writing


class StdoutSink:
    """Writes frames to a descriptor.

    Cancellation:
        Never waits for a reader that has stopped reading: the write under way
        is left behind in its thread, and how much of it went out is unknown.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor

    async def append(self, frame: Frame) -> None:
        """Write a frame.

        Raises:
            SinkError: its ``__cause__`` is `BrokenPipeError` when the reader went away.
        """
        with writing(None):
            await anyio.to_thread.run_sync(write_all, self._descriptor, frame.content, abandon_on_cancel=True)
