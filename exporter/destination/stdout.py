"""Standard output, or any other descriptor that is written from front to back."""

import anyio.to_thread

from exporter.destination.base import Destination
from exporter.formats.encoder import Encoder
from exporter.layout.atomic import os_errors_as_sink_errors, write_all
from exporter.layout.checkpoint import OutputSettings
from exporter.model import Frame, Summary, prepend_header


class StdoutDestination(Destination):
    """Writes frames to a descriptor.

    Args:
        settings: of the export.
        descriptor: which.

    Cancellation:
        Never waits for a reader that has stopped reading: the write under way
        is left behind in its thread, and how much of it went out is unknown.
    """

    def __init__(self, settings: OutputSettings, descriptor: int = 1) -> None:
        self._settings = settings
        self._descriptor = descriptor
        self._header: Frame | None = None

    def use_encoder(self, encoder: Encoder) -> None:
        """Take the header, which goes out before the first contact."""
        self._header = encoder.header

    async def append(self, frame: Frame) -> Frame:
        """Write a frame; return it with what was written before it.

        Raises:
            SinkError: its ``__cause__`` is `BrokenPipeError` when the reader went away.
        """
        if self._header and frame.contacts:
            frame, self._header = prepend_header(self._header, frame), None
        await self._write(frame.content)
        return frame

    async def _write(self, content: bytes) -> None:
        with os_errors_as_sink_errors(None):
            await anyio.to_thread.run_sync(write_all, self._descriptor, content, abandon_on_cancel=True)

    async def finish(self) -> Summary:
        """Return the summary."""
        return self.state.summary(self._settings)
