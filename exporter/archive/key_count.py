"""A count of contacts with duplicate keys, in constant memory and at low cost, while an export runs.

The last byte of a key selects its bucket, so that equal keys are in the same
bucket. Keys that do not fit into memory are written to one temporary file,
bucket by bucket; each bucket is then counted by itself.
"""

import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, chain
from pathlib import Path
from struct import Struct, iter_unpack
from typing import IO

from exporter.errors import SinkError
from exporter.layout.atomic import write_all
from exporter.rawjson.contact_keys import KEY_BYTES, page_keys

_BUFFERED_KEYS = 50_000
_KEYS_AT_ONCE = 8_000
_CHUNK_BYTES = _KEYS_AT_ONCE * KEY_BYTES
_BUCKETS = 256
_KEY = f"{KEY_BYTES}s"
_GROUP = Struct(_KEY * 64)  # unpacking 64 keys per call takes half the time of one key per call


class KeyCount:
    """A counter of duplicate keys.

    More than 50,000 keys are written to an unnamed temporary file, which the
    operating system removes when the process ends. If the file cannot be written
    or read, the count becomes unavailable; nothing else fails because of it.

    Args:
        folder: folder for the temporary file; the system's temporary folder if None or not writable.
        buffered_keys: maximum number of keys in memory.
        check_space: called with a number of bytes; raises a `SinkError` if `folder` has too little free space for them.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        buffered_keys: int = _BUFFERED_KEYS,
        check_space: Callable[[int], object] = lambda _needed: None,
    ) -> None:
        self._folder = folder
        self._check_space = check_space
        self._buffered_bytes = buffered_keys * KEY_BYTES
        self._buffer = bytearray()
        self._file: IO[bytes] | None = None
        self._runs: list[array[int]] = []  # for each `spill`: the offsets of its buckets in the file, and its end
        self._is_unavailable = False

    def add(self, keys: bytes) -> None:
        """Add keys, as `page_keys` returns them. Does not block."""
        if not self._is_unavailable:
            self._buffer += keys

    @property
    def is_full(self) -> bool:
        """Whether the buffer is full, so that the caller must call `spill`."""
        return len(self._buffer) > self._buffered_bytes

    def spill(self) -> None:
        """Move the keys in memory to the temporary file. Blocks. If that fails, the count becomes unavailable."""
        try:
            self._file = self._file or self._open_temporary()
            if self._folder is not None:
                self._check_space(len(self._buffer))
            buckets = _spread(self._buffer)
            self._buffer.clear()
            start = self._runs[-1][-1] if self._runs else 0
            self._runs.append(array("Q", accumulate(map(len, buckets), initial=start)))
            write_all(self._file.fileno(), b"".join(buckets))
        except (OSError, SinkError):
            self.close()

    def count(self, on_progress: Callable[[], object] = lambda: None) -> int | None:
        """Count the keys that are equal to an earlier one. Blocks, and drops all keys.

        Args:
            on_progress: called repeatedly during the count; an exception that it raises ends the count.

        Returns:
            The number of duplicates, None if the count is unavailable.
        """
        try:
            if self._is_unavailable:
                return None
            buckets = _spread(self._buffer) if self._file or len(self._buffer) > _CHUNK_BYTES else [self._buffer]
            return sum(self._count_duplicates(number, keys, on_progress) for number, keys in enumerate(buckets))
        except OSError:
            return None
        finally:
            self.close()

    def count_of(self, batches: Iterable[Sequence[bytes]], on_progress: Callable[[], object]) -> int | None:
        """Count the contacts in these batches that are equal to an earlier one. Blocks, and drops all keys.

        Args:
            batches: lists of contacts, the JSON of each.
            on_progress: same as for `count`.

        Returns:
            The number of duplicates, None if the batches cannot be read to their end or the count is unavailable.
        """
        try:
            for batch in batches:
                on_progress()
                self.add(page_keys(batch))
                if self.is_full:
                    self.spill()
        except OSError:
            return None
        return self.count(on_progress)

    def close(self) -> None:
        """Drop all keys."""
        self._buffer.clear()
        self._runs.clear()
        if self._file:
            with suppress(OSError):  # some file systems report a full disk only here
                self._file.close()
        self._file, self._is_unavailable = None, True

    def _count_duplicates(self, number: int, buffered: bytearray, on_progress: Callable[[], object]) -> int:
        """Count the duplicates in one bucket, in several passes if its distinct keys do not fit into memory."""
        count = (len(buffered) + sum(run[number + 1] - run[number] for run in self._runs)) // KEY_BYTES
        passes, distinct = count // _KEYS_AT_ONCE + 1, 0
        for turn in range(passes):
            on_progress()
            seen: set[bytes] = set()
            for chunk in self._chunks(number, buffered):
                keys = _keys_in(chunk)
                # Not the hash's low bits: a set uses those, and the keys of one pass would collide in it.
                seen.update(keys if passes == 1 else (key for key in keys if (hash(key) >> 20) % passes == turn))
            distinct += len(seen)
        return count - distinct

    def _chunks(self, number: int, buffered: bytearray) -> Iterator[bytes | bytearray]:
        """Yield the keys of a bucket: first those in the file, then those in the buffer."""
        if self._file:
            for run in self._runs:
                start, length = run[number], run[number + 1] - run[number]
                chunk = os.pread(self._file.fileno(), length, start)
                if len(chunk) != length:
                    raise OSError("the temporary file is truncated")
                yield chunk
        yield buffered

    def _open_temporary(self) -> IO[bytes]:
        if self._folder is not None:
            try:
                return tempfile.TemporaryFile(buffering=0, dir=self._folder)
            except OSError:  # for example, the file system does not support unnamed files
                self._folder = None
        return tempfile.TemporaryFile(buffering=0)


def _keys_in(chunk: bytes | bytearray) -> Iterator[bytes]:
    """Yield each key of a sequence of keys."""
    grouped_bytes = len(chunk) - len(chunk) % _GROUP.size
    remaining = iter_unpack(_KEY, memoryview(chunk)[grouped_bytes:])
    return chain.from_iterable(chain(_GROUP.iter_unpack(memoryview(chunk)[:grouped_bytes]), remaining))


def _spread(keys: bytearray) -> list[bytearray]:
    """Return buckets of keys by their last byte. Only 8,000 keys at a time become Python objects."""
    buckets = [bytearray() for _ in range(_BUCKETS)]
    for start in range(0, len(keys), _CHUNK_BYTES):
        chunk = keys[start : start + _CHUNK_BYTES]
        lists: list[list[bytes]] = [[] for _ in buckets]
        append = [keys_of_bucket.append for keys_of_bucket in lists]
        for key, last in zip(_keys_in(chunk), chunk[KEY_BYTES - 1 :: KEY_BYTES], strict=True):
            append[last](key)
        for bucket, keys_of_bucket in zip(buckets, lists, strict=True):
            bucket.extend(b"".join(keys_of_bucket))
    return buckets
