"""An exact count of duplicate ids, in constant memory.

Ids that do not fit into a small buffer are written to files. The id's hash
selects the file, so that equal ids are in the same file. Each file is then read
by itself: memory holds only the distinct ids of one file at a time.
"""

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from exporter.errors import SinkError

MAX_ID_BYTES = 64
"""A longer id is represented by a digest."""

_BUFFERED_IDS = 100_000
_BUCKETS = 256
_IDS_PER_BUCKETS = 100_000_000  # for so many expected ids we use another `_BUCKETS` buckets
_MAX_BUCKETS = 64 * _BUCKETS  # with more than 6.4 billion expected ids the buckets become larger
_CHUNK_BYTES = 256 * 1024
_MAX_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Duplicates:
    """The duplicate ids of an export.

    Attributes:
        count: number of ids that are equal to an earlier one.
        examples: at most three duplicate ids.
    """

    count: int
    examples: tuple[bytes, ...]


class DuplicateCounter:
    """A counter of duplicate ids, as a context manager. Blocks.

    The end of the block removes the temporary files.

    Args:
        expected: approximate number of ids; for more than 100 million the
            counter uses more files, so that memory stays the same.
        buffered_ids: maximum number of ids in the buffer.
        spare_folder: folder for the temporary files if the system has no writable temporary folder.
    """

    def __init__(
        self, expected: int = 0, *, buffered_ids: int = _BUFFERED_IDS, spare_folder: Path | None = None
    ) -> None:
        buckets = _BUCKETS * -(-expected // _IDS_PER_BUCKETS)
        self._buckets: list[list[bytes]] = [[] for _ in range(min(max(buckets, _BUCKETS), _MAX_BUCKETS))]
        self._buffered_ids = buffered_ids
        self._spare_folder = spare_folder
        self._buffered = 0
        self._spilled: set[int] = set()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, ids: Sequence[bytes]) -> None:
        """Add ids.

        Raises:
            SinkError: there is too little free space for the temporary files.
        """
        buckets, count = self._buckets, len(self._buckets)
        for contact_id in ids:
            key = contact_id if len(contact_id) <= MAX_ID_BYTES and b"\n" not in contact_id else _digest(contact_id)
            # Not the hash's low bits: a set uses those, and the ids of one bucket would collide in it.
            buckets[(hash(key) >> 20) % count].append(key)
        self._buffered += len(ids)
        if self._buffered > self._buffered_ids:
            self._spill()

    def count(self, on_progress: Callable[[], None] = lambda: None) -> Duplicates:
        """Count the added ids that are equal to an earlier one.

        Args:
            on_progress: called repeatedly during the count; an exception that it raises ends the count.

        Raises:
            SinkError: a temporary file cannot be read.
        """
        total = 0
        examples: list[bytes] = []
        for number in range(len(self._buckets)):
            on_progress()
            duplicates = self._count_duplicates(number)
            total += duplicates
            if duplicates and len(examples) < _MAX_EXAMPLES:
                examples += self._examples(number, _MAX_EXAMPLES - len(examples))
        return Duplicates(total, tuple(examples))

    def _count_duplicates(self, number: int) -> int:
        """Count the duplicates in one bucket."""
        count = 0
        seen: set[bytes] = set()
        for ids in self._chunks(number):
            count += len(ids)
            seen.update(ids)
        return count - len(seen)

    def _examples(self, number: int, limit: int) -> list[bytes]:
        """Return at most `limit` different duplicate ids of one bucket."""
        seen: set[bytes] = set()
        duplicates: dict[bytes, None] = {}
        for ids in self._chunks(number):
            for key in ids:
                if key in seen:
                    duplicates[key] = None
                    if len(duplicates) == limit:
                        return list(duplicates)
                seen.add(key)
        return list(duplicates)

    def _chunks(self, number: int) -> Iterator[list[bytes]]:
        """Yield a bucket's ids in lists that fit into memory."""
        if self._folder is not None and number in self._spilled:
            with _spilling(), _file(self._folder, number).open("rb") as file:
                incomplete_id = b""
                while content := file.read(_CHUNK_BYTES):
                    *ids, incomplete_id = (incomplete_id + content).split(b"\n")
                    yield ids
        yield self._buckets[number]

    def _spill(self) -> None:
        """Move the ids in the buffer to the temporary files."""
        with _spilling():
            if self._folder is None:
                self._folder = _temporary_folder(self._spare_folder)
            for number, bucket in enumerate(self._buckets):
                if bucket:
                    # Opened only for this write: some systems allow a process only 256 descriptors.
                    with _file(self._folder, number).open("ab") as file:
                        file.write(b"\n".join((*bucket, b"")))
                    self._spilled.add(number)
                    bucket.clear()
        self._buffered = 0


def _temporary_folder(spare: Path | None) -> tempfile.TemporaryDirectory[str]:
    """Create a temporary folder in the system's temporary folder or, if that is not writable, in `spare`."""
    try:
        return tempfile.TemporaryDirectory(prefix="intercom-exporter-", ignore_cleanup_errors=True)
    except FileNotFoundError:  # the system has no writable temporary folder
        if spare is not None and os.access(spare, os.W_OK):
            return tempfile.TemporaryDirectory(prefix=".intercom-exporter-", dir=spare, ignore_cleanup_errors=True)
        raise FileNotFoundError(errno.ENOENT, "no temporary folder is writable") from None


def _file(folder: tempfile.TemporaryDirectory[str], number: int) -> Path:
    return Path(folder.name, str(number))


def _digest(contact_id: bytes) -> bytes:
    """Return a digest for an id that is too long or has a line break. It is longer than every id that is kept as is."""
    return b"sha256:" + hashlib.sha256(contact_id).hexdigest().encode()


@contextmanager
def _spilling() -> Iterator[None]:
    """Translate an `OSError` of the block into a `SinkError` that tells where free space is needed."""
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise SinkError(
            f"cannot store the ids in a temporary file: {reason}; free disk space there (about 30 bytes per contact), "
            "or set TMPDIR to another folder"
        ) from exc
