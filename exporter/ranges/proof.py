"""The proof that an export with several cursors is complete: by counts, or by the ids of the list."""

import asyncio
import time
from contextlib import closing

import anyio
from anyio import from_thread, to_thread

from exporter.archive.key_count import KeyCount
from exporter.errors import ContractError, SinkError
from exporter.layout.summary import ProofSummary
from exporter.ranges.lanes import RangesRun
from exporter.ranges.list_comparison import ListComparison
from exporter.ranges.missing import MissingContacts, SecondSearch
from exporter.ranges.recount import Recount
from exporter.source.listings import ContactList
from exporter.source.planning import is_explainable
from exporter.source.range_query import Counted, count_contacts
from exporter.source.workspace import fetch_timezone
from exporter.tasks import collapse_exception_groups
from exporter.text import count

COUNTS, IDS = "counts", "ids"


class Proof:
    """The proof of one run, after all ranges are written.

    Args:
        run: what the lanes worked with.
        by: ``counts`` or ``ids``.
        settle_s: seconds to wait at most, after the latest range was begun, for contacts created before the start.
    """

    def __init__(self, run: RangesRun, by: str, settle_s: float) -> None:
        self._run = run
        self._state = run.state
        self._plan = run.state.plan
        self._missing = MissingContacts(run)
        self._by = by
        self._settle_s = settle_s

    async def prove(self) -> ProofSummary:
        """Search the last minutes before the start again, read the list if wanted, and compare the counts.

        Raises:
            ContractError: contacts are missing, or may be. A destination that `resumes` keeps everything written,
                and another run repeats the proof.
            SourceError, SinkError: see `export`.

        Cancellation:
            Everything written is kept; another run repeats the proof, and continues in the list.
        """
        await self._wait()
        ending, search = await self._count_and_search()
        self._state.set_last_count(ending.count)
        missing = await self._missing_by_counts(ending, search) if self._by == COUNTS else 0
        listed = await self._missing.read_list() if self._by == IDS else 0
        proof = self._compared(search, listed, await self._count_duplicates(), missing)
        if problem := self._problem(proof):
            raise ContractError(problem)
        return proof

    async def _count_and_search(self) -> tuple[Counted, SecondSearch]:
        """Count the list, search again, and check the time zone, all at once: none depends on the limits of days."""
        run = self._run
        counted: asyncio.Future[Counted] = asyncio.get_running_loop().create_future()

        async def count_list() -> None:
            result = await count_contacts(run.intercom.client, ContactList(), run.traffic)
            if not counted.cancelled():  # a search that is cancelled cancels what it waits for
                counted.set_result(result)

        with collapse_exception_groups():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(check_zone, run)
                tasks.start_soon(count_list)
                search = await self._missing.search_again(counted)
        return counted.result(), search

    async def _wait(self) -> None:
        """Wait until contacts that were created shortly before the start can be found."""
        plan, began_s = self._plan, self._state.latest_start_s
        if began_s is not None and (plan.recent or plan.list_count != plan.search_count):
            await anyio.sleep(min(max(began_s + self._settle_s - time.time(), 0), self._settle_s))

    async def _missing_by_counts(self, ending: Counted, search: SecondSearch) -> int:
        """Return how many contacts are missing from the output, or from the search.

        If all four counts are equal and each range fits its own, none are, and nothing more is requested. Otherwise all
        ranges are counted again; list and search are compared again only if a count has changed.
        """
        first, written = self._plan.list_count, self._distinct()
        has_changed = not (ending.count - search.created == search.existed == written == first)
        if not has_changed and not self._state.doubtful:
            return 0
        missing = await Recount(self._run, self._missing).check(search)
        return max(missing, await ListComparison(self._run).difference(self._settle_s)) if has_changed else missing

    def _distinct(self, duplicates: int = 0) -> int:
        """Return how many of the contacts that existed at the start are written, each counted once."""
        return self._state.position.contacts - self._state.created - duplicates

    async def _count_duplicates(self) -> int:
        """Count the contacts that were written more than once."""
        destination = self._run.destination

        def count_keys() -> int | None:
            with closing(KeyCount(destination.scratch_folder, check_space=destination.check_free_space)) as keys:
                for block in self._missing.written_keys():
                    keys.add(block)
                    if keys.is_full:
                        from_thread.check_cancelled()
                        keys.spill()
                return keys.count(from_thread.check_cancelled)

        duplicates = await to_thread.run_sync(count_keys)
        if duplicates is None:
            raise SinkError("cannot count duplicates: no temporary file can be written; set TMPDIR to another folder")
        self._state.duplicates = duplicates
        return duplicates

    def _compared(self, search: SecondSearch, listed: int, duplicates: int, missing: int) -> ProofSummary:
        """Return the counts, and by how many contacts they differ without an explanation."""
        plan, state = self._plan, self._state
        distinct = self._distinct(duplicates)
        # A few contacts more than both counted were deleted or restored just then: none is missing.
        more = distinct - max(plan.list_count, plan.search_count)
        unexplained = missing if is_explainable(more, plan.list_count) else max(missing, more)
        return ProofSummary(
            by=self._by,
            list_first=plan.list_count,
            search_first=plan.search_count,
            late=self._missing.late,
            listed=listed,
            search_last=search.existed,
            distinct=distinct,
            created_during_run=state.created,
            duplicates=duplicates,
            unexplained=unexplained if self._by == COUNTS else 0,
            settle_s=self._settle_s,
        )

    def _problem(self, proof: ProofSummary) -> str | None:
        """Return why the export is not proven complete, and what to do; None if it is."""
        if proof.unexplained:
            difference = count(proof.unexplained, "contact")
            return (
                f"the export is not proven complete: what was written and the counts of list and search differ by "
                f"{difference}; --prove ids also reads the list, and adds what is missing"
            )
        if proof.duplicates:
            return (
                f"{count(proof.duplicates, 'contact')} came twice from the search: use --restart to start over, "
                "or export without --cursors"
            )
        return None


async def check_zone(run: RangesRun) -> None:
    """Check that days have the same limits as when the plan was made.

    Raises:
        ContractError: the workspace's time zone was changed, or cannot be read any more.
    """
    state, planned = run.state, run.state.plan.timezone
    if not state.plan.has_days or planned is None:
        return
    zone = await fetch_timezone(run.intercom.client, run.traffic)
    if zone is not None and zone != planned:
        state.other_zone = zone
    if state.other_zone:
        raise ContractError(
            f"the workspace's time zone was changed from {planned} to {state.other_zone} during the export, "
            "and with it the limits of its ranges: use --restart to start over"
        )
    if zone is None:
        raise ContractError(
            f"the workspace's time zone was {planned} and cannot be read any more, so nothing is proven: "
            "give the token the permission to read the workspace (GET /me)"
        )
