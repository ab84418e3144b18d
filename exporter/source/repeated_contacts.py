"""Contacts that a list gives again and again: how a list without an end is noticed, in flat memory."""

import struct
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import compress
from typing import Self
from zlib import crc32

from exporter.errors import ContractError
from exporter.rawjson.contact_keys import KEY_BYTES

_MAX_MARKS = 1024
_MARK_DIGITS = 8
_MAX_LEVEL = 32
_MISS_COSTS = 4
_SPARE = 64


class Repeats:
    """Notices that a list gives the same contacts over and over, though its cursors are fresh.

    A sample of the ids that were listed is kept: all of them at first, and
    half of them whenever there are too many. Whether an id is in the sample
    depends on the id alone, so a contact that comes again is recognised
    whatever page it is on. Repeated ids raise a score, new ones lower it by
    four times as much: a list that ends, and gives some contacts twice because
    they change while it is read, stays low. Even if all contacts of a
    workspace are updated and listed a second time, the score is no more than
    the size of the sample. Beyond that the list has no end.

    Attributes:
        level: how often the sample was halved.
        score: how much speaks for a list without an end.
        marks: the sample; a new set whenever it changes, so that others can keep one that was.
    """

    def __init__(self, level: int = 0, score: int = 0, marks: Iterable[int] = ()) -> None:
        self.level = level
        self.score = score
        self.marks = frozenset(marks)

    def sample_of(self, keys: bytes) -> tuple[int, ...]:
        """Return the marks of those contacts of a page that belong into the sample.

        Args:
            keys: of the page's contacts, as `page_keys` returns them.
        """
        mask, mixed = (1 << self.level) - 1, _mixed(keys)
        # The mixed byte decides for most contacts, and for all of them in one step of Python.
        chosen = compress(range(len(mixed)), mixed.translate(_chosen_by(mask & 0xFF)))
        marks = (_mark(keys, at, mixed) for at in chosen)
        return tuple(mark for mark in marks if not mark & mask)

    def record(self, sample: Sequence[int], page: int) -> None:
        """Record the sample of a page.

        Raises:
            ContractError: the list has given the same contacts for too long. Nothing is recorded then.
        """
        score = self.score
        for mark in sample:
            score = score + 1 if mark in self.marks else max(score - _MISS_COSTS, 0)
        if score > _SPARE + len(self.marks) * 5 // 4:
            raise ContractError(
                f"the API's list does not end: page {page}, like many pages before it, gives contacts that were "
                "already listed; what was written has them more than once"
            )
        self.score = score
        if sample:
            self.marks = self.marks.union(sample)
        while len(self.marks) > _MAX_MARKS:
            self.level = min(self.level + 1, _MAX_LEVEL)
            self.score //= 2
            self.marks = frozenset(filter(self._is_sampled, self.marks))

    def dump(self) -> str:
        """Write down what is remembered, for `load`."""
        return dumped(self.level, self.score, self.marks)

    @classmethod
    def load(cls, text: str) -> Self:
        """Restore what `dump` wrote.

        Raises:
            ValueError: it is something else.
        """
        level, score, digits = text.split(".")
        marks = [int(digits[at : at + _MARK_DIGITS], 16) for at in range(0, len(digits), _MARK_DIGITS)]
        repeats = cls(int(level), int(score), marks)
        if not 0 <= repeats.level <= _MAX_LEVEL or repeats.score < 0 or len(marks) > _MAX_MARKS:
            raise ValueError("no sample of contacts")
        if len(digits) % _MARK_DIGITS or not all(map(repeats._is_sampled, marks)):
            raise ValueError("no sample of contacts")
        return repeats

    def _is_sampled(self, mark: int) -> bool:
        return not mark & ((1 << self.level) - 1)


def dumped(level: int, score: int, marks: frozenset[int]) -> str:
    """Write down what `Repeats` remembers, for its `load`."""
    return f"{level}.{score}.{struct.pack(f'>{len(marks)}I', *sorted(marks)).hex()}"


@cache
def _chosen_by(mask: int) -> bytes:
    """Make a table for `bytes.translate`: 1 for a byte that has none of the bits, else 0."""
    return bytes(not byte & mask for byte in range(256))


def _mixed(keys: bytes) -> bytes:
    """Return a byte for each key: all its bytes, each of which may be the same in all keys, in one.

    All keys are folded at once, as one large number, until the last byte of each holds the others too.
    """
    folded = int.from_bytes(keys)
    folded ^= folded >> 48
    folded ^= folded >> 24
    folded ^= folded >> 8 ^ folded >> 16
    return folded.to_bytes(len(keys))[KEY_BYTES - 1 :: KEY_BYTES]


def _mark(keys: bytes, at: int, mixed: bytes) -> int:
    """Return a number of 32 bits for a key: the lowest eight are its mixed byte, the others a hash."""
    return (crc32(keys[at * KEY_BYTES : (at + 1) * KEY_BYTES]) << 8 | mixed[at]) & 0xFFFFFFFF
