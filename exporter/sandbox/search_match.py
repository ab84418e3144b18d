"""Which contacts a filter of a search matches: spans of time for dates, comparisons for everything else. Pure."""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, reduce
from math import inf
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from exporter.sandbox.search_query import CUSTOM, DATES, Condition, Filter, Group, Precision

Span: TypeAlias = tuple[float, float]
"""Times from the first up to, but not including, the second, in UNIX seconds."""

EVER: tuple[Span, ...] = ((-inf, inf),)
_FIRST_DAY, _LAST_DAY = date.min.toordinal() + 1, date.max.toordinal() - 1
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class DateRules:
    """How dates of one workspace match.

    Attributes:
        zone: the workspace's time zone.
        precision: whether dates match by day in this zone, or by second.
    """

    zone: ZoneInfo
    precision: Precision

    def spans(self, condition: Condition) -> tuple[Span, ...]:
        """Return the times that a condition on a date matches."""
        values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        whole = [self._unit(value) for value in values]
        first, end = whole[0] if whole else (0.0, 0.0)
        match condition.operator:
            case "=" | "IN":
                return union(whole)
            case "!=" | "NIN":
                return complement(union(whole))
            case ">":
                return ((end, inf),)
            case ">=":
                return ((first, inf),)
            case "<":
                return ((-inf, first),)
            case "<=":
                return ((-inf, end),)
        raise AssertionError(condition.operator)

    def _unit(self, value: int) -> Span:
        """Return the day or the second of a time."""
        return (value, value + 1) if self.precision == "second" else day_of(value, self.zone)


@lru_cache(4096)
def day_of(value: int, zone: ZoneInfo) -> Span:
    """Return the day of a time in a time zone: from its first second up to that of the next day."""
    ordinal = min(max(_EPOCH_DAY + value // _DAY_S, _FIRST_DAY), _LAST_DAY)
    if ordinal in (_FIRST_DAY, _LAST_DAY):  # beyond the calendar of Python
        return (value - value % _DAY_S, value - value % _DAY_S + _DAY_S)
    day = datetime.fromtimestamp(value, UTC).astimezone(zone).date()
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def _midnight(day: date, zone: ZoneInfo) -> float:
    """Return the first second of a day. Where clocks skip midnight, the day begins later."""
    return datetime.combine(day, time(), zone).timestamp()


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the times in at least one span: in order, without overlaps."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return tuple(joined)


def complement(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return the times outside of all spans, which must be in order and without overlaps."""
    edges = [-inf, *(edge for span in spans for edge in span), inf]
    return union(zip(edges[::2], edges[1::2], strict=True))


def intersection(first: tuple[Span, ...], second: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return the times in both."""
    return union((max(a, c), min(b, d)) for a, b in first for c, d in second)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The contacts that a filter can match, for a search in an index of one date.

    Attributes:
        spans: the times of that date that can match.
        rest: further filters that must match; empty if the spans are exact.
    """

    spans: tuple[Span, ...]
    rest: tuple[Filter, ...] = ()


def candidates(query: Filter | None, field: str, dates: DateRules) -> Candidates:
    """Return the contacts that a filter can match, by their date in one field."""
    if query is None:
        return Candidates(EVER)
    if isinstance(query, Condition):
        return Candidates(dates.spans(query)) if query.field == field else Candidates(EVER, (query,))
    parts = [candidates(one, field, dates) for one in query.filters]
    if query.operator == "AND":
        spans = reduce(intersection, (one.spans for one in parts))
        return Candidates(spans, tuple(rest for one in parts for rest in one.rest))
    spans = union(span for one in parts for span in one.spans)
    return Candidates(spans, (query,) if any(one.rest for one in parts) else ())


def matches(query: Filter, contact: Mapping[str, Any], dates: DateRules) -> bool:
    """Return whether a decoded contact matches a filter."""
    if isinstance(query, Group):
        results = (matches(one, contact, dates) for one in query.filters)
        return all(results) if query.operator == "AND" else any(results)
    if query.field in DATES:
        stamp = contact.get(query.field)
        return isinstance(stamp, int) and any(a <= stamp < b for a, b in dates.spans(query))
    return _compare(query.operator, _values(contact, query.field), query.value)


def _values(contact: Mapping[str, Any], field: str) -> list[Any]:
    """Return the values of a field; tags have several."""
    if field == "tag_id":
        tags = (contact.get("tags") or {}).get("data", ())
        return [tag.get("id") for tag in tags]
    if field.startswith(CUSTOM):
        return [_text((contact.get("custom_attributes") or {}).get(field.removeprefix(CUSTOM)))]
    value: Any = contact
    for key in field.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if field == "owner_id":
        return [int(value) if isinstance(value, str) and value.isdecimal() else value]
    return [value if isinstance(value, bool) else _text(value)]


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


_OPPOSITES = {"!=": "=", "NIN": "IN", "!~": "~"}
_NUMBER_TESTS: dict[str, Callable[[int, int], bool]] = {">": operator.gt, "<": operator.lt}
_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "~": str.__contains__,
    "^": str.startswith,
    "$": str.endswith,
}


def _compare(name: str, values: list[Any], wanted: Any) -> bool:
    """Return whether one of a field's values has the wanted relation to the value of a condition."""
    if name in _OPPOSITES:
        return not _compare(_OPPOSITES[name], values, wanted)
    if name == "=":
        return wanted in values if values else wanted is None
    if name == "IN":
        return any(value in wanted for value in values)
    if name in _NUMBER_TESTS:
        return any(isinstance(value, int) and _NUMBER_TESTS[name](value, wanted) for value in values)
    texts = (value.lower() for value in values if isinstance(value, str))
    return isinstance(wanted, str) and any(_TEXT_TESTS[name](text, wanted.lower()) for text in texts)
