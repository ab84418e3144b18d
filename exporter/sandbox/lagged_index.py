"""One date of a workspace's contacts as its searches see it: a change appears after a lag."""

import threading
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Protocol, TypeAlias, runtime_checkable

from exporter.sandbox.calendar import DateField
from exporter.sandbox.search_index import DateIndex

Change: TypeAlias = tuple[float, int]
"""When a change appears, in UNIX seconds, and the reference of its contact."""


@runtime_checkable
class Searchable(Protocol):
    """Contacts that a search can find. Each has a number, its reference, that never changes."""

    def references(self) -> Sequence[int]:
        """Return the references of all contacts that exist now."""

    def dates(self, field: DateField, /) -> Callable[[], tuple[Sequence[int], Sequence[int]]]:
        """Return a function that returns one date of each contact, in UNIX seconds, and the contacts' references.

        They are the contacts and the dates of now, whenever and in whichever thread the function is called.
        """

    def date_of(self, reference: int, field: DateField, /) -> int | None:
        """Return one date of a contact; None if the contact does not exist."""

    def ids_at(self, references: Sequence[int], /) -> list[str]:
        """Return the ids of contacts, also of those that were removed."""

    def records_at(self, references: Sequence[int], version: str, /) -> list[bytes]:
        """Return the JSON of contacts, in the form of an API version."""


class LaggedIndex:
    """The index of one date. Contacts can change while another thread makes it.

    Args:
        source: the contacts.
        field: the date.
        hidden: contacts that never appear.
        late: changes that have not appeared yet.
    """

    def __init__(self, source: Searchable, field: DateField, hidden: frozenset[int], late: Iterable[Change]) -> None:
        self._source, self._field, self._hidden = source, field, hidden
        self._pending = list(late)
        heapify(self._pending)
        # The date in the index of each contact that changed. A contact with a late change is not in the index yet.
        self._dates: dict[int, int | None] = dict.fromkeys(reference for _, reference in self._pending)
        self._left_out = hidden.union(self._dates)
        self._read = source.dates(field)
        self._index: DateIndex | None = None
        self._making = threading.Lock()

    @property
    def is_made(self) -> bool:
        """Whether the index exists."""
        return self._index is not None

    def index(self) -> DateIndex:
        """Return the index. The first call makes it, in seconds for millions of contacts; other threads wait."""
        with self._making:
            if self._index is None:
                self._index = self._make()
            return self._index

    def _make(self) -> DateIndex:
        stamps, references = self._read()
        del self._read  # with its copy of the contacts
        if self._left_out:
            kept = [place for place, reference in enumerate(references) if reference not in self._left_out]
            stamps, references = [stamps[place] for place in kept], [references[place] for place in kept]
        return DateIndex(stamps, references, self._source.ids_at)

    def before_change(self, reference: int) -> None:
        """Record the date of a contact that is about to be inserted, updated or removed."""
        self._dates.setdefault(reference, self._source.date_of(reference, self._field))

    def after_change(self, change: Change) -> None:
        """Record a change."""
        heappush(self._pending, change)

    def apply_changes(self, now: float) -> bool:
        """Move the contacts whose changes appear now; return whether there were any."""
        due = []
        while self._pending and self._pending[0][0] <= now:
            due.append(heappop(self._pending)[1])
        for reference in due:
            if reference not in self._hidden:
                self._move(reference, self.index())
        return bool(due)

    def _move(self, reference: int, index: DateIndex) -> None:
        before, stamp = self._dates.get(reference), self._source.date_of(reference, self._field)
        if before is not None:
            index.remove(before, reference)
        if stamp is not None:
            index.add(stamp, reference)
        self._dates[reference] = stamp

    def position_of(self, reference: int) -> int | None:
        """Return the position of a contact in the index; None if it is not there."""
        stamp = self._dates.get(reference, self._source.date_of(reference, self._field))
        return None if stamp is None else self.index().find(stamp, reference)
