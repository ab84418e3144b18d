"""The page loop, and the guard that ends it when the API leads it in a circle."""

from collections import deque
from hashlib import blake2b
from typing import Self

from exporter.errors import ContractError
from exporter.model import Observer, Page, ignore
from exporter.source.client import Client
from exporter.source.envelope import BrokenBody, Envelope, parse
from exporter.source.pacing import smaller_page
from exporter.source.trial import Traffic

ENDPOINT = "/contacts"


class Pages:
    """An asynchronous iterator over the pages of a listing, one request at a time.

    Iterating on after an error tries the same page again. Between two pages it
    holds nothing open, so it can be dropped anywhere.

    Attributes:
        traffic: what the listing has cost so far.

    Raises:
        SourceError: its kind says what to do next.

    Cancellation:
        Ends the request under way; the next step asks for the same page.
    """

    def __init__(self, client: Client, per_page: int, start: str | None = None, observer: Observer = ignore) -> None:
        self.traffic = Traffic(observer)
        self._client = client
        self._url = client.base_url + ENDPOINT
        self._asked = self._per_page = self._sent_per_page = per_page
        self._cursor = start
        self._number = 0
        self._guard = LoopGuard(start)
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        if self._ended:
            raise StopAsyncIteration
        envelope = await self._client.fetch(ENDPOINT, self._query, self._parse, self.traffic)
        self._guard.pass_by(envelope.next_cursor, self._number + 1)
        self._number += 1
        self._cursor = envelope.next_cursor
        self._ended = self._cursor is None
        self._grow_back()
        return Page(self._number, envelope.records, self._cursor, envelope.total_count)

    async def aclose(self) -> None:
        """End the iteration."""
        self._ended = True

    def _parse(self, body: bytes) -> Envelope:
        envelope = parse(body, self._url)
        if self._cursor is None and not envelope.records and envelope.total_count and envelope.next_cursor is None:
            raise BrokenBody(f"empty, although it counts {envelope.total_count} contacts")
        return envelope

    def _query(self, server_errors: int) -> dict[str, str]:
        position = {} if self._cursor is None else {"starting_after": self._cursor}
        if (page := self._page_by_number()) is not None:
            position, server_errors = {"page": page}, 0
        self._sent_per_page = smaller_page(self._per_page, server_errors)
        # The cursor does not carry the page size, and the default differs: it goes along each time.
        return {"per_page": str(self._sent_per_page), **position}

    def _page_by_number(self) -> str | None:
        """Give the page's number where the API pages by number (1.x): `parse` made a URL of it."""
        prefix = f"{self._url}?page="
        return self._cursor.removeprefix(prefix) if self._cursor and self._cursor.startswith(prefix) else None

    def _grow_back(self) -> None:
        if self._page_by_number() is None:
            self._per_page = min(self._asked, self._sent_per_page * 2)
        else:  # a number means another place once the size changes
            self._asked = self._per_page = self._sent_per_page


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
        self._anchor = b""
        self._steps, self._steps_to_anchor = 0, 1
        self.pass_by(start, 0)

    def pass_by(self, cursor: str | None, page: int) -> None:
        """Take note of the next cursor that `page` named.

        Raises:
            ContractError: it has been there before.
        """
        if cursor is None:
            return
        mark = blake2b(cursor.encode(), digest_size=16).digest()
        if mark in self._known or mark == self._anchor:
            raise ContractError(
                f"the API's cursor goes in a circle: page {page} leads back to a page that was already read"
            )
        self._remember(mark)
        self._steps += 1
        if self._steps == self._steps_to_anchor:
            self._anchor, self._steps, self._steps_to_anchor = mark, 0, self._steps_to_anchor * 2

    def _remember(self, mark: bytes) -> None:
        self._known.add(mark)
        self._recent.append(mark)
        if len(self._recent) > self.RECENT:
            self._known.discard(self._recent.popleft())
