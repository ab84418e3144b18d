"""Notice a list without an end, which lists the same contacts again and again, in constant memory."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import compress
from typing import Self
from zlib import crc32

from exporter.errors import ContractError
from exporter.layout.listing_token import dump_sample
from exporter.rawjson.contact_keys import KEY_BYTES

_MAX_MARKS = 1024
_MARK_DIGITS = 8
_MAX_LEVEL = 32
_MISS_COSTS = 4
_SPARE = 64


class Repeats:
    """Notices that a list repeats the same contacts although its cursors are new.

    It keeps a sample of the listed ids: all ids at first, and half of the sample
    whenever it grows too large. Whether an id is in the sample depends only on the
    id, so a repeated contact is recognised on any page. A repeated id raises a
    score by one, a new id lowers it by four: the score stays low for a list that
    ends, even if some contacts are listed twice because they change while the list
    is read. If all contacts of a workspace are updated and listed a second time,
    the score reaches the size of the sample. A higher score means that the list
    has no end.

    Attributes:
        level: how often the sample was halved.
        score: a high score means a list without an end.
        marks: the sample. It is replaced when it changes, never modified.
    """

    def __init__(self, level: int = 0, score: int = 0, marks: Iterable[int] = ()) -> None:
        self.level = level
        self.score = score
        self.marks = frozenset(marks)

    def sample_of(self, keys: bytes) -> tuple[int, ...]:
        """Return the marks of the contacts of a page that belong to the sample.

        Args:
            keys: the keys of the page's contacts, as `page_keys` returns them.
        """
        mask, mixed = (1 << self.level) - 1, _mixed(keys)
        # The mixed byte excludes most contacts, with one call for the whole page.
        chosen = compress(range(len(mixed)), mixed.translate(_chosen_by(mask & 0xFF)))
        marks = (_mark(keys, at, mixed) for at in chosen)
        return tuple(mark for mark in marks if not mark & mask)

    def record(self, sample: Sequence[int], page: int) -> None:
        """Record the sample of a page.

        Raises:
            ContractError: the list has repeated contacts for too long. This page is not recorded.
        """
        score = self.score
        for mark in sample:
            score = score + 1 if mark in self.marks else max(score - _MISS_COSTS, 0)
        if score > _SPARE + len(self.marks) * 5 // 4:
            raise ContractError(
                f"the API's list does not end: page {page}, like many pages before it, lists contacts that were "
                "already listed; the output has them more than once"
            )
        self.score = score
        if sample:
            self.marks = self.marks.union(sample)
        while len(self.marks) > _MAX_MARKS:
            self.level = min(self.level + 1, _MAX_LEVEL)
            self.score //= 2
            self.marks = frozenset(filter(self._is_sampled, self.marks))

    def dump(self) -> str:
        """Return the state as text, for `load`."""
        return dump_sample(self.level, self.score, self.marks)

    @classmethod
    def load(cls, text: str) -> Self:
        """Return an object with the state that `dump` returned.

        Raises:
            ValueError: the text is malformed.
        """
        level, score, digits = text.split(".")
        marks = [int(digits[at : at + _MARK_DIGITS], 16) for at in range(0, len(digits), _MARK_DIGITS)]
        repeats = cls(int(level), int(score), marks)
        if not 0 <= repeats.level <= _MAX_LEVEL or repeats.score < 0 or len(marks) > _MAX_MARKS:
            raise ValueError("not a sample of contacts")
        if len(digits) % _MARK_DIGITS or not all(map(repeats._is_sampled, marks)):
            raise ValueError("not a sample of contacts")
        return repeats

    def _is_sampled(self, mark: int) -> bool:
        return not mark & ((1 << self.level) - 1)


@cache
def _chosen_by(mask: int) -> bytes:
    """Make a table for `bytes.translate`: 1 for a byte that has none of the bits, else 0."""
    return bytes(not byte & mask for byte in range(256))


def _mixed(keys: bytes) -> bytes:
    """Return one byte for each key that depends on all its bytes; single bytes may be equal in all keys.

    All keys are folded at once, as one large integer, until the last byte of each depends on the others.
    """
    folded = int.from_bytes(keys)
    folded ^= folded >> 48
    folded ^= folded >> 24
    folded ^= folded >> 8 ^ folded >> 16
    return folded.to_bytes(len(keys))[KEY_BYTES - 1 :: KEY_BYTES]


def _mark(keys: bytes, at: int, mixed: bytes) -> int:
    """Return an integer of 32 bits for a key: its lowest eight bits are the mixed byte, the others a hash."""
    return (crc32(keys[at * KEY_BYTES : (at + 1) * KEY_BYTES]) << 8 | mixed[at]) & 0xFFFFFFFF
