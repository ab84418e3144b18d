"""The guard that ends a listing when the API's cursors go in a circle."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Self

from exporter.errors import ContractError
from exporter.layout.listing_token import ListingToken
from exporter.source.repeated_contacts import Repeats

_MARK_BYTES = 16
_BLOCKS = 16
_MAX_EMPTY_PAGES = 1_000  # far more than a workspace from which many contacts are deleted could have in a row


class LoopGuard:
    """Notices in constant memory that the API leads a listing in a circle.

    This happens: one exporter stored 1.7 billion rows before its users noticed.
    The guard remembers the latest `RECENT` cursors, so it notices a circle of up to
    that many pages before a page is listed again. It finds larger circles by Brent's
    cycle algorithm, which keeps one cursor and replaces it after 1, 2, 4, 8… pages.

    Args:
        start: the cursor the listing begins at, None for its beginning.

    Attributes:
        repeats: notices that new cursors lead to contacts that were already listed.
    """

    RECENT = 1024

    def __init__(self, start: str | None) -> None:
        self._blocks: tuple[bytes, ...] = ()  # the recent marks, oldest first, in blocks that tokens share
        self._forgotten_bytes = 0  # of the first block
        self._tail = b""  # the marks after the blocks
        self._known: set[bytes] = set()
        self._anchor = self._first = b""
        self._steps, self._steps_to_anchor = 0, 1
        self._empty_pages = 0
        self.repeats = Repeats()
        self.record_cursor(start, 0)

    def record_cursor(self, cursor: str | None, page: int) -> None:
        """Record the next cursor of a page.

        Raises:
            ContractError: it was recorded before.
        """
        if cursor is None:
            return
        mark = _fingerprint(cursor.encode())
        if self._has_seen(mark):
            raise ContractError(
                f"the API's cursor goes in a circle: page {page} leads back to a page that was already read"
            )
        self._remember(mark)
        self._steps += 1
        if self._steps == self._steps_to_anchor:
            self._anchor, self._steps, self._steps_to_anchor = mark, 0, self._steps_to_anchor * 2

    def has_seen(self, cursor: str) -> bool:
        """Return whether a cursor was recorded before."""
        return self._has_seen(_fingerprint(cursor.encode()))

    def record_page(self, mark: bytes, page: int) -> None:
        """Record the fingerprint of a page: the first page has no cursor to recognise it by.

        Raises:
            ContractError: it is the fingerprint of the first page.
        """
        if not mark:
            return
        if mark == self._first:
            raise ContractError(f"the API's cursor goes in a circle: page {page} is the first page again")
        self._first = self._first or mark

    def record_size(self, items: int, page: int) -> None:
        """Record how many items a page has: a list of empty pages with new cursors does not end either.

        Raises:
            ContractError: too many pages in a row were empty.
        """
        self._empty_pages = 0 if items else self._empty_pages + 1
        if self._empty_pages > _MAX_EMPTY_PAGES:
            raise ContractError(
                f"the API's list does not end: page {page}, like the {_MAX_EMPTY_PAGES:,} pages before it, is empty"
            )

    def token(self) -> ListingToken:
        """Return the state of the guard now."""
        sample = (self.repeats.level, self.repeats.score, self.repeats.marks)
        marks = self._blocks, self._forgotten_bytes, self._tail
        return ListingToken(self._steps, self._steps_to_anchor, self._anchor, self._first, *marks, sample)

    def dump(self) -> str:
        """Return the state of the guard as text, for `load`."""
        return self.token().dump()

    @classmethod
    def load(cls, text: str) -> Self:
        """Return a guard with the state that `dump` returned.

        Raises:
            ValueError: the text is malformed.
        """
        steps, steps_to_anchor, anchor, first, recent, *repeats = text.split(":")
        if len(repeats) > 1:
            raise ValueError("not the state of a guard")
        guard, marks = cls(None), bytes.fromhex(recent)
        guard._steps, guard._steps_to_anchor, guard._anchor = int(steps), int(steps_to_anchor), bytes.fromhex(anchor)
        guard._first = bytes.fromhex(first)
        if repeats:  # checkpoints of older versions have none
            guard.repeats = Repeats.load(repeats[0])
        for at in range(0, len(marks), _MARK_BYTES):
            guard._remember(marks[at : at + _MARK_BYTES])
        return guard

    def _has_seen(self, mark: bytes) -> bool:
        return mark in self._known or mark == self._anchor

    def _remember(self, mark: bytes) -> None:
        self._known.add(mark)
        self._tail += mark
        if len(self._tail) >= max(self.RECENT // _BLOCKS, 1) * _MARK_BYTES:
            self._blocks, self._tail = (*self._blocks, self._tail), b""
        if len(self._known) > self.RECENT:
            at, oldest = self._forgotten_bytes, self._blocks[0]
            self._known.discard(oldest[at : at + _MARK_BYTES])
            self._forgotten_bytes += _MARK_BYTES
            if self._forgotten_bytes == len(oldest):
                self._blocks, self._forgotten_bytes = self._blocks[1:], 0


def fingerprint_of(records: Sequence[bytes]) -> bytes:
    """Return a fingerprint to recognise a page by; empty for a single contact, which may be listed twice."""
    return _fingerprint(b"\n".join((b"%d" % len(records), records[0], records[-1]))) if len(records) > 1 else b""


def _fingerprint(content: bytes) -> bytes:
    return blake2b(content, digest_size=_MARK_BYTES).digest()
