"""The keys of written contacts, in a temporary file, for destinations that keep no files."""

import os
import tempfile
from collections.abc import Iterator
from typing import IO

import anyio.to_thread

from exporter.layout.atomic import write_all
from exporter.layout.key_journal import key_errors_as_sink_errors

_BUFFERED_BYTES = 1 << 18
_CHUNK_BYTES = 1 << 20


class KeySpool:
    """Blocks of keys, in the order in which they were added. The operating system removes the file with the process."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._file: IO[bytes] | None = None

    async def add(self, keys: bytes) -> None:
        """Add a block.

        Raises:
            SinkError: the temporary file cannot be written.
        """
        self._buffer += keys
        if len(self._buffer) > _BUFFERED_BYTES:
            with key_errors_as_sink_errors():
                await anyio.to_thread.run_sync(self._spill)

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`
        content, self._buffer = bytes(self._buffer), bytearray()
        write_all(self._file.fileno(), content)

    def chunks(self) -> Iterator[bytes]:
        """Yield everything that was added. Blocks."""
        at = 0
        while self._file and (chunk := os.pread(self._file.fileno(), _CHUNK_BYTES, at)):
            at += len(chunk)
            yield chunk
        yield bytes(self._buffer)

    def close(self) -> None:
        """Drop all keys."""
        if self._file:
            self._file.close()
        self._file, self._buffer = None, bytearray()
