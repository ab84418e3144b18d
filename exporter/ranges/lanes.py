"""The lanes of an export with several cursors: each reads one range after another, page by page."""

import math
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import anyio

from exporter.destination.base import Destination
from exporter.errors import ContractError, CursorError
from exporter.formats.encoder import Encoder
from exporter.formats.selection_checks import missing_fields
from exporter.layout.key_journal import encode_block
from exporter.layout.plan import Range
from exporter.model import Page
from exporter.observe.events import Event, FieldsNotFound, PageWritten, RangeDiscarded, RangeFinished
from exporter.pipeline import encode_page
from exporter.ranges.state import RangesState, track_of
from exporter.rawjson.contact_keys import any_keys
from exporter.rawjson.creation_dates import creation_dates
from exporter.source.concurrency import AdaptiveConcurrency
from exporter.source.expansion import Expander
from exporter.source.intercom import Intercom
from exporter.source.listings import Listing
from exporter.source.loop_guard import LoopGuard
from exporter.source.pages import Pages, ResumePoint
from exporter.source.range_query import MAX_AGAIN, search_of
from exporter.source.retry import RequestStats
from exporter.tasks import for_each

_MANY_TIMES, _MANY_MORE = 2, 1_000


class DamagedTokenError(Exception):
    """A checkpoint holds a resume token that no run can have written."""


@dataclass(frozen=True, slots=True)
class RangesRun:
    """What one run of an export with several cursors works with.

    Attributes:
        intercom: the workspace.
        destination: takes the frames.
        state: the progress of all ranges.
        encoder: encoder of pages as frames.
        expander: completes the lists of contacts; None if none are.
        traffic: counts requests, retries and waits.
        concurrency: limits the requests at once.
        notify: function that is called with each event.
        began_at_s: when the run began to move pages, by the event loop's clock.
    """

    intercom: Intercom
    destination: Destination
    state: RangesState
    encoder: Encoder
    expander: Expander | None
    traffic: RequestStats
    concurrency: AdaptiveConcurrency
    notify: Callable[[Event], None]
    began_at_s: float

    @property
    def ran_s(self) -> float:
        """Seconds since this run began to move pages."""
        return anyio.current_time() - self.began_at_s

    def pages(self, track: str, listing: Listing, *, allow_shortfall: bool = True) -> Pages:
        """Return the pages of a track that are not written yet.

        Raises:
            DamagedTokenError: the checkpoint's position is damaged.
        """
        progress = self.state.begin(track).stored()
        cursor = progress.position.next_cursor
        try:
            guard = LoopGuard.load(progress.resume_token) if cursor is not None and progress.resume_token else None
        except ValueError as exc:
            raise DamagedTokenError from exc
        point = ResumePoint(cursor, guard, progress.read, progress.count_first)
        return Pages(
            self.intercom.client,
            self.intercom.per_page,
            point,
            listing=listing,
            traffic=self.traffic,
            allow_shortfall=allow_shortfall,
        )

    async def write(self, track: str, page: Page, *, with_dates: bool, skipped: int = 0) -> None:
        """Encode a page, write it to a track, and count it.

        Args:
            track: name of the track.
            page: the page.
            with_dates: whether the creation dates of its contacts matter for the proof.
            skipped: contacts that were on the page too, and were written to another track before.

        Cancellation:
            A write that has begun is finished, and then its page is counted.
        """
        expanded = await self.expander.expand(page) if self.expander else None
        frame = await encode_page(self.encoder, page, expanded)
        keys = encode_block(track, self.state.again.get(track, 0), any_keys(page.records))
        dates = creation_dates(page.records) if with_dates else ()
        written = await self.destination.append_to(track, frame, keys)
        self.state.add_to(track, page, written, dates, ran_s=self.ran_s, skipped=skipped)
        self._report(page)
        await self.destination.commit_if_due()

    def _report(self, page: Page) -> None:
        state = self.state
        is_first = state.position.pages == 1 and page.records
        if is_first and (missing := tuple(missing_fields(self.encoder.selection, state.matched_fields))):
            self.notify(FieldsNotFound(missing))
        self.notify(PageWritten(state.position, state.plan.list_count, self.intercom.rate_limit.remaining))


class Lanes:
    """Reads all ranges of a plan that are not finished: those that are begun first, then those with most contacts.

    Args:
        run: what the lanes work with.
    """

    def __init__(self, run: RangesRun) -> None:
        self._run = run
        self._state = run.state
        self._knows_version = False
        self._lanes = 0  # that still read ranges
        written = {name: one.progress.position.contacts for name, one in self._state.tracks.items()}
        left = [
            (track_of(number) in written, one.expected - written.get(track_of(number), 0), -number)
            for number, one in enumerate(self._state.plan.ranges, 1)
            if track_of(number) not in self._state.finished
        ]
        # Last comes what is read first: begun ranges, whose files are open already, then the one with most contacts.
        self._waiting = [-number for *_, number in sorted(left)]

    async def run(self) -> None:
        """Read all ranges. The first error ends all lanes.

        Raises:
            SourceError, SinkError: see `export`.

        Cancellation:
            Writes that have begun are finished and counted; requests are cancelled.
        """
        self._lanes = min(self._run.concurrency.maximum, len(self._waiting))
        await for_each(range(1, self._lanes + 1), self._lane)

    async def _lane(self, lane: int) -> None:
        while self._waiting:
            number = self._waiting.pop()
            await self._read(number, self._state.plan.ranges[number - 1], lane)
        self._lanes -= 1

    async def _read(self, number: int, one: Range, lane: int) -> None:
        """Read a range to its end; read it once more if its contacts do not fit its counts."""
        track, refused, compared = track_of(number), 0, 0
        can_discard = self._run.destination.capabilities.resumes
        while True:
            try:
                await self._read_pages(track, one)
                difference = self._difference(track)
                compared += 1
                if not difference or compared > 1 or not can_discard:
                    break
                reason = "counts"
            except CursorError:
                refused += 1
                if refused > MAX_AGAIN or not can_discard:
                    raise
                reason = "cursor"
            await self._run.destination.discard_track(track, partial(self._state.discard, track))
            self._run.notify(RangeDiscarded(number, reason, self._state.position))
        if difference:
            self._state.doubtful.add(number)
        await self._run.destination.finish_track(track)
        contacts = self._state.finish_range(number, lane, self._run.ran_s)
        finished, ranges = len(self._state.finished), len(self._state.plan.ranges)
        self._run.notify(RangeFinished(number, contacts, finished, ranges))

    async def _read_pages(self, track: str, one: Range) -> None:
        state, with_dates = self._state, self._state.plan.is_recent(one)
        state.latest_start_s = int(time.time())
        if state.begin(track, self._run.ran_s).progress.position.reached_end:
            return
        concurrency = self._run.concurrency
        async with aclosing(self._run.pages(track, search_of(one))) as pages:
            while True:
                async with concurrency.slot():
                    # If each lane may have a request, the next page is requested while this one is written.
                    pages.contacts_needed = math.inf if self._lanes <= concurrency.limit else 0
                    page = await anext(pages, None)
                    if page is None:
                        return
                    _check_first_page(one, page)
                    await self._run.write(track, page, with_dates=with_dates)
                    self._report_version(pages)
                    del page  # so that the next request does not keep it in memory

    def _report_version(self, pages: Pages) -> None:
        """Notify the observer, once a run, if the API used another version than the requested one."""
        if not self._knows_version:
            self._knows_version = True
            for event in pages.version_events():
                self._run.notify(event)

    def _difference(self, track: str) -> int:
        """Return how many contacts more or fewer than the API counted were written.

        The API's count decreases while contacts are deleted, and increases while contacts are created.
        """
        progress = self._state.tracks[track].progress
        first, last, written = progress.count_first, progress.count_last, progress.position.contacts
        if first is None or last is None:
            return 1  # a range without a count proves nothing
        return max(min(first, last) - written, written - progress.created - max(first, last), 0)


def _check_first_page(one: Range, page: Page) -> None:
    """Check that the search returns a range, and not all contacts: then it would write each of them many times.

    Raises:
        ContractError: it counts far more contacts than when the plan was made.
    """
    counted = page.total_count or 0
    if page.number == 1 and one.end is not None and counted > _MANY_TIMES * one.expected + _MANY_MORE:
        raise ContractError(
            f"the search returns {counted:,} contacts for a range of {one.expected:,}: it does not select by creation "
            "date; export without --cursors"
        )
