"""Complete the lists of contacts: a contact embeds at most ten items of a list, and some lists not at all.

Facts about the API: each list has its own endpoint. Notes are paged by cursors or by
URLs, companies by URLs, under ``companies`` or under ``data``; the other lists are not
paged. A 404 or 410 means that the contact was merged or deleted in the meantime.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import anyio

from exporter.errors import ApiError, ContractError, CredentialsError, SourceError
from exporter.model import Page
from exporter.options import ListExpansion, ListName
from exporter.rawjson.objects import id_and_name
from exporter.source.body import MAX_BODY_BYTES
from exporter.source.client import Client
from exporter.source.embedded_lists import EMBEDDED, id_of, truncated_lists, with_full_list, with_tag_names
from exporter.source.envelope import Envelope, parse
from exporter.source.list_failures import FailureRate
from exporter.source.loop_guard import LoopGuard
from exporter.source.request import Request
from exporter.source.retry import RequestStats, Transient

_PER_PAGE = {"notes": "150", "companies": "50"}
_GONE = (404, 410)
_ROUNDS = 3
_ITEM_BYTES = 64  # of memory, besides an item's bytes


def lists_to_fetch(expansion: ListExpansion, record: bytes) -> list[ListName]:
    """Return the names of those lists of a contact that need a request."""
    more = truncated_lists(record)
    return [name for name in expansion.lists if name not in EMBEDDED or name in more]


@dataclass(slots=True)
class ExpandedPage:
    """The contacts of a page with their lists completed.

    Attributes:
        records: JSON of each contact.
        lists: number of lists that were completed.
        missing: number of lists that could not be completed, by cause; they keep their embedded items.
    """

    records: list[bytes]
    lists: int = 0
    missing: Counter[str] = field(default_factory=Counter)


class Expander:
    """Completes the lists of contacts.

    Args:
        client: sends the requests.
        expansion: which lists to complete.
        traffic: counts requests, retries and waits.
    """

    def __init__(self, client: Client, expansion: ListExpansion, traffic: RequestStats) -> None:
        self._client = client
        self._expansion = expansion
        self._traffic = traffic
        self._slots = anyio.Semaphore(expansion.concurrency)
        self._tag_names_lock = anyio.Lock()
        self._tag_names: dict[str, bytes] | None = None
        self._rate = FailureRate()

    async def expand(self, page: Page) -> ExpandedPage:
        """Complete the lists of a page's contacts; everything else in them keeps its bytes.

        Raises:
            SourceError: the token is refused, the API fails as a whole, or most lists fail.
        """
        try:
            return await self._expand(page)
        except (ValueError, RecursionError):  # only parsing a contact raises these
            raise ContractError(
                "a contact is nested too deeply to complete its lists: export it without completed lists"
            ) from None

    async def _expand(self, page: Page) -> ExpandedPage:
        expanded = ExpandedPage(list(page.records))
        found = await self._fetch_all(page.records)
        for position, name, members in sorted(found, key=lambda one: (one[0], self._expansion.lists.index(one[1]))):
            if isinstance(members, str):
                expanded.missing[members] += 1
            else:
                expanded.records[position] = with_full_list(expanded.records[position], name, members)
                expanded.lists += 1
        if self._expansion.tag_names:
            tag_names = await self._names()
            expanded.records = [with_tag_names(record, tag_names) for record in expanded.records]
        return expanded

    async def _fetch_all(self, records: Sequence[bytes]) -> list[tuple[int, ListName, Sequence[bytes] | str]]:
        """Fetch the lists of contacts that need a request.

        Returns:
            In any order, for each list: index of its contact, its name, and its items or the cause of the failure.
        """
        wanted = [lists_to_fetch(self._expansion, record) for record in records]
        numbers = self._rate.start(sum(map(len, wanted)))
        found: list[tuple[int, ListName, Sequence[bytes] | str]] = []

        async def fetch(position: int, name: ListName, number: int) -> None:
            async with self._slots:
                items = await self._fetch(id_of(records[position]), name, number)
            found.append((position, name, items))

        async with anyio.create_task_group() as tasks:
            for position, names in enumerate(wanted):
                for name in names:
                    tasks.start_soon(fetch, position, name, next(numbers))
        return found

    async def _fetch(self, contact_id: str, name: ListName, number: int) -> Sequence[bytes] | str:
        """Fetch a complete list; return the cause if that fails.

        Raises:
            SourceError: the token is refused, the API fails as a whole, or most lists fail.
        """
        result = await self._attempt(contact_id, name) if contact_id else "no_id"
        if isinstance(result, SourceError):
            if self._rate.end(number, failed=True):
                raise result
            return _cause_of(result)
        self._rate.end(number, failed=False)
        return result

    async def _attempt(self, contact_id: str, name: ListName) -> Sequence[bytes] | str | SourceError:
        """Fetch a complete list, again if the API as a whole failed meanwhile; return a permanent failure.

        Raises:
            SourceError: the token is refused, or the API fails as a whole.
        """
        for attempts_left in reversed(range(_ROUNDS)):
            try:
                items = await self._fetch_list(f"/contacts/{contact_id}/{name}", name)
            except CredentialsError:
                raise
            except SourceError as failure:
                if isinstance(failure, ApiError) and failure.status in _GONE:
                    return "gone"
                if isinstance(failure, ApiError) or await self._api_works() or not attempts_left:
                    return failure
            else:
                return items
        raise AssertionError("the last attempt returns or raises")

    async def _fetch_list(self, path: str, name: ListName) -> Sequence[bytes]:
        items: list[bytes] = []
        guard, cursor = LoopGuard(None), None
        page = size = 0
        while page == 0 or cursor is not None:
            envelope = await self._fetch_page(path, name, cursor, minor=True)
            items += envelope.records
            guard.record_size(len(envelope.records), page + 1)
            size += _memory_bytes(envelope.records)
            if size > MAX_BODY_BYTES:
                raise ContractError(f"the API sent a list of {name} of more than {MAX_BODY_BYTES >> 20} MiB")
            page, cursor = page + 1, envelope.next_cursor
            guard.record_cursor(cursor, page)
        return items

    async def _fetch_page(self, path: str, name: str, cursor: str | None, *, minor: bool) -> Envelope:
        url = self._client.base_url + path

        def read(body: bytes) -> Envelope:
            return parse(body, url, ("data", name))

        return await self._client.fetch(Request(path, _query(url, name, cursor)), read, self._traffic, minor=minor)

    async def _api_works(self) -> bool:
        """Request one contact, to find out whether only the list failed or the API as a whole.

        Returns:
            Whether the first attempt succeeded. If not, the list deserves another attempt.

        Raises:
            SourceError: the API fails for longer than the retry budget of a page.
        """
        url = f"{self._client.base_url}/contacts"
        traffic = RequestStats(self._traffic.observer)

        try:
            request = Request("/contacts", {"per_page": "1"})
            await self._client.fetch(request, lambda body: parse(body, url), traffic)
        finally:
            self._traffic.add(traffic)
        return not traffic.retries

    async def _names(self) -> dict[str, bytes]:
        """Return the names of all tags as JSON, by id. They are fetched once."""
        async with self._tag_names_lock:
            if self._tag_names is None:
                envelope = await self._fetch_page("/tags", "tags", None, minor=False)
                self._tag_names = dict(filter(None, map(id_and_name, envelope.records)))
        return self._tag_names


def _memory_bytes(items: Sequence[bytes]) -> int:
    return sum(map(len, items)) + _ITEM_BYTES * len(items)


def _cause_of(failure: SourceError) -> str:
    """Return the cause of a failure, as the manifest names it."""
    if isinstance(failure.__cause__, Transient):
        return failure.__cause__.cause
    return f"http_{failure.status}" if failure.status else "broken_body"


def _query(url: str, name: str, cursor: str | None) -> dict[str, str]:
    query = {"per_page": _PER_PAGE[name]} if name in _PER_PAGE else {}
    if cursor is not None and cursor.startswith(f"{url}?"):  # the list pages by number
        return query | {
            key: text for key, text in parse_qsl(cursor.removeprefix(f"{url}?")) if key in ("page", "per_page")
        }
    return query if cursor is None else query | {"starting_after": cursor}
