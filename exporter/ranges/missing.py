"""Contacts that no range had: found by searches at the end, or in the list."""

from collections.abc import Awaitable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from anyio import to_thread

from exporter.errors import ContractError, CursorError
from exporter.layout.key_journal import decode_blocks, key_errors_as_sink_errors
from exporter.layout.paths import LATE, LISTED
from exporter.model import Page
from exporter.ranges.key_set import KeySet
from exporter.ranges.lanes import RangesRun
from exporter.ranges.state import track_of
from exporter.rawjson.contact_keys import KEY_BYTES, any_keys
from exporter.rawjson.creation_dates import creation_dates
from exporter.source.listings import ContactList, Listing
from exporter.source.pages import Pages
from exporter.source.range_query import EVERY_CONTACT, Counted, read_from_start, search_of


@dataclass(frozen=True, slots=True)
class SecondSearch:
    """The result of the second search.

    Attributes:
        existed: of the contacts that existed at the start, those that the search counts now.
        created: contacts that the search has and that were created after the start, up to the list's last count.
        created_in_all: contacts that the search has and that were created after the start.
    """

    existed: int
    created: int
    created_in_all: int


class MissingContacts:
    """Finds and writes the contacts that no range had.

    Args:
        run: what the lanes worked with.
    """

    def __init__(self, run: RangesRun) -> None:
        self._run = run
        self._state = run.state
        self._plan = run.state.plan

    async def search_again(self, list_count: Awaitable[Counted]) -> SecondSearch:
        """Write the contacts of the last minutes before the start that are not written yet.

        The newest contacts come first, so this works whether dates are days or seconds. What earlier runs found stays.

        Args:
            list_count: the last count of the list, awaited after the first response of the search.

        Raises:
            ContractError: the search does not count its contacts.
            SourceError, SinkError: see `export`.
        """
        return await read_from_start(lambda: self._search_again(list_count))

    async def _search_again(self, list_count: Awaitable[Counted]) -> SecondSearch:
        pages = self._late_pages(search_of(EVERY_CONTACT, "descending"))
        created, created_later, total, counted_at_s = 0, 0, None, None
        with KeySet() as written:
            is_filled = False
            async for page in pages:
                total = page.total_count if total is None else total
                counted_at_s = (await list_count).server_s if counted_at_s is None else counted_at_s
                dates = creation_dates(page.records)
                new = [date for date in dates if date is not None and date >= self._plan.started_at]
                created += sum(date <= counted_at_s for date in new)
                created_later += sum(date > counted_at_s for date in new)
                dated = zip(page.records, dates, strict=True)
                recent = tuple(one for one, date in dated if date is not None and self._plan.is_recent_date(date))
                if recent and not is_filled:
                    await to_thread.run_sync(written.add, self.written_keys(self._recent_tracks()))
                    is_filled = True
                if recent:
                    await self._write_missing(LATE, replace(page, records=recent), written)
                if any(date is not None and date < self._plan.recent_since for date in dates):
                    break
        await pages.aclose()
        if total is None:
            raise no_counts()
        return SecondSearch(max(total - created - created_later, 0), created, created + created_later)

    @property
    def late(self) -> int:
        """The number of contacts in the track of late contacts, in all runs."""
        return self._state.begin(LATE).progress.position.contacts

    @property
    def late_recent(self) -> int:
        """The late contacts that were created in the 15 minutes before the start: they belong to recent ranges."""
        return self._state.begin(LATE).progress.recent

    async def read_again(self, numbers: Sequence[int]) -> int:
        """Search ranges once more, and write the contacts that existed at the start and are not written yet.

        Returns:
            How many contacts the search counts in these ranges and does not have.

        Raises:
            SourceError, SinkError: see `export`.
        """
        lacking = 0
        with KeySet() as written:
            tracks = {LATE, LISTED, *map(track_of, numbers)}
            await to_thread.run_sync(written.add, self.written_keys(tracks))
            for number in numbers:
                read = partial(self._read_range_again, number, written)
                # Contacts may be created and deleted while a range is read: only what lacks twice counts.
                lacking += await read_from_start(read) and await read_from_start(read)
        return lacking

    async def _read_range_again(self, number: int, written: KeySet) -> int:
        """Return how many contacts a range counts and does not have; write those that are not written yet."""
        pages = self._late_pages(search_of(self._plan.ranges[number - 1]))
        read, counts = 0, list[int]()
        async for page in pages:
            read += len(page.records)
            if page.total_count is not None:
                counts = [*counts[:1], page.total_count]
            dated = zip(page.records, creation_dates(page.records), strict=True)
            existed = tuple(one for one, date in dated if date is None or date <= self._plan.started_at)
            await self._write_missing(LATE, replace(page, records=existed), written)
        await pages.aclose()
        return max(min(counts, default=read + 1) - read, 0)  # without a count, nothing is proven

    def _late_pages(self, listing: Listing) -> Pages:
        """Return the pages of a search from the first one, whose missing contacts are written as late ones."""
        self._state.begin(LATE)
        self._state.restart_cursor(LATE)
        return self._run.pages(LATE, listing)

    async def read_list(self) -> int:
        """Read the list, and write the contacts that are not written yet; continue where an earlier run stopped.

        A list whose cursor is refused is read again from its beginning; what it had is not written twice.

        Returns:
            The number of those contacts, in all runs.
        """
        with KeySet() as written:
            await to_thread.run_sync(written.add, self.written_keys())
            await read_from_start(lambda: self._read_list(written))
        return self._state.tracks[LISTED].progress.position.contacts

    async def _read_list(self, written: KeySet) -> None:
        """Read the rest of the list. A refused cursor makes the next call read it from its beginning."""
        if self._state.begin(LISTED).progress.position.reached_end:
            return
        pages = self._run.pages(LISTED, ContactList(), allow_shortfall=False)
        try:
            async for page in pages:
                await self._write_missing(LISTED, page, written)
        except CursorError:
            self._state.restart_cursor(LISTED)
            raise
        await pages.aclose()

    async def _write_missing(self, track: str, page: Page, written: KeySet) -> None:
        """Write those contacts of a page that are not in a set, each once, and count the page in any case."""
        keys = any_keys(page.records)
        missing = await to_thread.run_sync(written.add_new, keys)
        records = []
        for place, record in enumerate(page.records):
            key = keys[place * KEY_BYTES : (place + 1) * KEY_BYTES]
            if key in missing:
                missing.discard(key)
                records.append(record)
        skipped = len(page.records) - len(records)
        await self._run.write(track, replace(page, records=tuple(records)), with_dates=True, skipped=skipped)

    def written_keys(self, tracks: Container[str] | None = None) -> Iterator[bytes]:
        """Yield the keys of everything that is written. Blocks.

        Args:
            tracks: names of the tracks; None for all.

        Raises:
            SinkError: they cannot be read.
        """
        chunks = self._run.destination.key_chunks()
        with key_errors_as_sink_errors():
            yield from decode_blocks(chunks, self._state.again, lambda track: tracks is None or track in tracks)

    def _recent_tracks(self) -> set[str]:
        """Return the tracks that can have contacts created in the last minutes before the start."""
        return {LATE, LISTED, *map(track_of, self._plan.recent_ranges)}


def no_counts() -> ContractError:
    """Return the error for a search whose responses have no count."""
    return ContractError("the search does not count its contacts, so it proves nothing: export without --cursors")
