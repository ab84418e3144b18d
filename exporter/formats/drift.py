"""Whether contacts are as the schema has them. One that is not is written all the same, and counted."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Annotated, Any

import msgspec

from exporter.formats.columns import is_subpath
from exporter.formats.schema import CONTACT_FIELDS, Field
from exporter.rawjson.objects import RawObject, items_of

Drift = Counter[tuple[str, str]]
"""In how many contacts a field, named by its path, was of another kind than the schema says.

The kind is the JSON type that it had instead; ``unknown`` where the schema has
no such field, ``out_of_range`` where a number cannot be what it is said to be.
"""

FIRST_TIMESTAMP, LAST_TIMESTAMP = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999, as calendars have them."""

TYPES: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "timestamp": Annotated[int, msgspec.Meta(ge=FIRST_TIMESTAMP, le=LAST_TIMESTAMP)],
}
_KNOWN = {field.path: field for field in CONTACT_FIELDS}
_MAX_EXEMPT_PATHS = 50
_NAME = re.compile(r'[^"\\\x00-\x1f]+')  # what msgspec takes for the name of a member
_MAX_PATH_CHARACTERS = 100
_WHOLE_CONTACT = "(contact)"


class DriftDetector:
    """Looks at contacts as they come.

    What is as the schema says is seen at the speed of a parser. Fields that once
    were not are looked at one by one from then on, so that a workspace where
    every contact has a new one takes hardly longer.
    """

    def __init__(self) -> None:
        self._view = _whole_schema()

    def check(self, records: Sequence[bytes]) -> Drift:
        """Count what is not as the schema has it.

        Args:
            records: JSON of contacts, as the API sent it.
        """
        found: Drift = Counter()
        for record in records:
            try:
                misfits = set(self._view.mismatches(record))
            except (msgspec.DecodeError, RecursionError):  # why, the slower look tells: it may be a lone surrogate
                misfits = set(_mismatches_in(record))
                self._view = self._view.exempting(misfits)
            found.update(misfits)
        return found


class _Anything(msgspec.Struct):
    """An object of whose members nothing is known."""


class _SchemaDecoder:
    """The schema as types for the parser, but for some fields that are looked at one by one.

    Args:
        looks: the paths of those fields, known or not.
    """

    def __init__(self, exempt_paths: Sequence[str]) -> None:
        self._exempt_paths = exempt_paths
        unknown = (Field(path, "string", "") for path in exempt_paths if path not in _KNOWN)
        self._fields = (*CONTACT_FIELDS, *unknown)
        self._attributes = {field.path: f"member_{number}" for number, field in enumerate(self._fields)}
        self._decode = msgspec.json.Decoder(self._object("")).decode
        self._steps = [(path, [self._attributes[above] for above in _ancestors(path)]) for path in exempt_paths]

    def mismatches(self, record: bytes) -> Iterator[tuple[str, str]]:
        """Find what does not fit.

        Raises:
            msgspec.DecodeError, RecursionError: there is something else.
        """
        contact = self._decode(record)
        for path, steps in self._steps:
            for value in _values(contact, steps):
                if path in _KNOWN:
                    yield from _mismatches_of(value, _KNOWN[path])
                else:
                    yield path, "unknown"

    def exempting(self, mismatches: Iterable[tuple[str, str]]) -> "_SchemaDecoder":
        """Make one that looks at these too, as long as they are not too many."""
        looks = list(self._exempt_paths)
        for path, kind in sorted(mismatches):
            above = path.rpartition(".")[0]
            can_be = path in _KNOWN or (kind == "unknown" and _NAME.fullmatch(path) and (not above or _children(above)))
            if can_be and len(looks) < _MAX_EXEMPT_PATHS and not any(is_subpath(path, look) for look in looks):
                looks = [*(look for look in looks if not is_subpath(look, path)), path]
        return _SchemaDecoder(looks) if looks != self._exempt_paths else self

    def _object(self, parent: str) -> Any:
        """Make the type of an object in which nothing else is allowed."""
        members = [
            (self._attributes[field.path], self._type_of(field), msgspec.field(name=field.name, default=None))
            for field in self._fields
            if field.parent == parent
        ]
        return msgspec.defstruct("Object", members, forbid_unknown_fields=True, gc=False) if members else _Anything

    def _type_of(self, field: Field) -> Any:
        if field.path in self._exempt_paths:
            return msgspec.Raw
        if field.type == "object":
            kind = self._object(field.path)
        elif field.type == "list":
            kind = list[self._object(field.path)]  # type: ignore[misc]
        else:
            kind = TYPES[field.type]
        for other in field.alternative_types:
            kind |= TYPES[other]
        return kind | None if field.nullable else kind


@cache
def _whole_schema() -> _SchemaDecoder:
    """Return the view in which no field is looked at one by one: making its types takes milliseconds."""
    return _SchemaDecoder(())


def _ancestors(path: str) -> list[str]:
    """Give the paths of the fields that lead to one, itself included."""
    keys = path.split(".")
    return [".".join(keys[:length]) for length in range(1, len(keys) + 1)]


def _values(value: Any, steps: Sequence[str]) -> Iterator[bytes]:
    """Find the values at the end of some steps; several where these lead through a list."""
    for number, step in enumerate(steps):
        if isinstance(value, list):
            for item in value:
                yield from _values(item, steps[number:])
            return
        if value is None:
            return
        value = getattr(value, step)
    if value is not None:
        yield bytes(value)


@cache
def _children(parent: str) -> dict[str, Field]:
    return {field.name: field for field in CONTACT_FIELDS if field.parent == parent}


def _mismatches_in(record: bytes) -> Iterator[tuple[str, str]]:
    try:
        yield from _mismatches(record, "")
    except ValueError:
        yield _WHOLE_CONTACT, "too_deep"


def _mismatches(value: bytes, parent: str) -> Iterator[tuple[str, str]]:
    """Find what does not fit in an object."""
    members, known = RawObject.parse(value), _children(parent)
    for key, places in members.positions.items():
        if key in known:  # of a repeated one the last counts, as to any parser
            yield from _mismatches_of(members.value(places[-1]), known[key])
        else:
            yield truncate_path(f"{parent}.{key}" if parent else key), "unknown"


def _mismatches_of(value: bytes, field: Field) -> Iterator[tuple[str, str]]:
    """Find what does not fit in the value of a field."""
    kind = _kind_of(value)
    if kind == "null" and field.nullable:
        return
    if kind not in ("integer" if field.type == "timestamp" else field.type, *field.alternative_types):
        yield field.path, kind
    elif kind == "integer" and not _in_range(value, field):
        yield field.path, "out_of_range"
    elif kind == "object" and _children(field.path):
        yield from _mismatches(value, field.path)
    elif kind == "list":
        for item in items_of(value):
            if (kind := _kind_of(item)) == "object":
                yield from _mismatches(item, field.path)
            else:
                yield field.path, f"list of {kind}"


_KINDS = {b"{": "object", b"[": "list", b'"': "string", b"t": "boolean", b"f": "boolean", b"n": "null"}


def _kind_of(value: bytes) -> str:
    """Name the JSON type of a value; of numbers only those without a fraction or exponent are integers."""
    return _KINDS.get(value[:1]) or ("number" if any(mark in value for mark in (b".", b"e", b"E")) else "integer")


def _in_range(value: bytes, field: Field) -> bool:
    try:
        msgspec.json.decode(value, type=TYPES[field.type])
    except msgspec.DecodeError:
        return False
    return True


def truncate_path(path: str) -> str:
    """Make a path that anybody may have made up fit for a manifest."""
    path = path if len(path) <= _MAX_PATH_CHARACTERS else f"{path[:_MAX_PATH_CHARACTERS]}…"
    return path.encode(errors="backslashreplace").decode()
