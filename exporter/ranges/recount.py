"""All ranges counted once more, at the end of an export in a workspace that has changed meanwhile."""

from exporter.ranges.lanes import RangesRun
from exporter.ranges.missing import MissingContacts, SecondSearch
from exporter.source.range_query import count_contacts, search_of
from exporter.tasks import for_each


class Recount:
    """Finds the ranges of which the search has more contacts now than were written.

    The sum of all ranges would hide a missing contact: each contact that was deleted after it was written balances one
    that is missing.

    Args:
        run: what the lanes worked with.
        missing: reads a range again, and writes what is missing.
    """

    def __init__(self, run: RangesRun, missing: MissingContacts) -> None:
        self._run = run
        self._state = run.state
        self._missing = missing

    async def check(self, search: SecondSearch) -> int:
        """Count all ranges, and search those again whose contacts do not fit; what they lack is written.

        Args:
            search: the second search, which came shortly before.

        Returns:
            How many contacts they count and do not have.

        Raises:
            SourceError, SinkError: see `export`.
        """
        counts = await self._counts()
        numbers = sorted(self._state.doubtful | self._with_more(counts, search))
        if not numbers:
            return 0
        lacking = await self._missing.read_again(numbers)
        if not lacking:
            self._state.doubtful.clear()
        return lacking

    async def _counts(self) -> dict[int, int]:
        """Count the contacts of each range."""
        run, counts = self._run, dict[int, int]()

        async def count(number: int) -> None:
            search = search_of(run.state.plan.ranges[number - 1])
            async with run.concurrency.slot():
                counts[number] = (await count_contacts(run.intercom.client, search, run.traffic)).count

        await for_each(range(1, len(run.state.plan.ranges) + 1), count, run.concurrency.maximum)
        return counts

    def _with_more(self, counts: dict[int, int], search: SecondSearch) -> set[int]:
        """Return the ranges with more contacts than were written.

        Ranges that can have contacts created after the start are compared together, without those contacts.
        """
        state, written = self._state, self._state.written
        recent = state.plan.recent_ranges
        more = {number for number in counts.keys() - recent if counts[number] > written.get(number, 0)}
        created = max(search.created_in_all - state.created, 0)
        allowed = sum(written.get(number, 0) for number in recent) + created + self._missing.late_recent
        return more | recent if sum(counts[number] for number in recent) > allowed else more
