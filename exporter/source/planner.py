"""How a workspace is cut into ranges of creation dates, by counting contacts."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

import anyio

from exporter.layout.plan import PlanUnit, Range
from exporter.tasks import collapse_exception_groups, for_each

CountSecond: TypeAlias = Callable[[int], Awaitable[int]]
"""Counts the contacts after the second before a time and before the second after it."""

CountRange: TypeAlias = Callable[[Range], Awaitable[int | None]]
"""Counts the contacts of a range; None if the API refuses its query."""

_RANGES_PER_CURSOR = 8
_MIN_RANGES_PER_CURSOR = 4
_SMALL_CONTACTS = 3_000
_MIN_CONTACTS, _MAX_CONTACTS = 1_500, 30_000
_WAYS = 16
_FILL = 0.8
"""A range is cut so that its parts have about this share of the wanted size, if its contacts are evenly distributed."""

_SHARE, _MIN_COUNTS = 1 / 16, 16
"""At most this share of the requests for all pages is spent on cutting to the wanted size (twice as many where there
would be fewer ranges than cursors); as many again on ranges that are still much larger, and on days with many
contacts."""

_MAX_COUNTS = 20_000
"""For 48 million contacts, with 150 a page. A server may report any number."""

_REST = 0.1
"""A round of counts takes as long as a page, however few they are: it is not begun for so small a share of them."""

_OUTLIER = 3
"""A range with so many times the wanted contacts would keep one cursor busy while the others have ended."""

_AT_ONCE = 128
"""Counts at once: as many as the maximum of cursors, which the caller limits further."""

_DAY_S = 86_400
_LONG_S = 4 * _WAYS * _DAY_S
_HOT = 4
"""A day is cut by ids if it has this many times the wanted contacts: each part costs a page that is not full."""

_DIGITS = "0123456789abcdef"
_MIN_HOT = 5
"""So many days are cut by ids even if the counts are used up."""


@dataclass(frozen=True, slots=True)
class Extent:
    """All contacts of a workspace.

    Attributes:
        contacts: their number.
        oldest: when the first one was created, in UNIX seconds.
        newest: when the latest one was created.
    """

    contacts: int
    oldest: int
    newest: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The result of planning.

    Attributes:
        by: how the ranges are cut.
        ranges: in order of time.
        uncut: number of ranges that could not be cut although they have many contacts.
    """

    by: PlanUnit
    ranges: tuple[Range, ...]
    uncut: int


def wanted_contacts(contacts: int, cursors: int) -> int:
    """Return the number of contacts above which a range is cut.

    Each range costs a count, and a last page that is half empty on average. So ranges below 3,000 contacts are made
    only if there would otherwise be fewer than four for each cursor: then all cursors end at about the same time.
    """
    small = min(_SMALL_CONTACTS, contacts / (_MIN_RANGES_PER_CURSOR * cursors))
    return int(min(max(contacts / (_RANGES_PER_CURSOR * cursors), small, _MIN_CONTACTS), _MAX_CONTACTS))


def affordable_counts(contacts: int, per_page: int, cursors: int) -> int:
    """Return how many counts each step of a plan may need."""
    pages = min(contacts / per_page, _MAX_COUNTS / _SHARE)
    return max(int(pages * _SHARE), min(cursors, int(pages * 2 * _SHARE)), _MIN_COUNTS)


class Planner:
    """Cuts a workspace into ranges, which depend on the counts and on the arguments, and on nothing else.

    Args:
        count: counts the contacts of a range; called for many ranges at once.
        count_second: counts the contacts at a time.
        extent: all contacts.
        wanted: number of contacts above which a range is cut; see `wanted_contacts`.
        counts: how many counts each step may need; see `affordable_counts`.
    """

    def __init__(self, count: CountRange, count_second: CountSecond, extent: Extent, wanted: int, counts: int) -> None:
        self._count = count
        self._count_second = count_second
        self._extent = extent
        self._wanted = wanted
        self._counts = counts
        self._has_days = False
        self._knows_unit = anyio.Event()
        self._uncut = 0

    async def cut(self) -> Cut:
        """Cut the workspace by creation dates, then days with many contacts by ids.

        Raises:
            SourceError: a count failed.
        """
        ranges = [Range(None, None, "", self._extent.contacts)]
        if self._extent.contacts > self._wanted:
            with collapse_exception_groups():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._find_out_unit)
                    for limit in (self._wanted, _OUTLIER * self._wanted):
                        ranges = await self._cut_by_dates(ranges, limit)
            ranges = await self._cut_by_ids(ranges)
        ranges = list(self._merged(ranges))
        unit: PlanUnit = "day" if self._has_days else "second"
        by_id: PlanUnit = "day+id" if self._has_days else "second+id"
        return Cut(by_id if any(one.id_suffix for one in ranges) else unit, tuple(ranges), self._uncut)

    async def _find_out_unit(self) -> None:
        """Find out whether a date stands for a whole day, while long ranges are cut already.

        Later than the second before a contact's creation and earlier than the second after it is that contact,
        unless dates are days: then ``>`` begins after that day and ``<`` ends before it, and nothing matches. Two
        contacts are asked for, since one may be deleted at this moment.
        """
        found: list[int] = []

        async def count(stamp: int) -> None:
            found.append(await self._count_second(stamp))

        await for_each({self._extent.oldest, self._extent.newest}, count)
        self._has_days = not any(found)
        self._knows_unit.set()

    async def _cut_by_dates(self, ranges: list[Range], limit: int) -> list[Range]:
        """Cut each range with more contacts than a limit, again and again, with the counts that one limit may need."""
        finished: list[Range] = []
        left = self._counts
        while ranges:
            if not all(map(self._is_long, ranges)):
                await self._knows_unit.wait()
            ranges.sort(key=lambda one: -one.expected)
            parts = [self._parts_of(one) if one.expected > limit else 1 for one in ranges]
            wanted = sum(parts) - len(parts)
            share = min(left / wanted, 1.0) if wanted else 0.0
            cuttable: list[tuple[Range, list[int]]] = []
            for one, number in zip(ranges, parts, strict=True):
                # Where the counts do not suffice, each range gets its share of them, and the largest ones at least one.
                cuts = min(max(int((number - 1) * share), 1), number - 1, left)
                if boundaries := self._boundaries(one, cuts + 1):
                    left -= len(boundaries)
                    cuttable.append((one, boundaries))
                else:
                    finished.append(one)
            ranges = await self._cut_at(cuttable)
            if left < self._counts * _REST:  # not worth the time of another round
                left = 0
        return sorted(finished, key=_in_time)

    def _parts_of(self, one: Range) -> int:
        """Return into how many parts to cut a range, so that they have the wanted size if they are equal."""
        return min(max(round(one.expected / (self._wanted * _FILL)), 2), _WAYS)

    def _boundaries(self, one: Range, parts: int = 2) -> list[int]:
        """Return the dates at which to cut a range, evenly spaced; none if it is a single day or second."""
        step = _DAY_S if self._has_days or self._is_long(one) else 1
        low, high = self._limits(one)
        first, last = low // step + 1, (high - 1) // step
        parts = min(parts, last - first + 2)
        steps = sorted({first - 1 + (last - first + 2) * part // parts for part in range(1, parts)})
        return [number * step for number in steps if low < number * step < high]

    def _limits(self, one: Range) -> tuple[int, int]:
        """Return the first second of a range, and the one after its last."""
        low = self._extent.oldest if one.start is None else one.start
        return low, self._extent.newest + 1 if one.end is None else one.end

    def _is_long(self, one: Range) -> bool:
        """Return whether a range is cut at days in any case."""
        low, high = self._limits(one)
        return high - low > _LONG_S

    async def _cut_at(self, cuts: Sequence[tuple[Range, list[int]]]) -> list[Range]:
        """Return the parts of ranges, counted. The last part is the rest of its range."""
        parts = [
            [replace(one, start=start, end=end) for start, end in pairwise([one.start, *boundaries, one.end])]
            for one, boundaries in cuts
        ]
        counts = iter(await self._counted([part for group in parts for part in group[:-1]]))
        result: list[Range] = []
        uncertain: list[Range] = []
        for (one, _), group in zip(cuts, parts, strict=True):
            counted = [replace(part, expected=next(counts) or 0) for part in group[:-1]]
            rest = one.expected - sum(part.expected for part in counted)
            result += counted
            (result if rest >= 0 else uncertain).append(replace(group[-1], expected=max(rest, 0)))
        # Contacts were created or deleted between two counts: then the last part is counted itself.
        recounted = await self._counted(uncertain)
        return result + [replace(one, expected=number or 0) for one, number in zip(uncertain, recounted, strict=True)]

    async def _cut_by_ids(self, ranges: list[Range]) -> list[Range]:
        """Cut days, or seconds, with many contacts by the last digits of the ids."""
        result: list[Range] = []
        hot = [one for one in ranges if self._is_hot(one) and not self._boundaries(one)]
        affordable = max(self._counts // len(_DIGITS), _MIN_HOT)
        self._uncut = max(len(hot) - affordable, 0)
        parts = await self._parts_by_id(sorted(hot, key=lambda one: -one.expected)[:affordable])
        for one in ranges:
            result += parts.get((one.start, one.end), [one])
        return result

    async def _parts_by_id(self, hot: Sequence[Range]) -> dict[tuple[int | None, int | None], list[Range]]:
        """Return the parts of each range whose parts add up to all of its contacts."""
        found: dict[tuple[int | None, int | None], list[Range]] = {}

        async def cut(one: Range) -> None:
            parts = await self._by_next_digit(one)
            if len(parts) > 1:
                smaller = [await self._by_next_digit(part) if self._is_hot(part) else [part] for part in parts]
                parts = [part for group in smaller for part in group]
            found[one.start, one.end] = parts

        await for_each(hot, cut)
        self._uncut += sum(len(parts) == 1 for parts in found.values())
        return found

    def _is_hot(self, one: Range) -> bool:
        return one.expected > _HOT * self._wanted

    async def _by_next_digit(self, one: Range) -> list[Range]:
        """Return 16 parts of a range by one more digit; the range itself if they do not add up to it.

        Contacts may be created meanwhile: the range is counted before and after its parts.
        """
        parts = [replace(one, id_suffix=digit + one.id_suffix) for digit in _DIGITS]
        before = await self._count(one)
        counts = await self._counted(parts)
        after = await self._count(one)
        if before is None or after is None or None in counts:
            return [one]
        counted = [replace(part, expected=number or 0) for part, number in zip(parts, counts, strict=True)]
        total = sum(part.expected for part in counted)
        adds_up = min(before, after) <= total <= max(before, after)
        # The ids may be of another kind: then all or nothing matches a digit.
        is_useful = max(part.expected for part in counted) < total
        return counted if adds_up and is_useful else [one]

    async def _counted(self, ranges: Sequence[Range]) -> list[int | None]:
        """Count many ranges at once."""
        counts: list[int | None] = [None] * len(ranges)

        async def count(place: int) -> None:
            counts[place] = await self._count(ranges[place])

        await for_each(range(len(ranges)), count, _AT_ONCE)
        return counts

    def _merged(self, ranges: Sequence[Range]) -> Iterator[Range]:
        """Yield the ranges; neighbours become one while it has no more contacts than wanted."""
        last: Range | None = None
        for one in ranges:
            if last is not None and self._belong_together(last, one):
                last = replace(last, end=one.end, expected=last.expected + one.expected)
                continue
            if last is not None:
                yield last
            last = one
        if last is not None:
            yield last

    def _belong_together(self, first: Range, second: Range) -> bool:
        if first.id_suffix or second.id_suffix:
            return False
        is_empty = not first.expected or not second.expected
        return is_empty or first.expected + second.expected <= self._wanted


def _in_time(one: Range) -> int:
    return -1 if one.start is None else one.start
