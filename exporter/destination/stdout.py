"""Standard output, or any other descriptor, as a destination that cannot be resumed."""

import anyio.to_thread

from exporter.destination.base import Destination
from exporter.formats.encoder import Encoder
from exporter.layout.atomic import os_errors_as_sink_errors, write_all
from exporter.layout.settings import OutputSettings
from exporter.layout.summary import Summary
from exporter.model import Frame, prepend_header


class StdoutDestination(Destination):
    """A destination that writes frames to a descriptor.

    Args:
        settings: the settings of the export.
        descriptor: the descriptor to write to; 1 is standard output.

    Cancellation:
        Does not wait for a reader that has stopped reading: the thread with the
        current write is abandoned, and it is unknown how many bytes were written.
    """

    def __init__(self, settings: OutputSettings, descriptor: int = 1) -> None:
        self._settings = settings
        self._descriptor = descriptor
        self._header: Frame | None = None

    def use_encoder(self, encoder: Encoder) -> None:
        """Use the encoder's header; it is written before the first contact."""
        self._header = encoder.header

    async def append(self, frame: Frame) -> Frame:
        """Write a frame.

        Returns:
            The frame as it was written: the first one with contacts has the header in front.

        Raises:
            SinkError: the write failed; its ``__cause__`` is a `BrokenPipeError` if the reader closed the pipe.
        """
        if self._header and frame.contacts:
            frame, self._header = prepend_header(self._header, frame), None
        await self._write(frame.content)
        return frame

    async def _write(self, content: bytes) -> None:
        with os_errors_as_sink_errors(None):
            await anyio.to_thread.run_sync(write_all, self._descriptor, content, abandon_on_cancel=True)

    async def finish(self) -> Summary:
        """Return the summary of the job."""
        return self.state.summary(self._settings)
