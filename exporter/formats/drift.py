"""Detect schema drift: contacts that differ from the schema. They are still written, and counted."""

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
"""The number of contacts by field path and kind of difference.

The kind is the JSON type that the API sent instead of the schema's type;
``unknown`` for a field that the schema does not have, ``out_of_range`` for a
number that is no valid 64-bit integer or timestamp.
"""

FIRST_TIMESTAMP, LAST_TIMESTAMP = -62_135_596_800, 253_402_300_799
"""The first and last second of the years 1 to 9999, in UNIX time: the range of Python's calendar."""

TYPES: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "timestamp": Annotated[int, msgspec.Meta(ge=FIRST_TIMESTAMP, le=LAST_TIMESTAMP)],
}
_KNOWN = {field.path: field for field in CONTACT_FIELDS}
_MAX_EXEMPT_PATHS = 50
_NAME = re.compile(r'[^"\\\x00-\x1f]+')  # a member name that msgspec accepts
_MAX_PATH_CHARACTERS = 100
_WHOLE_CONTACT = "(contact)"


class DriftDetector:
    """A detector of schema drift in the contacts of one export.

    A typed parser checks contacts that match the schema. Once a field differs,
    the detector exempts it from the typed parser and checks it separately: a
    workspace in which every contact has a new field takes hardly longer.
    """

    def __init__(self) -> None:
        self._decoder = _whole_schema()

    def check(self, records: Sequence[bytes]) -> Drift:
        """Return the schema drift of some contacts.

        Args:
            records: JSON of contacts, as the API sent it.
        """
        drift: Drift = Counter()
        for record in records:
            try:
                mismatches = set(self._decoder.mismatches(record))
            except (msgspec.DecodeError, RecursionError):  # only the slow path knows why; maybe a lone surrogate
                mismatches = set(_mismatches_in(record))
                self._decoder = self._decoder.exempting(mismatches)
            drift.update(mismatches)
        return drift


class _Anything(msgspec.Struct):
    """An object whose members the schema does not list."""


class _SchemaDecoder:
    """The schema as types for the parser, without the exempt fields, which are checked one by one.

    Args:
        exempt_paths: paths of the exempt fields; the schema may have them or not.
    """

    def __init__(self, exempt_paths: Sequence[str]) -> None:
        self._exempt_paths = exempt_paths
        unknown = (Field(path, "string", "") for path in exempt_paths if path not in _KNOWN)
        self._fields = (*CONTACT_FIELDS, *unknown)
        self._attributes = {field.path: f"member_{number}" for number, field in enumerate(self._fields)}
        self._decode = msgspec.json.Decoder(self._object("")).decode
        self._steps = [(path, [self._attributes[step] for step in _ancestors(path)]) for path in exempt_paths]

    def mismatches(self, record: bytes) -> Iterator[tuple[str, str]]:
        """Yield path and kind of each difference in the exempt fields of a contact.

        Raises:
            msgspec.DecodeError, RecursionError: another field differs from the schema.
        """
        contact = self._decode(record)
        for path, steps in self._steps:
            for value in _values(contact, steps):
                if path in _KNOWN:
                    yield from _mismatches_of(value, _KNOWN[path])
                else:
                    yield path, "unknown"

    def exempting(self, mismatches: Iterable[tuple[str, str]]) -> "_SchemaDecoder":
        """Return a decoder that exempts these fields too, up to a maximum number of fields."""
        exempt = list(self._exempt_paths)
        for path, kind in sorted(mismatches):
            parent = path.rpartition(".")[0]
            is_new = kind == "unknown" and _NAME.fullmatch(path) and (not parent or _children(parent))
            can_be_exempt = path in _KNOWN or is_new
            if can_be_exempt and len(exempt) < _MAX_EXEMPT_PATHS and not any(is_subpath(path, one) for one in exempt):
                exempt = [*(one for one in exempt if not is_subpath(one, path)), path]
        return _SchemaDecoder(exempt) if exempt != self._exempt_paths else self

    def _object(self, parent: str) -> Any:
        """Return the type of an object that may have no other members than the known fields."""
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
    """Return the decoder without separately checked fields. It is cached: creating its types takes milliseconds."""
    return _SchemaDecoder(())


def _ancestors(path: str) -> list[str]:
    """Return the paths of the fields that lead to a field, the field itself included."""
    keys = path.split(".")
    return [".".join(keys[:length]) for length in range(1, len(keys) + 1)]


def _values(value: Any, steps: Sequence[str]) -> Iterator[bytes]:
    """Yield the values at the end of some steps; several values if the steps lead through a list."""
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
    """Yield path and kind of each difference in an object."""
    members, known = RawObject.parse(value), _children(parent)
    for key, positions in members.positions.items():
        if key in known:  # of a duplicate key the last value counts, as in other parsers
            yield from _mismatches_of(members.value(positions[-1]), known[key])
        else:
            yield truncate_path(f"{parent}.{key}" if parent else key), "unknown"


def _mismatches_of(value: bytes, field: Field) -> Iterator[tuple[str, str]]:
    """Yield path and kind of each difference in the value of a field."""
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
    """Return the JSON type of a value; a number with a fraction or exponent is no integer."""
    return _KINDS.get(value[:1]) or ("number" if any(sign in value for sign in (b".", b"e", b"E")) else "integer")


def _in_range(value: bytes, field: Field) -> bool:
    try:
        msgspec.json.decode(value, type=TYPES[field.type])
    except msgspec.DecodeError:
        return False
    return True


def truncate_path(path: str) -> str:
    """Return a path in a form that a manifest can hold: short and valid UTF-8. Untrusted input may have any keys."""
    path = path if len(path) <= _MAX_PATH_CHARACTERS else f"{path[:_MAX_PATH_CHARACTERS]}…"
    return path.encode(errors="backslashreplace").decode()
