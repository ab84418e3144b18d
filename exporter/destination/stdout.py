"""Standard output, or any other descriptor that is written from front to back."""

import anyio.to_thread

from exporter.layout.atomic import write_all, writing
from exporter.model import Frame, joined


class StdoutSink:
    """Writes frames to a descriptor.

    Args:
        descriptor: which.
        opening: what comes before the first frame.

    Cancellation:
        Never waits for a reader that has stopped reading: the write under way
        is left behind in its thread, and how much of it went out is unknown.
    """

    def __init__(self, descriptor: int = 1, opening: Frame | None = None) -> None:
        self._descriptor = descriptor
        self._opening = opening

    async def append(self, frame: Frame) -> Frame:
        """Write a frame; return it with what was written before it.

        Raises:
            SinkError: its ``__cause__`` is `BrokenPipeError` when the reader went away.
        """
        if self._opening and frame.contacts:
            frame, self._opening = joined(self._opening, frame), None
        with writing(None):
            await anyio.to_thread.run_sync(write_all, self._descriptor, frame.content, abandon_on_cancel=True)
        return frame
