"""The proof that an export with several cursors is complete: by counts, or by the ids of the list."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import anyio
from anyio import from_thread, to_thread

from exporter.archive.key_count import KeyCount
from exporter.errors import ContractError, SinkError
from exporter.layout.key_journal import decode_blocks
from exporter.layout.paths import LATE, LISTED
from exporter.layout.summary import ProofSummary
from exporter.model import Page
from exporter.ranges.key_set import KeySet, split_keys
from exporter.ranges.lanes import RangesRun
from exporter.ranges.state import track_of
from exporter.rawjson.contact_keys import page_keys
from exporter.rawjson.creation_dates import creation_dates
from exporter.source.listings import ContactList
from exporter.source.range_query import EVERY_CONTACT, count_contacts, search_of
from exporter.source.workspace import fetch_timezone
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
        self._by = by
        self._settle_s = settle_s
        self._search_last = 0

    async def prove(self) -> ProofSummary:
        """Search the last minutes before the start again, read the list if wanted, and compare the counts.

        Raises:
            ContractError: contacts are missing, or may be. Everything written stays, and the same command repeats
                the proof.
            SourceError, SinkError: see `export`.

        Cancellation:
            Everything written is kept; another run repeats the proof, and continues in the list.
        """
        await self._check_zone()
        await self._wait()
        late = await self._search_again()
        listed = await self._read_list() if self._by == IDS else 0
        counted = await count_contacts(self._run.intercom.client, ContactList(), self._run.traffic)
        self._state.set_last_count(counted.count)
        duplicates = await self._count_duplicates()
        await self._check_zone()
        proof = self._compared(late, listed, duplicates)
        if problem := self._problem(proof):
            raise ContractError(problem)
        return proof

    async def _check_zone(self) -> None:
        """Check that the limits of days are those of the plan."""
        if not self._plan.has_days:
            return
        zone = await fetch_timezone(self._run.intercom.client, self._run.traffic)
        self._state.zone_changed |= zone != self._plan.timezone
        if self._state.zone_changed:
            raise ContractError(zone_message(self._plan.timezone, zone))

    async def _wait(self) -> None:
        """Wait until contacts that were created shortly before the start can be found."""
        plan, began_s = self._plan, self._state.latest_start_s
        if began_s is not None and (plan.recent or plan.list_count != plan.search_count):
            await anyio.sleep(min(max(began_s + self._settle_s - time.time(), 0), self._settle_s))

    async def _search_again(self) -> int:
        """Write the contacts of the last minutes before the start that no range had.

        The newest contacts come first, so this works whether dates are days or seconds.

        Returns:
            The number of those contacts.
        """
        await self._discard(LATE)
        created_later, total = 0, None
        pages = self._run.pages(LATE, search_of(EVERY_CONTACT, "descending"))
        with KeySet() as written:
            filled = False
            async for page in pages:
                total = page.total_count if total is None else total
                dates = creation_dates(page.records)
                created_later += sum(date is not None and date >= self._plan.started_at for date in dates)
                recent = [
                    record
                    for record, date in zip(page.records, dates, strict=True)
                    if date is not None and self._plan.is_recent_date(date)
                ]
                if recent and not filled:
                    await to_thread.run_sync(written.add, self._keys(only_recent=True))
                    filled = True
                if recent:
                    await self._write_missing(LATE, replace(page, records=tuple(recent)), written)
                if any(date is not None and date < self._plan.recent_since for date in dates):
                    break
        await pages.aclose()
        if total is None:
            raise ContractError("the search does not count its contacts: nothing is proven")
        self._search_last = max(total - created_later, 0)
        await self._run.destination.finish_track(LATE)
        return self._state.tracks[LATE].progress.position.contacts

    async def _read_list(self) -> int:
        """Read the list, and write the contacts that no range had; continue where an earlier run stopped.

        Returns:
            The number of those contacts.
        """
        pages = self._run.pages(LISTED, ContactList(), allow_shortfall=False)
        if not self._state.begin(LISTED).progress.position.reached_end:
            with KeySet() as written:
                await to_thread.run_sync(written.add, self._keys())
                async for page in pages:
                    await self._write_missing(LISTED, page, written)
            await pages.aclose()
        await self._run.destination.finish_track(LISTED)
        return self._state.tracks[LISTED].progress.position.contacts

    async def _write_missing(self, track: str, page: Page, written: KeySet) -> None:
        """Write those contacts of a page whose keys are not in a set, and count the page in any case."""
        keys = page_keys(page.records)
        missing = await to_thread.run_sync(written.missing, keys)
        records = tuple(record for record in page.records if not missing.isdisjoint(split_keys(page_keys((record,)))))
        found = replace(page, records=records, keys=page_keys(records))
        await self._run.write(track, found, with_dates=True)
        self._state.add_skipped(track, len(page.records) - len(records))

    async def _discard(self, track: str) -> None:
        """Discard what an earlier run wrote to a track, which is repeated as a whole."""
        if track in self._state.tracks and self._run.destination.capabilities.resumes:
            self._state.discard(track)
            await self._run.destination.discard_track(track)

    def _keys(self, *, only_recent: bool = False) -> Iterator[bytes]:
        """Yield the keys of written contacts. Blocks.

        Args:
            only_recent: only of ranges that can hold contacts created in the last minutes before the start.
        """
        recent = {track_of(number) for number, one in enumerate(self._plan.ranges, 1) if self._plan.is_recent(one)}
        chunks = self._run.destination.key_chunks()
        yield from decode_blocks(chunks, self._state.again, lambda track: not only_recent or track in recent)

    async def _count_duplicates(self) -> int:
        """Count the contacts that were written more than once."""
        destination = self._run.destination

        def count_keys() -> int | None:
            with closing(KeyCount(destination.scratch_folder, check_space=destination.check_free_space)) as keys:
                for block in self._keys():
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

    def _compared(self, late: int, listed: int, duplicates: int) -> ProofSummary:
        """Return the counts, and by how many contacts they differ without an explanation."""
        plan, state = self._plan, self._state
        distinct = state.position.contacts - state.created - duplicates
        existed = max(plan.list_count, plan.search_count)
        # What the list counted and the search did not has to appear among the contacts of the last minutes.
        never_found = max(plan.list_count - plan.search_count - max(state.recent - plan.recent, 0), 0)
        # These overlap: a contact that is missing can show in several of them.
        unexplained = max(state.unexplained, never_found, self._search_last - distinct, distinct - existed)
        return ProofSummary(
            by=self._by,
            list_first=plan.list_count,
            search_first=plan.search_count,
            late=late,
            listed=listed,
            search_last=self._search_last,
            distinct=distinct,
            created_during_run=state.created,
            duplicates=duplicates,
            unexplained=0 if self._by == IDS else unexplained,
            settle_s=self._settle_s,
        )

    def _problem(self, proof: ProofSummary) -> str | None:
        """Return why the export is not proven complete, and what to do; None if it is."""
        if proof.by == IDS:
            return None
        advice = "the same command with --prove ids reads the list and adds what is missing"
        if proof.unexplained:
            missing = count(proof.unexplained, "contact")
            return f"the export is not proven complete: the counts of list and search differ by {missing}; {advice}"
        if proof.duplicates:
            return f"the search listed {count(proof.duplicates, 'contact')} twice: use --restart to start over"
        return None


def zone_message(planned: str | None, zone: str | None) -> str:
    """Return why a plan of days cannot be followed in another time zone, and what to do."""
    return (
        f"the workspace's time zone was changed from {planned or 'unknown'} to {zone or 'unknown'} during the export, "
        "and with it the limits of its ranges: use --restart to start over"
    )
