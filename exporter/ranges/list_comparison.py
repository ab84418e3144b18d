"""Whether the search has as many contacts as the list, in a workspace that changes all the time."""

import math
from dataclasses import dataclass
from itertools import pairwise

import anyio

from exporter.ranges.lanes import RangesRun
from exporter.ranges.missing import no_counts
from exporter.rawjson.creation_dates import creation_dates
from exporter.source.listings import ContactList
from exporter.source.pages import Pages
from exporter.source.planning import is_explainable
from exporter.source.range_query import EVERY_CONTACT, Counted, count_contacts, read_from_start, search_of

_WAIT_STEP_S, _MAX_WAITS = 15.0, 40
_COMPARISONS = 3
_MAX_AHEAD_S = 60
"""Creation dates are believed to be so many seconds ahead of the time of responses."""


@dataclass
class _Moment:
    """Both counts at one moment.

    Attributes:
        list_count: the count of the list.
        existed: the contacts of the search that existed at the start.
        created: one number for each moment so far, this one last: the contacts created between the start and that
            moment, as far as the search has them now.
    """

    list_count: Counted
    existed: int
    created: list[int]


class ListComparison:
    """Compares the counts of list and search until the search has all that the list has.

    New contacts appear in the search only minutes later. So both are counted at several moments. The contacts that the
    list counted at one moment are looked for in the search at that moment and at all later ones; the smallest
    difference counts.

    Args:
        run: what the lanes worked with.
    """

    def __init__(self, run: RangesRun) -> None:
        self._run = run
        self._moments: list[_Moment] = []
        self._ahead_s = 0

    async def difference(self, settle_s: float) -> int:
        """Return how many contacts the list has and the search has not, beyond what creations and deletions explain.

        Args:
            settle_s: seconds after which no further comparison begins, except for the first three.

        Raises:
            SourceError: see `export`.
        """
        waited_s = 0.0
        while True:
            began_s = anyio.current_time()
            await self._count()
            waited_s += anyio.current_time() - began_s
            missing = self._missing()
            may_wait = waited_s < settle_s
            if missing <= 0 or not (may_wait or len(self._moments) < _COMPARISONS):
                break
            wait_s = min(max(_WAIT_STEP_S, settle_s / _MAX_WAITS), settle_s - waited_s) if may_wait else 0
            await anyio.sleep(wait_s)
            waited_s += wait_s
        moment = self._moments[-1]
        is_active = moment.created[-1] > 0 and not settle_s  # they may just not be found yet
        return 0 if is_active and is_explainable(missing, moment.list_count.count) else max(missing, 0)

    def _missing(self) -> int:
        """Return the smallest difference of all moments, less the new contacts that were deleted in the meantime."""
        moments = self._moments
        differences = [
            earlier.list_count.count - earlier.existed - later.created[number]
            for number, earlier in enumerate(moments)
            for later in moments[number:]
        ]
        firsts = [moment.created[0] for moment in moments]
        deleted = sum(max(first - second, 0) for first, second in pairwise(firsts))
        return min(differences) - deleted

    async def _count(self) -> None:
        """Count the list, then what the search has, the newest contacts first."""
        run = self._run
        list_count = await count_contacts(run.intercom.client, ContactList(), run.traffic)
        self._moments.append(await read_from_start(lambda: self._search(list_count)))

    async def _search(self, list_count: Counted) -> _Moment:
        """Return the counts of a search for all contacts, and of those created since the start.

        Raises:
            ContractError: the search does not count its contacts.
        """
        run, start = self._run, self._run.state.plan.started_at
        client, per_page, listing = run.intercom.client, run.intercom.per_page, search_of(EVERY_CONTACT, "descending")
        # Those of the same second may have been created after the list was counted: they must not make up for others.
        limits = [*(moment.list_count.server_s - 1 for moment in self._moments), list_count.server_s - 1]
        began_s = anyio.current_time()
        created, created_in_all, total = [0] * len(limits), 0, None
        async for page in Pages(client, per_page, listing=listing, traffic=run.traffic, allow_shortfall=True):
            dates = [date for date in creation_dates(page.records) if date is not None]
            if total is None:
                total = page.total_count
                self._see_clock(max(dates, default=0) - list_count.server_s, anyio.current_time() - began_s)
            created_in_all += sum(date >= start for date in dates)
            for number, limit in enumerate(limits):
                created[number] += sum(start <= date <= limit + self._ahead_s for date in dates)
            if any(date < start for date in dates):
                break
        if total is None:
            raise no_counts()
        return _Moment(list_count, total - created_in_all, created)

    def _see_clock(self, newest_s: float, passed_s: float) -> None:
        """Notice that the clock of creation dates is ahead of that of responses: no contact is created in the future.

        It never seems to be less ahead again: otherwise contacts would seem to be deleted.

        Args:
            newest_s: how many seconds after the list's response the newest contact was created.
            passed_s: how many seconds after that response it may have been created.
        """
        ahead_s = newest_s - math.ceil(passed_s) - 1  # dates and times of responses are whole seconds, rounded down
        self._ahead_s = max(self._ahead_s, min(int(ahead_s), _MAX_AHEAD_S))
