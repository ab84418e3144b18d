"""Whether the search has as many contacts as the list, in a workspace that changes all the time."""

from dataclasses import dataclass, field
from itertools import pairwise

import anyio

from exporter.ranges.lanes import RangesRun
from exporter.ranges.missing import no_counts
from exporter.rawjson.creation_dates import creation_dates
from exporter.source.listings import ContactList
from exporter.source.pages import Pages
from exporter.source.planning import is_explainable
from exporter.source.range_query import EVERY_CONTACT, Counted, count_contacts, read_from_start, search_of

_WAIT_STEP_S = 15.0
_MAX_CLOCK_DIFFERENCE_S = 60


@dataclass
class _Moment:
    """Both counts at one moment.

    Attributes:
        listed: the count of the list.
        existed: the contacts of the search that existed at the start.
        created: contacts that the search has now and that were created from the start until each earlier moment, and
            until this one.
    """

    listed: Counted
    existed: int = 0
    created: list[int] = field(default_factory=list)


class ListComparison:
    """Compares the counts of list and search until the search has all that the list has.

    New contacts appear in the search only minutes later. So the contacts created until one moment are counted again
    at each later one. Then the search has them all, but for those that were deleted in between.

    Args:
        run: what the lanes worked with.
    """

    def __init__(self, run: RangesRun) -> None:
        self._run = run
        self._moments: list[_Moment] = []

    async def difference(self, settle_s: float) -> int:
        """Return how many contacts the list has and the search has not, beyond what creations and deletions explain.

        Args:
            settle_s: seconds to wait at most until the search has the contacts that were created last.

        Raises:
            SourceError: see `export`.
        """
        waited_s = 0.0
        while True:
            await self._count()
            missing = self._missing()
            listed = self._moments[-1].listed.count
            if missing <= 0 or waited_s >= settle_s or not is_explainable(missing, listed):
                break
            wait_s = min(_WAIT_STEP_S, settle_s - waited_s)
            await anyio.sleep(wait_s)
            waited_s += wait_s
        is_active = self._moments[-1].created[-1] > 0 and not settle_s  # they may just not be found yet
        return 0 if is_active and is_explainable(missing, listed) else max(missing, 0)

    def _missing(self) -> int:
        """Return the difference at the moment that shows the smallest one, less the contacts seen to disappear."""
        moments = self._moments
        differences = [
            earlier.listed.count - earlier.existed - later.created[number]
            for number, earlier in enumerate(moments)
            for later in moments[number:]
        ]
        firsts = [moment.created[0] for moment in moments]
        disappeared = sum(max(first - second, 0) for first, second in pairwise(firsts))
        return min(differences) - disappeared

    async def _count(self) -> None:
        """Count the list, then what the search has, the newest contacts first."""
        run = self._run
        listed = await count_contacts(run.intercom.client, ContactList(), run.traffic)
        self._moments.append(await read_from_start(lambda: self._search(listed)))

    async def _search(self, listed: Counted) -> _Moment:
        """Return the counts of a search for all contacts, and of those created since the start.

        Raises:
            ContractError: the search does not count its contacts.
        """
        run, start = self._run, self._run.state.plan.started_at
        listing = search_of(EVERY_CONTACT, "descending")
        pages = Pages(
            run.intercom.client, run.intercom.per_page, listing=listing, traffic=run.traffic, allow_shortfall=True
        )
        limits = [moment.listed.server_s for moment in self._moments] + [listed.server_s]
        created, created_in_all, total = [0] * len(limits), 0, None
        async for page in pages:
            dates = [date for date in creation_dates(page.records) if date is not None]
            if total is None:
                total = page.total_count
                limits = _by_dates(limits, max(dates, default=0))
            created_in_all += sum(date >= start for date in dates)
            created = [
                number + sum(start <= date <= limit for date in dates)
                for number, limit in zip(created, limits, strict=True)
            ]
            if any(date < start for date in dates):
                break
        await pages.aclose()
        if total is None:
            raise no_counts()
        return _Moment(listed, total - created_in_all, created)


def _by_dates(limits: list[int], newest: int) -> list[int]:
    """Return times of responses by the clock of creation dates, which may be ahead: no contact is created later."""
    ahead_s = min(max(newest - limits[-1], 0), _MAX_CLOCK_DIFFERENCE_S)
    return [limit + ahead_s for limit in limits]
