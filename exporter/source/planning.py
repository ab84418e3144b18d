"""The plan of an export with several cursors: the counts of list and search compared, then the ranges."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio

from exporter.errors import ApiError, ContractError, RetriesExhausted
from exporter.layout.plan import Plan, Range
from exporter.rawjson.creation_dates import creation_dates
from exporter.source.client import Client
from exporter.source.concurrency import AdaptiveConcurrency
from exporter.source.listings import ContactList, Listing
from exporter.source.pages import Pages
from exporter.source.planner import Cut, Extent, Planner, affordable_counts, wanted_contacts
from exporter.source.range_query import (
    EVERY_CONTACT,
    Counted,
    count_contacts,
    read_from_start,
    search_between,
    search_of,
)
from exporter.source.retry import RequestStats
from exporter.source.workspace import fetch_timezone
from exporter.tasks import for_each

RECENT_S = 900
"""The API documents that new contacts appear in searches after some minutes; this is assumed to be enough."""

_CAP = 10_000
_COUNTS, _COUNT_AGAIN_S = 3, 2.0
_WAIT_STEP_S = 15.0
_TOLERATED, _TOLERATED_SHARE = 100, 0.01
_MAX_CLOCK_DIFFERENCE_S = 86_400
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The counts of the list and of the search at one moment.

    Attributes:
        listed: contacts that the list counts.
        searched: contacts that a search for all contacts counts.
        oldest, newest: when the first and the latest contact of the search were created; None without a contact.
        server_s: time of the list's response, on the server's clock.
        list_shrinks: whether the list counts fewer contacts than at the first comparison: some are being deleted.
    """

    listed: int
    searched: int
    oldest: int | None
    newest: int | None
    server_s: int
    list_shrinks: bool = False

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
        """Whether the search has all contacts, except for a few that were created in the last minutes.

        It may also still have a few that were deleted: then contacts are being deleted now.
        """
        explains = self.is_active if self.missing > 0 else self.list_shrinks
        return self.missing == 0 or (self.may_appear and explains)

    @property
    def may_appear(self) -> bool:
        """Whether the difference is so small that creations and deletions of the last minutes can explain it."""
        return is_explainable(self.missing, self.listed)

    @property
    def is_capped(self) -> bool:
        """Whether the search's count looks like a maximum."""
        return self.searched == _CAP < self.listed


@dataclass(frozen=True, slots=True)
class _Newest:
    """What the search has at the start.

    Attributes:
        existed: all contacts, without those that were created after the start.
        recent: those that were created in the last 15 minutes.
    """

    existed: int
    recent: int


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
        found = await self.compare_until_equal(settle_s if compare else 0)
        await self._refuse_cap(found)
        if compare:
            _check_agreement(found)
        newest = await read_from_start(lambda: self._newest(found))
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
            search_count=newest.existed,
            recent=newest.recent,
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
            counts[name] = await count_contacts(self._client, listings[name], self._traffic)

        await for_each(listings, count)
        return Comparison(
            counts["list"].count,
            counts["newest"].count,
            counts["oldest"].first_date,
            counts["newest"].first_date,
            counts["list"].server_s,
        )

    async def compare_until_equal(self, settle_s: float) -> Comparison:
        """Compare until list and search agree: contacts may be created or deleted between the requests.

        A few contacts that the search does not find may have been created just now, and a few that only the search
        has may have been deleted: then wait until the search shows that.

        Args:
            settle_s: seconds to wait at most.
        """
        first = found = await self.compare()
        waited_s, counted = 0.0, 1
        while not found.agrees:
            may_appear = found.may_appear and waited_s < settle_s
            if counted >= _COUNTS and not may_appear:
                break
            wait_s = _COUNT_AGAIN_S if counted < _COUNTS else _WAIT_STEP_S
            wait_s = min(wait_s, settle_s - waited_s) if may_appear else min(wait_s, settle_s)
            await anyio.sleep(wait_s)
            waited_s += wait_s
            counted += 1
            found = await self.compare()
            found = replace(found, list_shrinks=found.listed < first.listed)
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
        return await Planner(self._count_range, self._count_second, extent, wanted, counts).cut()

    async def _count_range(self, one: Range) -> int | None:
        """Count the contacts of a range; None if the API refuses the operator for ids."""
        try:
            counted = await self._in_slot(lambda: count_contacts(self._client, search_of(one), self._traffic))
        except (ApiError, RetriesExhausted):
            if one.id_suffix:  # the plan is also complete without that cut
                return None
            raise
        return counted.count

    async def _count_second(self, stamp: int) -> int:
        """Count the contacts created at a second, with the operators that exclude it where dates are days."""
        search = search_between(stamp - 1, stamp + 1)
        return (await self._in_slot(lambda: count_contacts(self._client, search, self._traffic))).count

    async def _newest(self, found: Comparison) -> "_Newest":
        """Count the newest contacts that the search has, and all of them, by the same responses.

        Between two counts the search may find further contacts: then their difference would say nothing.
        """
        if not found.is_active:
            return _Newest(found.searched, 0)
        recent, later, total = 0, 0, None
        since_s = found.server_s - RECENT_S
        listing = search_of(EVERY_CONTACT, "descending")
        pages = Pages(self._client, self._per_page, listing=listing, traffic=self._traffic, allow_shortfall=True)
        async for page in pages:
            total = page.total_count if total is None else total
            dates = [date for date in creation_dates(page.records) if date is not None]
            recent += sum(since_s <= date <= found.server_s for date in dates)
            later += sum(date > found.server_s for date in dates)
            if any(date < since_s for date in dates):
                break
        await pages.aclose()
        return _Newest(max((total or 0) - later, 0), recent)

    async def _in_slot(self, send: Callable[[], Awaitable[T]]) -> T:
        async with self._concurrency.slot():
            return await send()


def is_explainable(difference: int, contacts: int) -> bool:
    """Return whether creations and deletions of the last minutes can explain a difference of counts."""
    return abs(difference) <= max(_TOLERATED, contacts * _TOLERATED_SHARE)


def _check_agreement(found: Comparison) -> None:
    """Check that the search has all contacts of the list, and that the server's clock can be believed.

    Raises:
        ContractError: one of them is not so.
    """
    if not found.agrees:
        raise ContractError(disagreement(found))
    if found.newest is not None and found.newest > found.server_s + _MAX_CLOCK_DIFFERENCE_S:
        raise ContractError(
            "the newest contact was created after the time of the API's responses (header Date), so it is unknown "
            "which contacts existed at the start: export without --cursors"
        )


def disagreement(found: Comparison) -> str:
    """Return why an export with several cursors would not be complete, and what to do."""
    if found.missing > 0:
        what = f"the list counts {found.listed:,} contacts, and the search only {found.searched:,}"
    else:
        what = f"the search counts {found.searched:,} contacts, and the list only {found.listed:,}"
    return f"{what}: export without --cursors, or add --prove ids, which also reads the list"
