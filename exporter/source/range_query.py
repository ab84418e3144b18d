"""The queries of ranges of creation dates, and the number and the dates of the contacts that match them."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from exporter.errors import ContractError, CursorError
from exporter.layout.plan import Range
from exporter.rawjson.creation_dates import creation_dates
from exporter.source.client import Client
from exporter.source.envelope import parse
from exporter.source.listings import ContactSearch, Listing, SortOrder
from exporter.source.retry import RequestStats

T = TypeVar("T")
MAX_AGAIN = 3
"""How many times a listing is read from its first page again after the API refused a cursor; the next refusal is an
error."""

FIELD = "created_at"
EVERY_CONTACT = Range(None, None, "", 0)


def filter_of(one: Range) -> dict[str, Any]:
    """Return the filter that matches a range.

    Before version 2.17, ``=`` matches a whole day, ``>`` begins at the next midnight and ``<`` ends at the midnight
    before. With the same number on both sides of a boundary, ``= or >`` and ``<`` complement each other, for days of
    any time zone as for seconds. ``>=`` exists only from 2.17 on.
    """
    conditions: list[dict[str, Any]] = []
    if one.start is not None:
        equal, later = (_condition(operator, one.start) for operator in ("=", ">"))
        conditions.append({"operator": "OR", "value": [equal, later]})
    if one.end is not None:
        conditions.append(_condition("<", one.end))
    if not conditions:
        conditions.append(_condition(">", 0))
    if one.id_suffix:
        conditions.append({"field": "id", "operator": "$", "value": one.id_suffix})
    return conditions[0] if len(conditions) == 1 else {"operator": "AND", "value": conditions}


def _condition(operator: str, value: int) -> dict[str, Any]:
    return {"field": FIELD, "operator": operator, "value": value}


def search_of(one: Range, order: SortOrder = "ascending") -> ContactSearch:
    """Return the search for the contacts of a range, in order of creation."""
    return ContactSearch(orjson.dumps(filter_of(one)), (FIELD, order))


def search_between(after: int, before: int) -> ContactSearch:
    """Return the search for the contacts between two dates, without both of them."""
    both = {"operator": "AND", "value": [_condition(">", after), _condition("<", before)]}
    return ContactSearch(orjson.dumps(both))


async def read_from_start(read: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a function that reads pages from the first one; call it again after a refused cursor."""
    for _ in range(MAX_AGAIN):
        with suppress(CursorError):
            return await read()
    return await read()


@dataclass(frozen=True, slots=True)
class Counted:
    """The count of the contacts of a listing.

    Attributes:
        count: number of all contacts.
        first_date: when the first contact was created, in UNIX seconds; None without a contact or a date.
        server_s: time of the response, in UNIX seconds of the server's clock.
    """

    count: int
    first_date: int | None
    server_s: int


async def count_contacts(client: Client, listing: Listing, traffic: RequestStats) -> Counted:
    """Count the contacts of a listing, with a page of one contact.

    Raises:
        ContractError: the response has no count.
        SourceError: `exporter.errors` says what to do about each kind.
    """
    request, url = listing.request(None, 1), client.base_url + listing.path
    async for attempt in client.attempts(traffic):
        with attempt:
            envelope = parse(await client.receive(request, attempt), url)
            server_s = attempt.received.server_s if attempt.received else None
            if envelope.total_count is None:
                raise ContractError(f"{listing.path} does not count its contacts: export without --cursors")
            dates = creation_dates(envelope.records)
            return Counted(envelope.total_count, dates[0] if dates else None, int(server_s or time.time()))
    raise AssertionError("attempts end with a result or an error")
