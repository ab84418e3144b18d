"""Files that cannot be appended to: made of a journal of lines, once all of these are on disk.

The journal is what other formats write in the first place, under the name of
the part: it is committed and resumed like any other. The file is made
under a name of its own, and whatever dies meanwhile leaves the journal.
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
from exporter.model import FileSummary

_STEP_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 20


class TableWriter(Protocol):
    """What writes such a file, from front to back."""

    def add(self, records: Sequence[bytes]) -> None:
        """Take contacts, a JSON object each."""

    def close(self) -> None:
        """Write the end of the file."""

    def discard(self) -> None:
        """Let go of a file that will not be finished. Never raises."""


OpenWriter = Callable[[io.BufferedIOBase], TableWriter]


class Conversion:
    """Makes a file of a journal. Blocks.

    Args:
        journal: gzip members of lines.
        expected: the journal's figures.
        path: what the file is called meanwhile.
        make: begins to write it.
        free_space: checked before each write; None for no check.

    Attributes:
        made: the figures of the file, once it is on disk.
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
        """Do it, a piece of work at each step.

        Raises:
            SinkError: the journal is not what was written.
            OSError: as it comes.

        Durability:
            The file is on disk, under its name for the meantime, when this ends.
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
            sync_folder(self._path.parent)  # a checkpoint never speaks of a name that could still be lost
            if not part.is_still_linked:
                raise SinkError(f"{str(self._path)!r} was removed by another program", path=self._path)
            self.result = replace(self._expected, bytes=part.tell(), sha256=part.summary("").sha256)
        finally:
            with suppress(OSError):  # what is left in the buffer is of no use
                file.close()
            if self.result is None:  # it would only take room
                with suppress(OSError):
                    remove(self._path)

    def _lines(self) -> Iterator[list[bytes]]:
        """Give the journal's lines, some at a time, and prove that they are all that was written."""
        contents, begun = DataFile(self._journal, GZIP_SUFFIX), list[bytes]()
        size = 0
        for piece in contents.chunks():
            begun.append(piece)
            size += len(piece)
            if size >= _STEP_BYTES and b"\n" in piece:
                *lines, rest = b"".join(begun).split(b"\n")
                yield lines
                begun, size = [rest], len(rest)
        *lines, rest = b"".join(begun).split(b"\n")
        yield lines
        intact = contents.failure is None and contents.sha256.hexdigest() == self._expected.sha256
        if not intact or contents.corruption or rest:
            raise SinkError(
                f"{str(self._journal)!r} was modified by another program during the export", path=self._journal
            )
