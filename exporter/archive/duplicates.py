"""Ids that come more than once, counted exactly, in flat memory.

What does not fit a small buffer is spilled into files, chosen by the id's
hash, so that equal ids meet in one file. Each is then read on its own: only
the distinct ids of one file are ever held at once.
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
"""Ids that are longer are represented by a digest."""

_BUFFERED_IDS = 100_000
_BUCKETS = 256
_IDS_OF_SO_MANY_BUCKETS = 100_000_000
_MAX_BUCKETS = 64 * _BUCKETS  # who expects more than 6.4 billion ids gets larger buckets
_CHUNK_BYTES = 256 * 1024
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Ids that came more than once.

    Attributes:
        count: how many ids had come before.
        examples: up to three of them.
    """

    count: int
    examples: tuple[bytes, ...]


class DuplicateCounter:
    """Takes ids, and counts those it had been given before. Blocks.

    Leaving the block removes what was spilled.

    Args:
        expected: how many ids will come, about; beyond 100 million they are
            spread over more files, to stay in the same memory.
        buffered_ids: how many are held before they are spilled.
        spare_folder: where they are spilled if the system has no folder for temporary files that can be written.
    """

    def __init__(
        self, expected: int = 0, *, buffered_ids: int = _BUFFERED_IDS, spare_folder: Path | None = None
    ) -> None:
        buckets = _BUCKETS * -(-expected // _IDS_OF_SO_MANY_BUCKETS)
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
        """Take ids.

        Raises:
            SinkError: there is no room to spill them.
        """
        buckets, count = self._buckets, len(self._buckets)
        for given in ids:
            known = given if len(given) <= MAX_ID_BYTES and b"\n" not in given else _digest(given)
            # Not by the hash's low bits: by those a set chooses places, over which a bucket's ids are to spread.
            buckets[(hash(known) >> 20) % count].append(known)
        self._buffered += len(ids)
        if self._buffered > self._buffered_ids:
            self._spill()

    def count(self, on_progress: Callable[[], None] = lambda: None) -> Duplicates:
        """Count the ids that had come before, of all that were added.

        Args:
            on_progress: called now and then meanwhile; what it raises ends the counting.

        Raises:
            SinkError: what was spilled cannot be read.
        """
        surplus = 0
        examples: list[bytes] = []
        for number in range(len(self._buckets)):
            on_progress()
            found = self._surplus(number)
            surplus += found
            if found and len(examples) < _EXAMPLES:
                examples += self._examples(number, _EXAMPLES - len(examples))
        return Duplicates(surplus, tuple(examples))

    def _surplus(self, number: int) -> int:
        count = 0
        seen: set[bytes] = set()
        for ids in self._chunks(number):
            count += len(ids)
            seen.update(ids)
        return count - len(seen)

    def _examples(self, number: int, limit: int) -> list[bytes]:
        seen: set[bytes] = set()
        repeated: dict[bytes, None] = {}
        for ids in self._chunks(number):
            for known in ids:
                if known in seen:
                    repeated[known] = None
                    if len(repeated) == limit:
                        return list(repeated)
                seen.add(known)
        return list(repeated)

    def _chunks(self, number: int) -> Iterator[list[bytes]]:
        """Give a bucket's ids, as many at a time as fit the memory."""
        if self._folder is not None and number in self._spilled:
            with _spilling(), _file(self._folder, number).open("rb") as file:
                rest = b""
                while piece := file.read(_CHUNK_BYTES):
                    *ids, rest = (rest + piece).split(b"\n")
                    yield ids
        yield self._buckets[number]

    def _spill(self) -> None:
        with _spilling():
            if self._folder is None:
                self._folder = _temporary_folder(self._spare_folder)
            for number, bucket in enumerate(self._buckets):
                if bucket:
                    # Opened anew each time: some systems allow a process 256 descriptors.
                    with _file(self._folder, number).open("ab") as file:
                        file.write(b"\n".join((*bucket, b"")))
                    self._spilled.add(number)
                    bucket.clear()
        self._buffered = 0


def _temporary_folder(spare: Path | None) -> tempfile.TemporaryDirectory[str]:
    """Make a temporary folder where the system has them, else in a spare one."""
    try:
        return tempfile.TemporaryDirectory(prefix="intercom-exporter-", ignore_cleanup_errors=True)
    except FileNotFoundError:  # none of the system's can be written
        if spare is not None and os.access(spare, os.W_OK):
            return tempfile.TemporaryDirectory(prefix=".intercom-exporter-", dir=spare, ignore_cleanup_errors=True)
        raise FileNotFoundError(errno.ENOENT, "no folder for temporary files can be written") from None


def _file(folder: tempfile.TemporaryDirectory[str], number: int) -> Path:
    return Path(folder.name, str(number))


def _digest(contact_id: bytes) -> bytes:
    """Represent an id that would not fit a line of a spill file, by something too long to be an id that does."""
    return b"sha256:" + hashlib.sha256(contact_id).hexdigest().encode()


@contextmanager
def _spilling() -> Iterator[None]:
    """Turn an `OSError` of the block into a `SinkError` that says where room is missing."""
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise SinkError(
            f"cannot keep the ids in a temporary file: {reason}; free disk space there (some 30 bytes a contact), "
            "or name another folder in TMPDIR"
        ) from exc
