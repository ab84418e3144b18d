"""What no range had: found by a second search of the last minutes, and in the list."""

from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, replace

from anyio import to_thread

from exporter.errors import ContractError, CursorError
from exporter.layout.key_journal import decode_blocks, key_errors_as_sink_errors
from exporter.layout.paths import LATE, LISTED
from exporter.model import Page
from exporter.ranges.key_set import KeySet
from exporter.ranges.lanes import MAX_AGAIN, RangesRun
from exporter.ranges.state import track_of
from exporter.rawjson.contact_keys import KEY_BYTES, any_keys
from exporter.rawjson.creation_dates import creation_dates
from exporter.source.listings import ContactList
from exporter.source.pages import Pages
from exporter.source.range_query import EVERY_CONTACT, Counted, search_of


@dataclass(frozen=True, slots=True)
class SecondSearch:
    """The result of the second search.

    Attributes:
        late: contacts that it found and no range had, in all runs.
        existed: of the contacts that existed at the start, those that the search counts now.
        created: contacts that the search has and that were created after the start, up to the list's last count.
    """

    late: int
    existed: int
    created: int


class MissingContacts:
    """Finds and writes the contacts that no range had.

    Args:
        run: what the lanes worked with.
    """

    def __init__(self, run: RangesRun) -> None:
        self._run = run
        self._state = run.state
        self._plan = run.state.plan

    async def search_again(self, listed: Awaitable[Counted]) -> SecondSearch:
        """Write the contacts of the last minutes before the start that are not written yet.

        The newest contacts come first, so this works whether dates are days or seconds.

        Args:
            listed: the last count of the list, awaited after the first response of the search.

        Raises:
            ContractError: the search does not count its contacts.
            SourceError, SinkError: see `export`.
        """
        self._state.begin(LATE)
        self._state.restart_cursor(LATE)  # what earlier runs found stays
        pages = self._run.pages(LATE, search_of(EVERY_CONTACT, "descending"))
        created, created_later, total, counted_at_s = 0, 0, None, None
        with KeySet() as written:
            is_filled = False
            async for page in pages:
                total = page.total_count if total is None else total
                counted_at_s = (await listed).server_s if counted_at_s is None else counted_at_s
                dates = creation_dates(page.records)
                new = [date for date in dates if date is not None and date >= self._plan.started_at]
                created += sum(date <= counted_at_s for date in new)
                created_later += sum(date > counted_at_s for date in new)
                dated = zip(page.records, dates, strict=True)
                recent = tuple(one for one, date in dated if date is not None and self._plan.is_recent_date(date))
                if recent and not is_filled:
                    await to_thread.run_sync(written.add, self.written_keys(only_recent=True))
                    is_filled = True
                if recent:
                    await self._write_missing(LATE, replace(page, records=recent), written)
                if any(date is not None and date < self._plan.recent_since for date in dates):
                    break
        await pages.aclose()
        if total is None:
            raise ContractError(
                "the search does not count its contacts, so it proves nothing: export without --cursors"
            )
        await self._run.destination.finish_track(LATE)
        late = self._state.tracks[LATE].progress.position.contacts
        return SecondSearch(late, max(total - created - created_later, 0), created)

    async def created_until(self, until_s: int) -> int:
        """Count the contacts of the search that were created after the start and up to a time."""
        run, listing = self._run, search_of(EVERY_CONTACT, "descending")
        client, per_page = run.intercom.client, run.intercom.per_page
        pages = Pages(client, per_page, listing=listing, traffic=run.traffic, allow_shortfall=True)
        number = 0
        async for page in pages:
            dates = [date for date in creation_dates(page.records) if date is not None]
            number += sum(self._plan.started_at <= date <= until_s for date in dates)
            if any(date < self._plan.started_at for date in dates):
                break
        await pages.aclose()
        return number

    async def read_list(self) -> int:
        """Read the list, and write the contacts that are not written yet; continue where an earlier run stopped.

        A list whose cursor is refused is read again from its beginning; what it had is not written twice.

        Returns:
            The number of those contacts, in all runs.
        """
        with KeySet() as written:
            await to_thread.run_sync(written.add, self.written_keys())
            for attempt in range(MAX_AGAIN + 1):
                if self._state.begin(LISTED).progress.position.reached_end:
                    break
                pages = self._run.pages(LISTED, ContactList(), allow_shortfall=False)
                try:
                    await self._write_all(pages, written)
                except CursorError:
                    if attempt == MAX_AGAIN:
                        raise
                    self._state.restart_cursor(LISTED)
        await self._run.destination.finish_track(LISTED)
        return self._state.tracks[LISTED].progress.position.contacts

    async def _write_all(self, pages: Pages, written: KeySet) -> None:
        async for page in pages:
            await self._write_missing(LISTED, page, written)
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

    def written_keys(self, *, only_recent: bool = False) -> Iterator[bytes]:
        """Yield the keys of everything that is written. Blocks.

        Args:
            only_recent: without ranges in which no contact was created in the last minutes before the start.

        Raises:
            SinkError: they cannot be read.
        """
        recent = {track_of(number) for number, one in enumerate(self._plan.ranges, 1) if self._plan.is_recent(one)}
        recent |= {LATE, LISTED}
        chunks = self._run.destination.key_chunks()
        with key_errors_as_sink_errors():
            yield from decode_blocks(chunks, self._state.again, lambda track: not only_recent or track in recent)
