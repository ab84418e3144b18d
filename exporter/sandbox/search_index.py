"""An index of contacts by one of their dates, so that a search reads only what it returns."""

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from math import inf

from exporter.sandbox.search_match import Span

_CACHED_SPANS = 8
_RUN = 16_384  # dates that are sorted in one call
_SAMPLED = 64  # one of so many dates is in the sample that divides them into parts


class DateIndex:
    """Contacts in the order of one of their dates; contacts of the same second in the order of their ids.

    It takes sixteen bytes per contact. A position in the index is valid until
    the next change.

    Args:
        stamps: the date of each contact, in UNIX seconds.
        references: for each contact, the number by which its source finds it.
        ids_of: function that returns the ids of contacts, by these numbers.
    """

    def __init__(
        self, stamps: Sequence[int], references: Sequence[int], ids_of: Callable[[Sequence[int]], list[str]]
    ) -> None:
        self._ids_of = ids_of
        self._stamps, self._references = array("q"), array("Q")
        for places in _places_in_order(stamps):
            part_stamps, part = [stamps[place] for place in places], [references[place] for place in places]
            for stamp in {first for first, second in pairwise(part_stamps) if first == second}:
                start, end = bisect_left(part_stamps, stamp), bisect_right(part_stamps, stamp)
                same = part[start:end]
                part[start:end] = [reference for _, reference in sorted(zip(ids_of(same), same, strict=True))]
            self._stamps.extend(part_stamps)
            self._references.extend(part)
        self._by_suffix: OrderedDict[tuple[int, int], dict[str, array[int]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stamps)

    def positions(self, span: Span) -> range:
        """Return the positions of the contacts within a span of time."""
        return range(bisect_left(self._stamps, span[0]), bisect_left(self._stamps, span[1]))

    def positions_by_suffix(self, positions: range) -> "dict[str, array[int]]":
        """Return positions by the last character of the contact's id; each group is in order."""
        key = (positions.start, positions.stop)
        if (found := self._by_suffix.get(key)) is None:
            groups: defaultdict[str, array[int]] = defaultdict(lambda: array("Q"))
            for position, contact_id in zip(positions, self._ids_of(self.references(positions)), strict=True):
                groups[contact_id[-1:]].append(position)
            self._by_suffix[key] = found = dict(groups)
            if len(self._by_suffix) > _CACHED_SPANS:
                self._by_suffix.popitem(last=False)
        return found

    def position_of(self, stamp: int, contact_id: str) -> int:
        """Return the position of the contact with this date and this id, or of the next one if it is gone."""
        first, end = bisect_left(self._stamps, stamp), bisect_right(self._stamps, stamp)
        return bisect_left(self._references, contact_id, first, end, key=self._id_of)

    def position_after(self, stamp: int, contact_id: str) -> int:
        """Return the position of the first contact after one with this date and this id, which may be gone."""
        first, end = bisect_left(self._stamps, stamp), bisect_right(self._stamps, stamp)
        return bisect_right(self._references, contact_id, first, end, key=self._id_of)

    def references(self, positions: Iterable[int]) -> list[int]:
        """Return the numbers of the contacts at some positions."""
        return list(map(self._references.__getitem__, positions))

    def stamp(self, position: int) -> int:
        """Return the date of the contact at a position."""
        return self._stamps[position]

    def add(self, stamp: int, reference: int) -> None:
        """Add a contact."""
        position = self.position_after(stamp, self._id_of(reference))
        self._stamps.insert(position, stamp)
        self._references.insert(position, reference)
        self._by_suffix.clear()

    def remove(self, stamp: int, reference: int) -> None:
        """Remove a contact; do nothing if it is not in the index with this date."""
        position = self.find(stamp, reference)
        if position is not None:
            del self._stamps[position], self._references[position]
            self._by_suffix.clear()

    def find(self, stamp: int, reference: int) -> int | None:
        """Return the position of a contact with this date; None if it is not in the index with it."""
        position = self.position_of(stamp, self._id_of(reference))
        found = position < len(self) and (self._stamps[position], self._references[position]) == (stamp, reference)
        return position if found else None

    def _id_of(self, reference: int) -> str:
        return self._ids_of((reference,))[0]


def _places_in_order(stamps: Sequence[int]) -> Iterator[list[int]]:
    """Yield the places of all dates in the order of the dates, some thousands at once.

    Equal dates are in the same part. To sort all dates in one call would block other threads, for half a second per
    million.
    """
    date_of = stamps.__getitem__
    runs = [sorted(range(len(stamps))[start : start + _RUN], key=date_of) for start in range(0, len(stamps), _RUN)]
    ends = [0] * len(runs)
    for limit in (*sorted(stamps[::_SAMPLED])[_SAMPLED::_SAMPLED], inf):
        places: list[int] = []
        for number, run in enumerate(runs):
            start, ends[number] = ends[number], bisect_left(run, limit, ends[number], key=date_of)
            places += run[start : ends[number]]
        places.sort(key=date_of)
        yield places
