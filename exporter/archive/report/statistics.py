"""What is in an export, counted: no value of a contact is kept but roles, months and countries."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from exporter.formats.columns import CUSTOM

MAX_DISTINCT = 100
"""So many different values of a field are told apart."""

_MAX_FIELDS = 1_000
_MOST_COUNTRIES, _MOST_ROLES = 500, 20
_MAX_LABEL_CHARACTERS = 60
_DAY_S = 86_400
_MAX_DAY = 60_000  # in the year 2134
OTHERS = "(others)"
UNKNOWN = "(none)"


@dataclass(slots=True)
class FieldStatistics:
    """How a field is filled.

    Attributes:
        filled: contacts in which it is neither missing nor null nor empty.
        kinds: JSON types of what it is filled with, and how often.
        distinct: hashes of different values, the first hundred; none of lists and objects.
    """

    filled: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    distinct: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Statistics:
    """Counts contacts.

    Attributes:
        contacts: how many.
        roles, months, countries: how many of each; months as ``2024-05``.
        fields: by path, in the order in which they came; of a field within an object ``location.country``.
    """

    contacts: int = 0
    roles: Counter[str] = field(default_factory=Counter)
    months: Counter[str] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)
    fields: dict[str, FieldStatistics] = field(default_factory=dict)
    _days: Counter[int | None] = field(default_factory=Counter)

    def add(self, contact: Mapping[str, Any]) -> None:
        """Count a contact."""
        self.contacts += 1
        _count(self.roles, contact.get("role"), _MOST_ROLES)
        location = contact.get("location")
        _count(self.countries, location.get("country") if isinstance(location, dict) else None, _MOST_COUNTRIES)
        self._days[_day_of(contact.get("created_at"))] += 1
        for path, value in _leaves(contact):
            self._fill(path, value)

    def finalise(self) -> None:
        """Sum up, once all are counted."""
        for day, count in self._days.items():
            self.months[UNKNOWN if day is None else _month_of(day)] += count
        self._days.clear()

    def _fill(self, path: str, value: Any) -> None:
        tally = self.fields.get(path)
        if tally is None:
            if len(self.fields) >= _MAX_FIELDS:
                path = OTHERS
            tally = self.fields.setdefault(path, FieldStatistics())
        kind = _KINDS.get(type(value))
        if kind is None or (not value and kind in _MAY_BE_EMPTY):
            return
        tally.filled += 1
        tally.kinds[kind] += 1
        if kind in _SCALARS and len(tally.distinct) < MAX_DISTINCT:
            tally.distinct.add(hash((kind, str(value))))  # -1 and -2 have the same hash, but as text


_KINDS = {
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "list",
    dict: "object",
}
"""What a value is called; null is none."""

_MAY_BE_EMPTY = ("text", "list", "object")
_SCALARS = ("text", "boolean", "integer", "number")


def _leaves(contact: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give each field and its value; of an object those within it, of an embedded list its members."""
    for name, value in contact.items():
        if type(value) is not dict:
            yield name, value
        elif value.get("type") == "list" and name != CUSTOM:  # where names are anybody's
            yield name, value.get("data")
        else:
            for key, inner in value.items():
                is_list = type(inner) is dict and inner.get("type") == "list"
                yield f"{name}.{key}", inner.get("data") if is_list else inner


def _count(counter: Counter[str], value: Any, limit: int) -> None:
    label = value[:_MAX_LABEL_CHARACTERS] if isinstance(value, str) and value else UNKNOWN
    counter[label if label in counter or len(counter) < limit else OTHERS] += 1


def _day_of(moment: Any) -> int | None:
    """Count the days from 1970 to a moment in UNIX seconds; None for what is none."""
    if type(moment) is not int:
        return None
    day = moment // _DAY_S
    return day if 0 <= day <= _MAX_DAY else None


def _month_of(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY_S, UTC).strftime("%Y-%m")
