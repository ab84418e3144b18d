"""Keys of contacts that come more than once, counted in flat memory and at little cost while an export runs.

Keys are spread over buckets by their last byte, so that equal ones meet. What
does not fit the memory is written to one temporary file, bucket by bucket;
each bucket is then counted on its own.
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
_GROUP = Struct(_KEY * 64)  # unpacking many at once takes half the time of one at a time


class KeyCount:
    """Takes keys, and counts those that it had been given before.

    Beyond 50,000 keys they are kept in a temporary file without a name, which
    goes with the process. When it cannot be written or read, the count is
    given up; nothing else fails for it.

    Args:
        folder: where the temporary file is; the system's folder for them if that is None or cannot be written to.
        buffered_keys: how many keys are held in memory.
        check_space: raises a `SinkError` if so many bytes must not be written to `folder`.
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
        self._runs: list[array[int]] = []  # where the buckets of each `spill` begin in the file, and where they end
        self._is_lost = False

    def add(self, keys: bytes) -> None:
        """Take keys, as `page_keys` returns them. Does not block."""
        if not self._is_lost:
            self._buffer += keys

    @property
    def is_full(self) -> bool:
        """Whether it is time to call `spill`."""
        return len(self._buffer) > self._buffered_bytes

    def spill(self) -> None:
        """Move what is in memory to the temporary file. Blocks; gives the count up where that fails."""
        try:
            self._file = self._file or self._temporary()
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
        """Count the keys that had come before, None when that is not known. Blocks, and drops all keys.

        Args:
            on_progress: called now and then meanwhile; what it raises ends the counting.
        """
        try:
            if self._is_lost:
                return None
            rests = _spread(self._buffer) if self._file or len(self._buffer) > _CHUNK_BYTES else [self._buffer]
            return sum(self._surplus(number, rest, on_progress) for number, rest in enumerate(rests))
        except OSError:
            return None
        finally:
            self.close()

    def count_of(self, batches: Iterable[Sequence[bytes]], on_progress: Callable[[], object]) -> int | None:
        """Count the contacts that had come before in these batches. Blocks, and drops all keys.

        Args:
            batches: JSON of contacts.
            on_progress: as for `count`.

        Returns:
            None where the batches cannot be read to their end, or the keys not be kept.
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
            with suppress(OSError):  # a disk may tell only now that it was full
                self._file.close()
        self._file, self._is_lost = None, True

    def _surplus(self, number: int, rest: bytearray, on_progress: Callable[[], object]) -> int:
        """Count those of a bucket, so many distinct keys at a time as fit the memory."""
        count = (len(rest) + sum(run[number + 1] - run[number] for run in self._runs)) // KEY_BYTES
        parts, distinct = count // _KEYS_AT_ONCE + 1, 0
        for part in range(parts):
            on_progress()
            seen: set[bytes] = set()
            for piece in self._chunks(number, rest):
                keys = _keys_in(piece)
                # Not by the hash's low bits: by those a set chooses places.
                seen.update(keys if parts == 1 else (key for key in keys if (hash(key) >> 20) % parts == part))
            distinct += len(seen)
        return count - distinct

    def _chunks(self, number: int, rest: bytearray) -> Iterator[bytes | bytearray]:
        """Give the keys of a bucket: those in the file, and the rest of them."""
        if self._file:
            for run in self._runs:
                start, length = run[number], run[number + 1] - run[number]
                piece = os.pread(self._file.fileno(), length, start)
                if len(piece) != length:
                    raise OSError("the temporary file is truncated")
                yield piece
        yield rest

    def _temporary(self) -> IO[bytes]:
        if self._folder is not None:
            try:
                return tempfile.TemporaryFile(buffering=0, dir=self._folder)
            except OSError:  # such as a file system that has no files without a name
                self._folder = None
        return tempfile.TemporaryFile(buffering=0)


def _keys_in(piece: bytes | bytearray) -> Iterator[bytes]:
    """Yield the keys that stand one behind the other."""
    whole = len(piece) - len(piece) % _GROUP.size
    rest = iter_unpack(_KEY, memoryview(piece)[whole:])
    return chain.from_iterable(chain(_GROUP.iter_unpack(memoryview(piece)[:whole]), rest))


def _spread(keys: bytearray) -> list[bytearray]:
    """Spread keys over buckets by their last byte; only a few of them at a time are objects."""
    buckets = [bytearray() for _ in range(_BUCKETS)]
    for start in range(0, len(keys), _CHUNK_BYTES):
        piece = keys[start : start + _CHUNK_BYTES]
        lists: list[list[bytes]] = [[] for _ in buckets]
        add = [each.append for each in lists]
        for key, last in zip(_keys_in(piece), piece[KEY_BYTES - 1 :: KEY_BYTES], strict=True):
            add[last](key)
        for bucket, some in zip(buckets, lists, strict=True):
            bucket.extend(b"".join(some))
    return buckets
