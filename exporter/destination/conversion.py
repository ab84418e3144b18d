"""Conversion of a journal of lines to a file of a format that cannot be appended to, such as Parquet.

The export first writes a journal, which is a gzip-compressed NDJSON file with
the name of the part. It is committed and resumed like the part of any other
format. When the journal is complete on disk, it is converted to a file with a
temporary name. A crash during the conversion leaves the journal unchanged.
"""

import io
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from exporter.destination.free_space import FreeSpace
from exporter.destination.part import Part
from exporter.errors import SinkError
from exporter.formats.facts import GZIP_SUFFIX
from exporter.layout.atomic import open_private, remove, sync, sync_folder
from exporter.layout.data_file import DataFile
from exporter.layout.summary import FileSummary

_STEP_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 20


class TableWriter(Protocol):
    """A writer of a file that cannot be appended to; it writes the file sequentially."""

    def add(self, records: Sequence[bytes]) -> None:
        """Write contacts; each record is one JSON object."""

    def close(self) -> None:
        """Write the end of the file."""

    def discard(self) -> None:
        """Release the resources of a file that will not be finished. Never raises."""


OpenWriter = Callable[[io.BufferedIOBase], TableWriter]
"""Returns a `TableWriter` that writes to the given file."""


class Conversion:
    """The conversion of one journal. Blocks.

    Args:
        journal: path of the journal: gzip members of lines.
        expected: the journal's counts and SHA-256.
        path: the temporary name of the new file.
        open_writer: opens the writer of the new file.
        free_space: checked before each write; None for no check.

    Attributes:
        result: the counts and the SHA-256 of the new file; None until it is on disk.
    """

    def __init__(
        self,
        journal: Path,
        expected: FileSummary,
        path: Path,
        open_writer: OpenWriter,
        free_space: FreeSpace | None = None,
    ) -> None:
        self.result: FileSummary | None = None
        self._journal = journal
        self._expected = expected
        self._path = path
        self._open_writer = open_writer
        self._free_space = free_space

    def run_stepwise(self) -> Generator[None]:
        """Convert the journal. Each step of the generator does a piece of the work.

        Raises:
            SinkError: another program has modified the journal, or removed the new file.
            OSError: reading or writing failed.

        Durability:
            The file is on disk, with its temporary name, when the generator ends.
        """
        part = Part(open_private(self._path), self._path, self._free_space)
        file = io.BufferedWriter(part, _BUFFER_BYTES)
        try:
            part.make_empty()
            table = self._open_writer(file)
            try:
                for lines in self._lines():
                    table.add(lines)
                    yield
                table.close()
            finally:
                table.discard()
            file.flush()
            sync(part.fileno())
            sync_folder(self._path.parent)  # the name is durable before a checkpoint refers to it
            if not part.is_still_linked:
                raise SinkError(f"{str(self._path)!r} was removed by another program", path=self._path)
            self.result = replace(self._expected, bytes=part.tell(), sha256=part.summary("").sha256)
        finally:
            with suppress(OSError):  # closing writes the buffer; after an error its content is not needed
                file.close()
            if self.result is None:  # an incomplete file only uses disk space
                with suppress(OSError):
                    remove(self._path)

    def _lines(self) -> Iterator[list[bytes]]:
        """Yield the journal's lines in batches, then check that the journal is unmodified.

        Raises:
            SinkError: it cannot be read, or another program has modified it.
        """
        data_file, pending = DataFile(self._journal, GZIP_SUFFIX), list[bytes]()
        size = 0
        for chunk in data_file.chunks():
            pending.append(chunk)
            size += len(chunk)
            if size >= _STEP_BYTES and b"\n" in chunk:
                *lines, incomplete_line = b"".join(pending).split(b"\n")
                yield lines
                pending, size = [incomplete_line], len(incomplete_line)
        *lines, incomplete_line = b"".join(pending).split(b"\n")
        yield lines
        if data_file.failure:
            raise SinkError(f"{str(self._journal)!r} {data_file.failure}", path=self._journal)
        intact = data_file.sha256.hexdigest() == self._expected.sha256
        if not intact or data_file.corruption or incomplete_line:
            raise SinkError(
                f"{str(self._journal)!r} was modified by another program during the export", path=self._journal
            )
