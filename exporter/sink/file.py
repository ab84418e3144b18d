"""A file that is complete or not there: written under another name, renamed at the end."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
from aiofiles.threadpool import wrap

from exporter.model import FileSummary, Frame, Summary
from exporter.sink.durable import open_locked, sync_folder, write_all, writing
from exporter.sink.manifest import save_manifest


class _PartFile(io.FileIO):
    """An unbuffered file whose `write` writes all it is given, and hashes it in the same thread."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb")
        self.sha256 = hashlib.sha256()

    @classmethod
    def begin(cls, path: Path) -> Self:
        """Open a file for this process alone, and empty it."""
        file = cls(open_locked(path))
        try:
            file.truncate(0)
        except BaseException:
            file.close()
            raise
        return file

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
        with writing(self._part), anyio.CancelScope(shield=True):
            self._raw = await anyio.to_thread.run_sync(_PartFile.begin, self._part)
        self._file = wrap(self._raw)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._part), anyio.CancelScope(shield=True):
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

    async def finish(self, summarise: Callable[[FileSummary], Summary]) -> Summary:
        """Give the file its name, and put the manifest beside it.

        Args:
            summarise: makes the export's summary, given the file's.

        Cancellation:
            Finished first, once begun.

        Durability:
            The whole file, under its name, and its manifest are on disk when
            this returns.
        """
        with writing(self._path), anyio.CancelScope(shield=True):
            summary = await anyio.to_thread.run_sync(self._settle, summarise)
        return summary

    def _settle(self, summarise: Callable[[FileSummary], Summary]) -> Summary:
        # Data first, then the name: a crash in between must not leave a short file under it.
        os.fsync(self._raw.fileno())
        self._part.replace(self._path)
        sync_folder(self._path)
        sha256 = self._raw.sha256.hexdigest()
        summary = summarise(FileSummary(self._path.name, self._bytes, sha256, self._contacts, self._uncompressed_bytes))
        save_manifest(self._path, summary)
        return summary


def part_path(path: Path) -> Path:
    """Name the file that is written while the export runs."""
    return path.with_name(f"{path.name}.part")
