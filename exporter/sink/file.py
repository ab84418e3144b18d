"""A file that is complete or not there: written under another name, renamed at the end."""

import hashlib
import io
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
from aiofiles.threadpool import wrap

from exporter.model import FileSummary, Frame
from exporter.sink.durable import open_locked, sync_folder, write_all, writing


class _PartFile(io.FileIO):
    """An unbuffered file whose `write` writes all it is given, and hashes it in the same thread."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb")
        self.sha256 = hashlib.sha256()

    def write(self, content: Any) -> int:
        write_all(self.fileno(), content)
        self.sha256.update(content)
        return len(content)


class FileSink:
    """Writes frames to ``<path>.part``, alone; `finish` gives it its name.

    Leaving the block without `finish` leaves the part.

    Args:
        path: the finished file's.

    Raises:
        SinkError: from entering the block, when another process writes the
            same output, or the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = part_path(path)
        self._contacts = self._bytes = self._uncompressed_bytes = 0

    async def __aenter__(self) -> Self:
        with writing(self._part):
            self._raw = _PartFile(await anyio.to_thread.run_sync(open_locked, self._part))
            self._file = wrap(self._raw)
            await self._file.truncate(0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._file.close()

    async def append(self, frame: Frame) -> None:
        """Write a frame at the end.

        Cancellation:
            A write that has begun is finished first.
        """
        with writing(self._part), anyio.CancelScope(shield=True):
            await self._file.write(frame.content)
        self._contacts += frame.contacts
        self._bytes += len(frame.content)
        self._uncompressed_bytes += frame.uncompressed_bytes

    async def finish(self) -> FileSummary:
        """Give the file its name.

        Durability:
            The whole file is on disk, under its name, when this returns.
        """
        with writing(self._path), anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._settle)
        return FileSummary(
            self._path.name, self._bytes, self._raw.sha256.hexdigest(), self._contacts, self._uncompressed_bytes
        )

    def _settle(self) -> None:
        # Data first, then the name: a crash in between must not leave a short file under it.
        os.fsync(self._raw.fileno())
        self._part.replace(self._path)
        sync_folder(self._path)


def part_path(path: Path) -> Path:
    """Name the file that is written while the export runs."""
    return path.with_name(f"{path.name}.part")
