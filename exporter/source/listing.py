"""The page loop, and the guard that ends it when the API leads it in a circle."""

from collections import deque
from collections.abc import Sequence
from hashlib import blake2b
from typing import Self
from urllib.parse import parse_qsl

from exporter.errors import ApiError, ContractError, CursorError
from exporter.model import Observer, Page, ignore
from exporter.source.client import Client
from exporter.source.envelope import BrokenBody, Envelope, parse
from exporter.source.pacing import smaller_page
from exporter.source.trial import Traffic

ENDPOINT = "/contacts"
_BAD_REQUEST = 400
_GONE = (404, 410)
_MARK_BYTES = 16


class Pages:
    """An asynchronous iterator over the pages of a listing, one request at a time.

    Iterating on after an error tries the same page again. Between two pages it
    holds nothing open, so it can be dropped anywhere.

    Attributes:
        traffic: what the listing has cost so far.
        guard: which cursors it has passed by; a listing that goes on in
            another process brings its guard along.
        listed: contacts so far, which it brings along too; None where it began
            behind the beginning and nobody said how many came before.

    Raises:
        SourceError: its kind says what to do next.

    Cancellation:
        Ends the request under way; the next step asks for the same page.
    """

    def __init__(self, client: Client, per_page: int, start: str | None = None, observer: Observer = ignore) -> None:
        self.traffic = Traffic(observer)
        self.guard = LoopGuard(start)
        self.listed: int | None = 0 if start is None else None
        self._client = client
        self._url = client.base_url + ENDPOINT
        self._asked = self._per_page = self._sent_per_page = per_page
        self._cursor = start
        self._number = 0
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        if self._ended:
            raise StopAsyncIteration
        envelope = await self._fetch()
        cursor = self._own(envelope.next_cursor)
        self.guard.see(envelope.records, self._number + 1)
        self.guard.pass_by(cursor, self._number + 1)
        self._number += 1
        if self.listed is not None:
            self.listed += len(envelope.records)
        self._cursor = cursor
        self._ended = cursor is None
        self._per_page = min(self._asked, self._sent_per_page * 2)  # smaller pages grow back
        return Page(self._number, envelope.records, cursor, envelope.total_count)

    async def _fetch(self) -> Envelope:
        try:
            return await self._client.fetch(ENDPOINT, self._query, self._parse, self.traffic)
        except ApiError as refusal:
            if self._cursor is not None and _means_the_cursor(refusal):
                raise CursorError(
                    str(refusal), status=refusal.status, code=refusal.code, request_id=refusal.request_id
                ) from None
            raise

    async def aclose(self) -> None:
        """End the iteration."""
        self._ended = True

    def _parse(self, body: bytes) -> Envelope:
        envelope = parse(body, self._url)
        if not envelope.records and envelope.next_cursor is None:
            self._check_end(envelope.total_count or 0)
        return envelope

    def _check_end(self, counted: int) -> None:
        """Doubt an empty page that ends a listing in which many contacts are missing.

        The count moves while a listing runs: what a page or a tenth of all
        would hold may be missing.
        """
        if self.listed is None:
            return
        tolerated = 0 if self._cursor is None else max(self._asked - 1, counted // 10)
        if counted - self.listed > tolerated:
            raise BrokenBody(f"empty, although it counts {counted} contacts and {self.listed} were listed")

    def _query(self, server_errors: int) -> dict[str, str]:
        if numbered := self._page_by_number():
            self._sent_per_page = int(numbered["per_page"])
            return numbered
        self._sent_per_page = smaller_page(self._per_page, server_errors)
        position = {} if self._cursor is None else {"starting_after": self._cursor}
        # The cursor does not carry the page size, and the default differs: it goes along each time.
        return {"per_page": str(self._sent_per_page), **position}

    def _own(self, cursor: str | None) -> str | None:
        """Let a cursor that is a page's number (1.x) name the page size: with another one it is another place."""
        by_number = cursor is not None and cursor.startswith(f"{self._url}?page=")
        return f"{cursor}&per_page={self._sent_per_page}" if by_number else cursor

    def _page_by_number(self) -> dict[str, str]:
        """Give the parameters of such a cursor."""
        prefix = f"{self._url}?page="
        if self._cursor is None or not self._cursor.startswith(prefix):
            return {}
        query = dict(parse_qsl(self._cursor.removeprefix(f"{self._url}?")))
        size = query.get("per_page", "")
        return {"per_page": size if size.isdecimal() else str(self._asked), "page": query.get("page", "")}


def _means_the_cursor(refusal: ApiError) -> bool:
    """Whether a refusal is about the cursor: Intercom's 400 names the parameter; 404 and 410 were seen too."""
    return refusal.status in _GONE or (refusal.status == _BAD_REQUEST and "starting_after" in str(refusal))


class LoopGuard:
    """Notices that the API leads a listing in a circle, in flat memory.

    APIs did: one exporter stored 1.7 billion rows before somebody looked. The
    latest cursors are remembered, so a circle of up to `RECENT` pages is seen
    before its first page comes again. A larger one is found by Brent's cycle
    algorithm, which keeps one cursor and replaces it after 1, 2, 4, 8… pages.

    Args:
        start: the cursor the listing begins at, None for its beginning.
    """

    RECENT = 1024

    def __init__(self, start: str | None) -> None:
        self._recent: deque[bytes] = deque()
        self._known: set[bytes] = set()
        self._anchor = self._first = b""
        self._steps, self._steps_to_anchor = 0, 1
        self.pass_by(start, 0)

    def pass_by(self, cursor: str | None, page: int) -> None:
        """Take note of the next cursor that `page` named.

        Raises:
            ContractError: it has been there before.
        """
        if cursor is None:
            return
        mark = blake2b(cursor.encode(), digest_size=_MARK_BYTES).digest()
        if mark in self._known or mark == self._anchor:
            raise ContractError(
                f"the API's cursor goes in a circle: page {page} leads back to a page that was already read"
            )
        self._remember(mark)
        self._steps += 1
        if self._steps == self._steps_to_anchor:
            self._anchor, self._steps, self._steps_to_anchor = mark, 0, self._steps_to_anchor * 2

    def see(self, records: Sequence[bytes], page: int) -> None:
        """Take note of what is on a page: the first one has no cursor by which it could be known again.

        Raises:
            ContractError: it is the first page once more.
        """
        if len(records) <= 1:  # one contact may come twice
            return
        mark = blake2b(b"\n".join((b"%d" % len(records), records[0], records[-1])), digest_size=_MARK_BYTES).digest()
        if mark == self._first:
            raise ContractError(f"the API's cursor goes in a circle: page {page} is the first one once more")
        self._first = self._first or mark

    def dump(self) -> str:
        """Write down what it remembers, for `load`."""
        recent = b"".join(self._recent).hex()
        return f"{self._steps}:{self._steps_to_anchor}:{self._anchor.hex()}:{self._first.hex()}:{recent}"

    @classmethod
    def load(cls, text: str) -> Self:
        """Make a guard that remembers what `dump` wrote.

        Raises:
            ValueError: it is something else.
        """
        steps, steps_to_anchor, anchor, first, recent = text.split(":")
        guard, marks = cls(None), bytes.fromhex(recent)
        guard._steps, guard._steps_to_anchor, guard._anchor = int(steps), int(steps_to_anchor), bytes.fromhex(anchor)
        guard._first = bytes.fromhex(first)
        for at in range(0, len(marks), _MARK_BYTES):
            guard._remember(marks[at : at + _MARK_BYTES])
        return guard

    def _remember(self, mark: bytes) -> None:
        self._known.add(mark)
        self._recent.append(mark)
        if len(self._recent) > self.RECENT:
            self._known.discard(self._recent.popleft())
