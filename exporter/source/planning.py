"""The plan of an export with several cursors: the counts of list and search compared, then the ranges."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from exporter.errors import ApiError, ContractError
from exporter.layout.plan import Plan, Range
from exporter.rawjson.creation_dates import creation_dates
from exporter.source.client import Client
from exporter.source.concurrency import AdaptiveConcurrency
from exporter.source.listings import ContactList, Listing
from exporter.source.pages import Pages
from exporter.source.planner import Cut, Extent, Planner, affordable_counts, wanted_contacts
from exporter.source.range_query import EVERY_CONTACT, Counted, count_contacts, search_of
from exporter.source.retry import RequestStats
from exporter.source.workspace import fetch_timezone
from exporter.tasks import for_each

RECENT_S = 900
"""The API documents that new contacts appear in searches after some minutes; this is assumed to be enough."""

_CAP = 10_000
_COUNTS, _COUNT_AGAIN_S = 3, 2.0
_WAIT_STEP_S = 15.0
_MANY = 100
_BAD_REQUEST = 400
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The counts of the list and of the search at one moment.

    Attributes:
        listed: contacts that the list counts.
        searched: contacts that a search for all contacts counts.
        oldest, newest: when the first and the latest contact of the search were created; None without a contact.
        server_s: time of the list's response, on the server's clock.
    """

    listed: int
    searched: int
    oldest: int | None
    newest: int | None
    server_s: int

    @property
    def missing(self) -> int:
        """How many contacts more the list counts than the search."""
        return self.listed - self.searched

    @property
    def is_active(self) -> bool:
        """Whether contacts were created in the last minutes, so that some may not be in the search yet."""
        return self.newest is not None and self.newest >= self.server_s - RECENT_S

    @property
    def agrees(self) -> bool:
        """Whether the search has all contacts, except for some that were created in the last minutes."""
        return self.missing == 0 or (self.missing > 0 and self.is_active)

    @property
    def is_capped(self) -> bool:
        """Whether the search's count looks like a maximum."""
        return self.searched == _CAP < self.listed


class Planning:
    """Makes the plan of one export.

    Args:
        client: the client of the workspace.
        cursors: maximum cursors of the export.
        per_page: contacts per page.
        traffic: counts requests, retries and waits.
        concurrency: limits the requests at once.
    """

    def __init__(
        self, client: Client, cursors: int, per_page: int, traffic: RequestStats, concurrency: AdaptiveConcurrency
    ) -> None:
        self._client = client
        self._cursors = cursors
        self._per_page = per_page
        self._traffic = traffic
        self._concurrency = concurrency
        self.uncut = 0

    async def plan(self, settle_s: float, *, compare: bool = True) -> Plan:
        """Compare list and search, and cut the workspace into ranges.

        Args:
            settle_s: seconds to wait at most for contacts that are not in the search yet.
            compare: whether the search must have all contacts of the list.

        Raises:
            ContractError: the search does not have all contacts, or its counts are capped.
            SourceError: a request failed.
        """
        before = self._traffic.requests
        timezone = await fetch_timezone(self._client, self._traffic)
        found = await self._compared(settle_s if compare else 0)
        await self._refuse_cap(found)
        if compare and not found.agrees:
            raise ContractError(disagreement(found))
        cut = await self._cut(found)
        self.uncut = cut.uncut
        recent_since = found.server_s - RECENT_S
        return Plan(
            by=cut.by,
            timezone=timezone,
            ranges=cut.ranges,
            started_at=found.server_s,
            recent_since=recent_since,
            list_count=found.listed,
            search_count=found.searched,
            recent=await self._recent(recent_since, found.server_s) if found.is_active else 0,
            requests=self._traffic.requests - before,
        )

    async def compare(self) -> Comparison:
        """Count the contacts by list and by search, at nearly the same moment."""
        counts: dict[str, Counted] = {}
        listings: dict[str, Listing] = {
            "list": ContactList(),
            "oldest": search_of(EVERY_CONTACT),
            "newest": search_of(EVERY_CONTACT, "descending"),
        }

        async def count(name: str) -> None:
            counts[name] = await self._in_slot(lambda: count_contacts(self._client, listings[name], self._traffic))

        await for_each(listings, count)
        return Comparison(
            counts["list"].count,
            counts["newest"].count,
            counts["oldest"].first_date,
            counts["newest"].first_date,
            counts["list"].server_s,
        )

    async def _compared(self, settle_s: float) -> Comparison:
        """Compare until list and search agree: contacts may be created or deleted between the requests.

        Few contacts that the search does not find may have been created just now: then wait for them.
        """
        found = await self.compare()
        waited_s, counted = 0.0, 1
        while not found.agrees:
            may_appear = 0 < found.missing <= max(_MANY, found.listed // _MANY) and waited_s < settle_s
            if counted >= _COUNTS and not may_appear:
                break
            wait_s = _COUNT_AGAIN_S if counted < _COUNTS else _WAIT_STEP_S
            wait_s = min(wait_s, settle_s - waited_s) if may_appear else min(wait_s, settle_s)
            await anyio.sleep(wait_s)
            waited_s += wait_s
            counted += 1
            found = await self.compare()
        return found

    async def _refuse_cap(self, found: Comparison) -> None:
        if found.is_capped and (await self.compare()).is_capped:
            raise ContractError(
                f"the search counts at most {_CAP:,} contacts, and the list {found.listed:,}: "
                "several cursors cannot be planned; export without --cursors"
            )

    async def _cut(self, found: Comparison) -> Cut:
        if found.oldest is None or found.newest is None:
            return Cut("second", (Range(None, None, "", found.searched),), 0)
        extent = Extent(found.searched, found.oldest, found.newest)
        wanted = wanted_contacts(found.searched, self._cursors)
        counts = affordable_counts(found.searched, self._per_page, self._cursors)
        return await Planner(self._count_range, extent, wanted, counts).cut()

    async def _count_range(self, one: Range) -> int | None:
        """Count the contacts of a range; None if the API refuses the operator for ids."""
        try:
            counted = await self._in_slot(lambda: count_contacts(self._client, search_of(one), self._traffic))
        except ApiError as refusal:
            if one.id_suffix and refusal.status == _BAD_REQUEST:
                return None
            raise
        return counted.count

    async def _recent(self, since_s: int, until_s: int) -> int:
        """Count the contacts that were created in a span up to now and that the search has."""
        return len(await dates_since(self._client, self._per_page, self._traffic, since_s, until_s))

    async def _in_slot(self, send: Callable[[], Awaitable[T]]) -> T:
        async with self._concurrency.slot():
            return await send()


async def dates_since(client: Client, per_page: int, traffic: RequestStats, since_s: int, until_s: int) -> list[int]:
    """Return the creation dates of the contacts that the search finds in a span of the last minutes.

    It reads the newest contacts first, so it works whether dates are days or seconds.
    """
    dates: list[int] = []
    pages = Pages(
        client, per_page, listing=search_of(EVERY_CONTACT, "descending"), traffic=traffic, allow_shortfall=True
    )
    async for page in pages:
        found = [date for date in creation_dates(page.records) if date is not None]
        dates += [date for date in found if since_s <= date <= until_s]
        if any(date < since_s for date in found):
            break
    await pages.aclose()
    return dates


def disagreement(found: Comparison) -> str:
    """Return why an export with several cursors would not be complete, and what to do."""
    if found.missing > 0:
        what = f"the list counts {found.listed:,} contacts, and the search only {found.searched:,}"
    else:
        what = f"the search counts {found.searched:,} contacts, and the list only {found.listed:,}"
    return f"{what}: export without --cursors, or add --prove ids, which also reads the list"
