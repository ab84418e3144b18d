"""Statistics of the contacts in an export. They keep no values of contacts except roles, months and countries."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from exporter.formats.columns import CUSTOM

MAX_DISTINCT = 100
"""The maximum number of different values that are counted per field."""

_MAX_FIELDS = 1_000
_MAX_COUNTRIES, _MAX_ROLES = 500, 20
_MAX_LABEL_CHARACTERS = 60
_DAY_S = 86_400
_MAX_DAY = 60_000  # days since 1970: in the year 2134
OTHERS = "(others)"
UNKNOWN = "(none)"


@dataclass(slots=True)
class FieldStatistics:
    """The statistics of one field.

    Attributes:
        filled: number of contacts in which the field is neither missing nor null nor empty.
        kinds: the JSON types of its values, with their numbers.
        distinct: hashes of the first hundred different values; not of lists and objects.
    """

    filled: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    distinct: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Statistics:
    """The statistics of an export.

    Attributes:
        contacts: number of contacts.
        roles, months, countries: number of contacts by role, month of creation and country; months as ``2024-05``.
        fields: the statistics of each field by path, in the order of the contacts; a path is ``name`` or
            ``location.country``.
    """

    contacts: int = 0
    roles: Counter[str] = field(default_factory=Counter)
    months: Counter[str] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)
    fields: dict[str, FieldStatistics] = field(default_factory=dict)
    _days: Counter[int | None] = field(default_factory=Counter)

    def add(self, contact: Mapping[str, Any]) -> None:
        """Add a contact."""
        self.contacts += 1
        _count(self.roles, contact.get("role"), _MAX_ROLES)
        location = contact.get("location")
        _count(self.countries, location.get("country") if isinstance(location, dict) else None, _MAX_COUNTRIES)
        self._days[_day_of(contact.get("created_at"))] += 1
        for path, value in _leaves(contact):
            self._fill(path, value)

    def finalise(self) -> None:
        """Compute the months, after all contacts were added."""
        for day, count in self._days.items():
            self.months[UNKNOWN if day is None else _month_of(day)] += count
        self._days.clear()

    def _fill(self, path: str, value: Any) -> None:
        field = self.fields.get(path)
        if field is None:
            if len(self.fields) >= _MAX_FIELDS:
                path = OTHERS
            field = self.fields.setdefault(path, FieldStatistics())
        kind = _KINDS.get(type(value))
        if kind is None or (not value and kind in _MAY_BE_EMPTY):
            return
        field.filled += 1
        field.kinds[kind] += 1
        if kind in _SCALARS and len(field.distinct) < MAX_DISTINCT:
            field.distinct.add(hash((kind, str(value))))  # -1 and -2 have the same hash, but as text


_KINDS = {
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "list",
    dict: "object",
}
"""The JSON type of a value by its Python type; null has none."""

_MAY_BE_EMPTY = ("text", "list", "object")
_SCALARS = ("text", "boolean", "integer", "number")


def _leaves(contact: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each field's path and value; for an object, those of its fields; for an embedded list, its items."""
    for name, value in contact.items():
        if type(value) is not dict:
            yield name, value
        elif value.get("type") == "list" and name != CUSTOM:  # a custom attribute may have any name, such as "type"
            yield name, value.get("data")
        else:
            for key, inner in value.items():
                is_list = type(inner) is dict and inner.get("type") == "list"
                yield f"{name}.{key}", inner.get("data") if is_list else inner


def _count(counter: Counter[str], value: Any, limit: int) -> None:
    label = value[:_MAX_LABEL_CHARACTERS] if isinstance(value, str) and value else UNKNOWN
    counter[label if label in counter or len(counter) < limit else OTHERS] += 1


def _day_of(moment: Any) -> int | None:
    """Return the number of days from 1970 to a UNIX timestamp, None if the value is not a plausible timestamp."""
    if type(moment) is not int:
        return None
    day = moment // _DAY_S
    return day if 0 <= day <= _MAX_DAY else None


def _month_of(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY_S, UTC).strftime("%Y-%m")
