"""``POST /contacts/search`` of one workspace, without the HTTP: an index of each date, which follows the changes.

Facts about the API: new and updated contacts appear in a search minutes later. The cursor holds the sort value, the
id and a page number: it means "after this contact", so a deleted contact shifts nothing (users' captures).
"""

import base64
import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from exporter.sandbox.protocol import DEFAULT_VERSION, compact, invalid_cursor
from exporter.sandbox.search_index import DateIndex
from exporter.sandbox.search_match import DateRules, candidates, matches
from exporter.sandbox.search_query import Condition, Filter, Search

Positions: TypeAlias = Sequence[int]
_MAX_CACHED = 256
_SCANNED = 500  # contacts decoded at once


@runtime_checkable
class Searchable(Protocol):
    """Contacts that a search can find. Each has a number, its reference, that never changes."""

    def dates(self, field: str, /) -> tuple[Sequence[int], Sequence[int]]:
        """Return one date of each contact that has it, in UNIX seconds, and the contacts' references."""

    def date_of(self, reference: int, field: str, /) -> int | None:
        """Return one date of a contact; None if the contact does not exist."""

    def id_at(self, reference: int, /) -> str:
        """Return the id of a contact, also of one that was removed."""

    def records_at(self, references: Sequence[int], version: str, /) -> list[bytes]:
        """Return the JSON of contacts, in the form of an API version."""


class Place(NamedTuple):
    """The content of a cursor: date and id of the last contact, and the number of the next page."""

    stamp: int
    contact_id: str
    page: int


class Page(NamedTuple):
    """A page of a search.

    Attributes:
        records: JSON of its contacts.
        total_count: number of all contacts that match.
        following: the content of the next page's cursor; None for the last page.
    """

    records: list[bytes]
    total_count: int
    following: Place | None


class ContactSearch:
    """The search of one workspace.

    Args:
        source: its contacts.
        lag_s: seconds until an inserted or updated contact appears.
        missing: number of contacts that never appear; they are evenly distributed.
        clock: function that returns UNIX time in seconds.
    """

    def __init__(self, source: Searchable, clock: Callable[[], float], *, lag_s: float = 0, missing: int = 0) -> None:
        self._source, self._clock, self._lag_s, self._missing = source, clock, lag_s, missing
        self._indexes: dict[str, DateIndex] = {}
        self._indexed: dict[str, dict[int, int | None]] = {}  # dates in the index, of contacts that changed
        self._pending: list[tuple[float, int]] = []  # when a change appears, and the contact's reference
        self._hidden: frozenset[int] = frozenset()
        self._cache: dict[tuple[Any, ...], tuple[Positions, ...]] = {}

    def before_change(self, reference: int) -> None:
        """Record the dates of a contact that is about to be inserted, updated or removed."""
        for field in self._indexes:
            self._indexed[field].setdefault(reference, self._source.date_of(reference, field))

    def after_change(self, reference: int) -> None:
        """Record that a contact was inserted, updated or removed. A removed contact disappears at once."""
        is_removed = self._source.date_of(reference, "created_at") is None
        self._pending.append((self._clock() + (0 if is_removed else self._lag_s), reference))

    def page(self, search: Search, after: Place | None, rules: DateRules, version: str) -> Page:
        """Return one page of a search."""
        self._apply_changes()
        index = self._index(search.sort)
        matched = self._matched(search.filter, search.sort, index, rules)
        following = _descending if search.descending else _ascending
        found = following(matched, index, after, search.per_page + 1)
        references = index.references(found[: search.per_page])
        last = None
        if len(found) > len(references):
            number = after.page + 1 if after else 2
            last = Place(index.stamp(found[-2]), self._source.id_at(references[-1]), number)
        return Page(self._source.records_at(references, version), sum(map(len, matched)), last)

    def _index(self, field: str) -> DateIndex:
        """Return the index of a date. The first search that needs it creates it."""
        if field not in self._indexes:
            stamps, references = self._source.dates(field)
            late = {reference for _, reference in self._pending}
            if self._missing and not self._hidden:
                step = max(len(references) // self._missing, 1)
                self._hidden = frozenset(references[step // 2 :: step][: self._missing])
            if left_out := self._hidden | late:
                kept = [place for place, reference in enumerate(references) if reference not in left_out]
                stamps, references = [stamps[place] for place in kept], [references[place] for place in kept]
            self._indexes[field] = DateIndex(stamps, references, self._source.id_at)
            self._indexed[field] = dict.fromkeys(late)
        return self._indexes[field]

    def _apply_changes(self) -> None:
        """Move the contacts in the indexes whose changes appear now."""
        now = self._clock()
        due = [reference for at, reference in self._pending if at <= now]
        if not due:
            return
        self._pending = [one for one in self._pending if one[0] > now]
        self._cache.clear()
        for reference in due:
            for field, index in self._indexes.items():
                if reference not in self._hidden:
                    self._move(index, field, reference)

    def _move(self, index: DateIndex, field: str, reference: int) -> None:
        before, stamp = self._indexed[field].get(reference), self._source.date_of(reference, field)
        if before is not None:
            index.remove(before, reference)
        if stamp is not None:
            index.add(stamp, reference)
        self._indexed[field][reference] = stamp

    def _matched(self, query: Filter | None, field: str, index: DateIndex, rules: DateRules) -> tuple[Positions, ...]:
        """Return the positions of the contacts that a filter matches, in order."""
        key = (query, field, rules)
        if (found := self._cache.get(key)) is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[key] = found = tuple(self._find(query, field, index, rules))
        return found

    def _find(self, query: Filter | None, field: str, index: DateIndex, rules: DateRules) -> Iterator[Positions]:
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


def _ascending(matched: tuple[Positions, ...], index: DateIndex, after: Place | None, wanted: int) -> list[int]:
    """Return up to ``wanted`` positions after a place, in order."""
    first = 0 if after is None else index.position_after(after.stamp, after.contact_id)
    found: list[int] = []
    for positions in matched:
        start = bisect_left(positions, first)
        found += positions[start : start + wanted - len(found)]
    return found


def _descending(matched: tuple[Positions, ...], index: DateIndex, after: Place | None, wanted: int) -> list[int]:
    """Return up to ``wanted`` positions before a place, the last one first."""
    first = len(index) if after is None else index.position_of(after.stamp, after.contact_id)
    found: list[int] = []
    for positions in reversed(matched):
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
