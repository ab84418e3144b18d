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

from exporter.errors import SinkError
from exporter.model import FileSummary, Frame, Summary
from exporter.sink.durable import open_locked, put_in_place, write_all, writing
from exporter.sink.manifest import manifest_path, prepare_manifest


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
        overwrite: whether a file of that name may be replaced.

    Raises:
        SinkError: from entering the block, when another process writes the
            same output, or the file cannot be opened.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self._path = path
        self._overwrite = overwrite
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
        # The data, the manifest, then their names: whatever dies between the two renames leaves a pending
        # manifest that vouches for the file, and the next run finishes.
        os.fsync(self._raw.fileno())
        self._check_unchanged()
        sha256 = self._raw.sha256.hexdigest()
        file = FileSummary(self._path.name, self._bytes, sha256, self._contacts, self._uncompressed_bytes)
        summary = summarise(file)
        pending = prepare_manifest(self._path, summary)
        put_in_place(self._part, self._path)
        put_in_place(pending, manifest_path(self._path))
        return summary

    def _check_unchanged(self) -> None:
        """Refuse to finish what somebody else has had a hand in."""
        ours = os.fstat(self._raw.fileno())
        if not os.path.samestat(ours, self._part.lstat()) or ours.st_size != self._bytes:
            raise SinkError(
                f"{str(self._part)!r} was changed by another program: run the same command again", path=self._part
            )
        if not self._overwrite and os.path.lexists(self._path):
            raise SinkError(f"{str(self._path)!r} has appeared meanwhile: move it, or use --overwrite", path=self._path)


def part_path(path: Path) -> Path:
    """Name the file that is written while the export runs."""
    return path.with_name(f"{path.name}.part")
