"""``POST /contacts/search`` of one workspace, without the HTTP: an index of each date, which follows the changes.

Facts about the API: new and updated contacts appear in a search minutes later. The cursor holds the sort value, the
id and a page number: it means "after this contact", so a deleted contact shifts nothing (users' captures).
"""

import base64
import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple, TypeAlias

import anyio.to_thread

from exporter.sandbox.calendar import DateField
from exporter.sandbox.lagged_index import Change, LaggedIndex, Searchable
from exporter.sandbox.protocol import DEFAULT_VERSION, compact, invalid_cursor
from exporter.sandbox.search_index import DateIndex
from exporter.sandbox.search_match import DateRules, candidates, matches
from exporter.sandbox.search_query import Condition, Filter, Search

Positions: TypeAlias = Sequence[int]
_MAX_CACHED = 256
_SCANNED = 500  # contacts decoded at once


class Place(NamedTuple):
    """The content of a cursor: date and id of the last contact, and the number of the next page."""

    stamp: int
    contact_id: str
    page: int


class Matched(NamedTuple):
    """The contacts that a filter matches.

    Attributes:
        spans: their positions in an index, by spans of time, all in order.
        total: their number.
        unsettled: number of those that searches count twice.
    """

    spans: tuple[Positions, ...]
    total: int
    unsettled: int


class Page(NamedTuple):
    """A page of a search.

    Attributes:
        records: JSON of its contacts.
        total_count: reported number of all contacts that match.
        following: the content of the next page's cursor; None for the last page.
    """

    records: list[bytes]
    total_count: int
    following: Place | None


class ContactSearch:
    """The search of one workspace.

    Args:
        source: its contacts.
        clock: function that returns UNIX time in seconds.
        lag_s: seconds until an inserted or updated contact appears.
        missing: number of contacts that never appear; they are evenly distributed over the list.
        unsettled: number of further contacts, evenly distributed, that searches of more than one contact per page
            count twice.
    """

    def __init__(
        self,
        source: Searchable,
        clock: Callable[[], float],
        *,
        lag_s: float = 0,
        missing: int = 0,
        unsettled: int = 0,
    ) -> None:
        self._source, self._clock, self._lag_s = source, clock, lag_s
        self._missing_count, self._unsettled_count = missing, unsettled
        self._indexes: dict[DateField, LaggedIndex] = {}
        self._pending: list[Change] = []
        self._missing: frozenset[int] = frozenset()
        self._unsettled: Sequence[int] = ()
        self._cache: dict[tuple[Any, ...], Matched] = {}
        self._preparing = anyio.Lock()

    def before_change(self, reference: int) -> None:
        """Record the dates of a contact that is about to be inserted, updated or removed."""
        for index in self._indexes.values():
            index.before_change(reference)

    def after_change(self, reference: int) -> None:
        """Record that a contact was inserted, updated or removed. A removed contact disappears at once."""
        now, is_removed = self._clock(), self._source.date_of(reference, "created_at") is None
        change = (now + (0 if is_removed else self._lag_s), reference)
        while self._pending and self._pending[0][0] <= now:
            heappop(self._pending)
        heappush(self._pending, change)
        for index in self._indexes.values():
            index.after_change(change)

    async def prepare(self, search: Search) -> None:
        """Make the index that a search needs, if it does not exist, in a thread. Searches at the same time wait for it.

        Cancellation:
            The thread finishes the index for the next search.
        """
        index = self._index(search.sort)
        if not index.is_made:
            async with self._preparing:
                await anyio.to_thread.run_sync(index.index, abandon_on_cancel=True)

    def page(self, search: Search, after: Place | None, rules: DateRules, version: str) -> Page:
        """Return one page of a search. Without `prepare`, the first one makes the index."""
        index = self._index(search.sort).index()
        self._apply_changes()
        matched = self._matched(search.filter, search.sort, index, rules)
        following = _descending if search.descending else _ascending
        found = following(matched, index, after, search.per_page + 1)
        references = index.references(found[: search.per_page])
        last = None
        if len(found) > len(references):
            last_id = self._source.ids_at(references[-1:])[0]
            last = Place(index.stamp(found[-2]), last_id, after.page + 1 if after else 2)
        total = matched.total + (matched.unsettled if search.per_page > 1 else 0)
        return Page(self._source.records_at(references, version), total, last)

    def _index(self, field: DateField) -> LaggedIndex:
        """Return the index of a date, which follows all changes from the first call on."""
        if field not in self._indexes:
            if not self._indexes:
                self._choose_doubtful()
            late = [change for change in self._pending if change[0] > self._clock()]
            self._indexes[field] = LaggedIndex(self._source, field, self._missing, late)
        return self._indexes[field]

    def _choose_doubtful(self) -> None:
        """Choose the contacts that are missing, and those that are counted twice."""
        references = self._source.references()
        self._missing = frozenset(_distributed(references, self._missing_count))
        if self._unsettled_count:
            visible = [reference for reference in references if reference not in self._missing]
            self._unsettled = _distributed(visible, self._unsettled_count)

    def _apply_changes(self) -> None:
        """Move the contacts whose changes appear now."""
        now = self._clock()
        for index in self._indexes.values():
            if index.is_made and index.apply_changes(now):
                self._cache.clear()

    def _matched(self, query: Filter | None, field: DateField, index: DateIndex, rules: DateRules) -> Matched:
        """Return the contacts that a filter matches."""
        key = (query, field, rules)
        if (found := self._cache.get(key)) is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            spans = tuple(self._find(query, field, index, rules))
            doubtful = [self._indexes[field].position_of(reference) for reference in self._unsettled]
            unsettled = sum(_contains(span, position) for span in spans for position in doubtful)
            self._cache[key] = found = Matched(spans, sum(map(len, spans)), unsettled)
        return found

    def _find(self, query: Filter | None, field: DateField, index: DateIndex, rules: DateRules) -> Iterator[Positions]:
        wanted = candidates(query, field, rules)
        for span in wanted.spans:
            positions = index.positions(span)
            match wanted.rest:
                case ():
                    yield positions
                case (Condition("id", "$", str() as suffix),) if len(suffix) == 1:
                    yield index.positions_by_suffix(positions).get(suffix.lower(), ())
                case _:
                    yield self._scan(positions, wanted.rest, index, rules)

    def _scan(self, positions: range, rest: tuple[Filter, ...], index: DateIndex, rules: DateRules) -> list[int]:
        """Return the positions of the contacts that match further filters: each contact is decoded."""
        found = []
        for start in range(positions.start, positions.stop, _SCANNED):
            part = positions[start - positions.start : start - positions.start + _SCANNED]
            records = self._source.records_at(index.references(part), DEFAULT_VERSION)
            for position, record in zip(part, records, strict=True):
                contact = json.loads(record)
                if all(matches(one, contact, rules) for one in rest):
                    found.append(position)
        return found


def _distributed(references: Sequence[int], count: int) -> Sequence[int]:
    """Return some contacts, evenly distributed: a single one is in the middle."""
    step = max(len(references) // max(count, 1), 1)
    return references[step // 2 :: step][:count]


def _contains(positions: Positions, position: int | None) -> bool:
    """Return whether a position is among others, which are in order."""
    if position is None:
        return False
    place = bisect_left(positions, position)
    return position in positions[place : place + 1]


def _ascending(matched: Matched, index: DateIndex, after: Place | None, wanted: int) -> list[int]:
    """Return up to ``wanted`` positions after a place, in order."""
    first = 0 if after is None else index.position_after(after.stamp, after.contact_id)
    found: list[int] = []
    for positions in matched.spans:
        start = bisect_left(positions, first)
        found += positions[start : start + wanted - len(found)]
    return found


def _descending(matched: Matched, index: DateIndex, after: Place | None, wanted: int) -> list[int]:
    """Return up to ``wanted`` positions before a place, the last one first."""
    first = len(index) if after is None else index.position_of(after.stamp, after.contact_id)
    found: list[int] = []
    for positions in reversed(matched.spans):
        end = bisect_left(positions, first)
        found += positions[max(end - wanted + len(found), 0) : end][::-1]
    return found


def write_cursor(place: Place) -> str:
    """Return the cursor of a place."""
    return base64.b64encode(compact([place.stamp * 1000, place.contact_id, place.page])).decode()


def read_cursor(cursor: str) -> Place:
    """Return the place of a cursor.

    Raises:
        Refusal: 400 ``client_error``, it is not the cursor of a search.
    """
    try:
        stamp, contact_id, page = json.loads(base64.b64decode(cursor, validate=True))
    except (ValueError, TypeError):  # also of Base64 and of UTF-8, and for JSON that is not a list
        raise invalid_cursor() from None
    if type(stamp) is not int or not isinstance(contact_id, str) or type(page) is not int or page < 1:
        raise invalid_cursor()
    return Place(stamp // 1000, contact_id, page)
