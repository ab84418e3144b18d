"""`Pages`: the page loop, from the cursor of a page to the next."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl

from anyio import CancelScope

from exporter.errors import ApiError, CursorError
from exporter.model import Page
from exporter.observe.events import LegacyApiVersion, Observer, VersionMismatch, null_observer
from exporter.observe.logging import logged
from exporter.rawjson.contact_keys import content_keys, page_keys
from exporter.source.client import Client
from exporter.source.envelope import Envelope, MalformedBody, parse, peek_next_cursor
from exporter.source.listings import ContactList, Listing
from exporter.source.loop_guard import LoopGuard, fingerprint_of
from exporter.source.rate_limit import PageSize
from exporter.source.request import Request
from exporter.source.retry import RequestStats
from exporter.source.shortfall import ShortList
from exporter.state import shortfall
from exporter.tasks import cancel_and_wait
from exporter.validation import AsyncItems

if TYPE_CHECKING:
    from exporter.source.session import Response

NEW_LISTING = LoopGuard(None).dump()
"""The state of a loop guard before the first page."""

_SIZE = re.compile(r"[0-9]{1,9}")
_LIST = ContactList()


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where to resume the listing of an earlier run.

    Attributes:
        cursor: cursor of the next page; None for the beginning.
        guard: the loop guard at that cursor.
        contacts_seen: contacts listed before it; None if unknown.
        counted_first: the API's count of contacts on the first page; None if it gave none.
    """

    cursor: str | None = None
    guard: LoopGuard | None = None
    contacts_seen: int | None = None
    counted_first: int | None = None


@dataclass(frozen=True, slots=True)
class _Prefetch:
    """A request for the next page, sent before the current page is parsed."""

    cursor: str
    per_page: int
    request: "asyncio.Task[Response]"


class Pages(AsyncItems):
    """An asynchronous iterator over the pages of a listing, one request at a time.

    The step after an error requests the same page again. Between two pages
    it keeps only a prefetched request, so the caller can stop anywhere.

    Attributes:
        contacts_needed: contacts that the caller will certainly take. While it needs
            more, the next page is requested before the current page is parsed; that
            request is cancelled if the current page is malformed.
        traffic: requests and retries of the listing so far.
        redaction: finds the access token in what the API sends.

    Raises:
        SourceError: `exporter.errors` says what to do about each kind.

    Cancellation:
        Cancels the request in flight; the next step requests the same page.
    """

    def __init__(  # noqa: PLR0913 - one keyword per setting reads better here than an object of settings
        self,
        client: Client,
        per_page: int,
        start: ResumePoint = ResumePoint(),
        observer: Observer = null_observer,
        *,
        listing: Listing = _LIST,
        traffic: RequestStats | None = None,
        allow_shortfall: bool = False,
    ) -> None:
        self.traffic = RequestStats(logged(observer)) if traffic is None else traffic
        self._listing = listing
        self._guard = start.guard or LoopGuard(start.cursor)
        self._contacts_seen = 0 if start.cursor is None else start.contacts_seen
        self._counted_first = start.counted_first
        self.contacts_needed: float = 0
        self._allow_shortfall = allow_shortfall
        self.redaction = client.redaction
        self._client = client
        self._url = client.base_url + listing.path
        self._size = PageSize(per_page)
        self._cursor = start.cursor
        self._number = 0
        self._contacts_taken = 0
        self._ended = False
        self._prefetched: _Prefetch | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        if self._ended:
            raise StopAsyncIteration
        try:
            envelope = await self._fetch()
            cursor = self._with_page_size(envelope.next_cursor)
            keys, mark = page_keys(envelope.records), fingerprint_of(envelope.records)
            sample = self._guard.repeats.sample_of(keys or content_keys(envelope.records))
            self._guard.record_size(len(envelope.records), self._number + 1)
            self._guard.record_page(mark, self._number + 1)
            self._guard.repeats.record(sample, self._number + 1)
            self._guard.record_cursor(cursor, self._number + 1)
        except BaseException:
            self._cancel_prefetch()
            raise
        if self._prefetched is not None and self._prefetched.cursor != cursor:
            self._cancel_prefetch()
        self._number += 1
        self._contacts_taken += len(envelope.records)
        if self._contacts_seen == 0 and self._number == 1:
            self._counted_first = envelope.total_count
        if self._contacts_seen is not None:
            self._contacts_seen += len(envelope.records)
        self._cursor = cursor
        self._ended = cursor is None
        self._size.succeeded()
        counted, plain = envelope.total_count, envelope.plain
        resume = self._guard.token()
        return Page(self._number, envelope.records, cursor, counted, plain=plain, keys=keys, resume=resume)

    @property
    def window(self) -> tuple[int, int] | None:
        """Remaining calls and the limit of the API's rate-limit window; None until the API reports them."""
        return self._client.rate_limiter.remaining

    def version_events(self) -> Iterator[LegacyApiVersion | VersionMismatch]:
        """Yield what the caller should know about the requested API version, and the one that the API used."""
        requested, reported = self._client.api_version, self.traffic.version_echoed
        if requested.startswith("1."):
            yield LegacyApiVersion(requested)
        if reported is not None and reported != requested:
            yield VersionMismatch(requested, reported)

    async def _fetch(self) -> Envelope:
        prefetched, self._prefetched = self._prefetched, None
        if prefetched is not None:
            self._size.sent = prefetched.per_page
        try:
            async for attempt in self._client.attempts(self.traffic, prefetched.request if prefetched else None):
                with attempt:
                    body = await self._client.receive(self._request(attempt.halved, attempt.sent), attempt)
                    await self._prefetch(body)
                    return self._read(body)
        except ApiError as refusal:
            if self._cursor is not None and self._listing.refuses_cursor(refusal):
                raise CursorError(
                    str(refusal), status=refusal.status, code=refusal.code, request_id=refusal.request_id
                ) from None
            raise
        raise AssertionError("attempts end with a page or an error")

    async def aclose(self) -> None:
        """End the iteration."""
        self._ended = True
        if (prefetched := self._cancel_prefetch()) is not None:
            with CancelScope(shield=True):
                await cancel_and_wait(prefetched.request)

    def _read(self, body: bytes) -> Envelope:
        try:
            envelope = parse(body, self._url)
            if envelope.next_cursor is None and not self._allow_shortfall:
                self._check_not_truncated(envelope)
        except MalformedBody:
            self._cancel_prefetch()
            raise
        return envelope

    async def _prefetch(self, body: bytes) -> None:
        """Send the request for the next page, if the page is certain to be needed."""
        if self._contacts_taken + self._size.sent >= self.contacts_needed:
            return
        cursor = peek_next_cursor(body)
        if cursor is None or self._guard.has_seen(cursor):
            return
        per_page = self._size.for_next()
        request = self._client.prefetch(self._listing.request(cursor, per_page), self.traffic)
        self._prefetched = _Prefetch(cursor, per_page, request)
        await asyncio.sleep(0)  # the request leaves now: parsing this page blocks the event loop

    def _cancel_prefetch(self) -> _Prefetch | None:
        """Cancel the prefetched request."""
        prefetched, self._prefetched = self._prefetched, None
        if prefetched is not None:
            prefetched.request.cancel()
        return prefetched

    def _check_not_truncated(self, envelope: Envelope) -> None:
        """Check on the last page that the API does not count many more contacts; an empty page may miss one less.

        Raises:
            ShortList: the page must be requested again.
        """
        taken = self._contacts_taken + len(envelope.records)
        if self._contacts_seen is None or 0 < self.contacts_needed <= taken:  # the caller needs nothing after it
            return
        listed, counted = self._contacts_seen + len(envelope.records), envelope.total_count
        per_page = self._size.requested if envelope.records else self._size.requested - 1
        is_nothing = bool(counted) and not envelope.records and self._cursor is None
        if counted is not None and (is_nothing or shortfall(counted, self._counted_first, listed, per_page)):
            raise ShortList(listed, counted, self._counted_first)

    def _request(self, halved: int, sent: object) -> Request:
        """Return the request for the current page, unless it was sent already."""
        if sent:
            return Request(self._listing.path)
        if numbered := self._page_by_number():
            self._size.sent = int(numbered["per_page"])
            return Request(self._listing.path, numbered)
        return self._listing.request(self._cursor, self._size.for_attempt(halved))

    def _with_page_size(self, cursor: str | None) -> str | None:
        """Return a cursor; add the page size if it is a page number (1.x), which depends on the page size."""
        by_number = cursor is not None and cursor.startswith(f"{self._url}?page=")
        return f"{cursor}&per_page={self._size.sent}" if by_number else cursor

    def _page_by_number(self) -> dict[str, str]:
        """Return the parameters of a cursor that is a page number; none for other cursors."""
        prefix = f"{self._url}?page="
        if self._cursor is None or not self._cursor.startswith(prefix):
            return {}
        query = dict(parse_qsl(self._cursor.removeprefix(f"{self._url}?")))
        size = query.get("per_page", "")
        return {"per_page": size if _SIZE.fullmatch(size) else str(self._size.requested), "page": query.get("page", "")}
