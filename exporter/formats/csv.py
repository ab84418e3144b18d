"""Contacts as rows of CSV: text in quotes, everything else as the API wrote it, nothing where there is null.

Most values of a contact's JSON are cells of CSV already: text without escapes
keeps its very bytes, quotes included, and so do numbers. Only what has
escapes, lists, and what a spreadsheet would run as a formula is looked at.
"""

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec

from exporter.errors import ContractError
from exporter.formats.columns import CUSTOM
from exporter.formats.drift import truncate_path
from exporter.formats.schema import BY_PATH
from exporter.formats.selection import split_path, value_at
from exporter.rawjson.objects import RawObject, decode_string

NO_COLUMN = "no_column"
"""What the manifest calls a custom attribute that a table has no column for."""

_MAX_CELLS = 10_000_000
_SEPARATOR = b"\x01"  # nowhere in JSON
_NULL = b"\x01null\x01"
_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")
_NEEDS_ESCAPING = re.compile(rb',(?:[{\[]|"[^0-9A-Za-z"/])')
_FIRST_RISKY = re.compile(rb'"[^0-9A-Za-z"/]').match
_FORMULA = re.compile(r"['\s\0]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n\0]")
"""What spreadsheets take for the beginning of a formula, after what they may ignore; also in full width."""

_PHONE = re.compile(r"\+\(?[0-9](?:[ ().-]*[0-9]){4,}", re.ASCII)
"""An international phone number: it begins like a formula, and calls nothing."""

BYTE_ORDER_MARK = BOM_UTF8
"""The UTF-8 byte-order mark, by which Excel knows the encoding."""


class CsvEncoder:
    """Makes rows of contacts.

    Args:
        columns: their fields' paths.
        raw: whether cells that a spreadsheet would run as formulas stay as they are.
        chosen: whether the columns were chosen by paths, which may lead into custom attributes; else what is behind
            ``custom_attributes.`` is the name of one, dots or not.

    Attributes:
        header: the line that names the columns.
    """

    def __init__(self, columns: Sequence[str], *, raw: bool = False, chosen: bool = False) -> None:
        self._raw = raw
        self.header = b",".join(self._text(path) for path in columns) + b"\n"
        self._layout = _ColumnLayout(columns, chosen=chosen)
        self._risky = _RiskyColumns(len(columns), self._layout.lists)
        self._most = _MAX_CELLS // max(len(columns), 1)

    def encode(self, records: Sequence[bytes], missing_columns: Counter[tuple[str, str]]) -> bytes:
        """Make a row of each contact.

        Args:
            records: their JSON.
            missing_columns: counts custom attributes without a column.

        Raises:
            ContractError: a page has so many contacts that their rows would fill the memory.
        """
        if len(records) > self._most:
            raise ContractError(f"the API sent a page of {len(records):,} contacts: too many for a table")
        return b"".join([self._row(record, missing_columns) for record in records])

    def _row(self, record: bytes, missing_columns: Counter[tuple[str, str]]) -> bytes:
        try:
            values = self._layout.values(record, missing_columns)
        except (msgspec.DecodeError, RecursionError):
            values = self._layout.values_slow(record, missing_columns)
        cells = _cells(values)
        looks = self._risky
        probe = b",".join((b"", *looks.others(cells)))
        if b"\\" in probe or _NEEDS_ESCAPING.search(probe):
            looks = self._risky = looks.including(cells)
        for position in looks.positions:
            if cell := cells[position]:
                cells[position] = self._cell(cell)
        return (b",".join(cells) or b'""') + b"\n"  # an empty line would be no row to most who read it

    def _cell(self, value: bytes) -> bytes:
        """Make a cell of any value."""
        if value.startswith(b'"'):
            return self._text(decode_string(value)) if b"\\" in value or _FIRST_RISKY(value) else value
        return _quoted(value.translate(_LINE_BREAKS)) if value.startswith((b"{", b"[")) else value

    def _text(self, text: str) -> bytes:
        """Make a cell of text, and harmless: an apostrophe before it can be taken off again without doubt."""
        is_formula = not self._raw and _FORMULA.match(text) and not _PHONE.fullmatch(text)
        # What no UTF-8 can hold, lone surrogates, is shown as it was escaped; and NUL, where some readers end.
        text = (f"'{text}" if is_formula else text).replace("\0", "\\u0000")
        return _quoted(text.encode(errors="backslashreplace"))


class _RiskyColumns:
    """Which cells of a row are looked at one by one; the rest are proven to be cells all at once.

    Attributes:
        places: of those cells.
        others: picks the rest.
    """

    def __init__(self, columns: int, positions: Iterable[int]) -> None:
        self._columns = columns
        self.positions = tuple(positions)
        self.others = _picker([position for position in range(columns) if position not in self.positions])

    def including(self, cells: Sequence[bytes]) -> "_RiskyColumns":
        """Look at more of them, here and in later rows: a column with phone numbers has many that begin with a plus."""
        needed = (at for at, cell in enumerate(cells) if b"\\" in cell or _NEEDS_ESCAPING.match(b",%b" % cell))
        return _RiskyColumns(self._columns, sorted({*self.positions, *needed}))


class _ColumnLayout:
    """Where the values of a table's columns are in a contact.

    Attributes:
        lists: the places of the columns that hold lists.
    """

    def __init__(self, columns: Sequence[str], *, chosen: bool) -> None:
        self._chosen = chosen
        self._counts = CUSTOM not in columns
        own = [path for path in columns if path.startswith(f"{CUSTOM}.")]
        known = [path for path in columns if path in BY_PATH and path.count(".") <= 1]  # else it is within a list
        self._others = [path for path in columns if path not in known and path not in own]
        self._members = [path for path in known if "." not in path]
        parents = dict.fromkeys(_parent(path) for path in known if "." in path)
        self._objects = [[path for path in known if _parent(path) == parent] for parent in parents]
        self._attributes = [path.removeprefix(f"{CUSTOM}.") for path in own]
        self._known_attributes = frozenset(self._attributes)
        self._decode = msgspec.json.Decoder(self._contact()).decode
        found = (*self._members, *chain.from_iterable(self._objects), *own, *self._others)
        places = {path: position for position, path in enumerate(found)}
        self._pick = _picker([places[path] for path in columns])
        self.lists = [position for position, path in enumerate(columns) if _is_list(path)]

    def _contact(self) -> Any:
        """Make the type that a contact is decoded into: its members, then its objects, then its attributes."""
        members = [(path, msgspec.Raw, _EMPTY) for path in self._members]
        objects = [
            (
                _parent(paths[0]),
                _struct([(_name(path), msgspec.Raw, _EMPTY) for path in paths]) | None,
                None,
            )
            for paths in self._objects
        ]
        attributes = [(CUSTOM, dict[str, msgspec.Raw] | None, None)] if self._counts else []
        return _struct([*members, *objects, *attributes])

    def values(self, record: bytes, missing_columns: Counter[tuple[str, str]]) -> Sequence[Any]:
        """Find the values of all columns.

        Raises:
            msgspec.DecodeError, RecursionError: something is elsewhere than it should be, or no UTF-8.
        """
        members = msgspec.structs.astuple(self._decode(record))
        values = list(members[: len(self._members)])
        for paths, found in zip(self._objects, members[len(self._members) :], strict=False):
            values += (_EMPTY,) * len(paths) if found is None else msgspec.structs.astuple(found)
        if self._counts:
            values += self._custom_values(members[-1] or {}, missing_columns)
        values += [value_at(record, path) for path in self._others]
        return self._pick(values)

    def values_slow(self, record: bytes, missing_columns: Counter[tuple[str, str]]) -> Sequence[bytes]:
        """Find them in whatever is JSON."""
        top = _last_values(record)
        values = [top.get(path, b"") for path in self._members]
        for paths in self._objects:
            found = _last_values(top.get(_parent(paths[0]), b""))
            values += [found.get(_name(path), b"") for path in paths]
        if self._counts:
            values += self._custom_values(_last_values(top.get(CUSTOM, b"")), missing_columns)
        values += [value_at(record, path) for path in self._others]
        picked: Sequence[bytes] = self._pick(values)
        return picked

    def _custom_values(self, attributes: Mapping[str, Any], missing_columns: Counter[tuple[str, str]]) -> list[Any]:
        """Find the values of custom attributes."""
        if self._chosen:
            return [self._chosen_one(attributes, name) for name in self._attributes]
        if not attributes.keys() <= self._known_attributes:
            missing_columns.update(
                (truncate_path(f"{CUSTOM}.{name}"), NO_COLUMN) for name in attributes.keys() - self._known_attributes
            )
        return [attributes.get(name, _EMPTY) for name in self._attributes]

    @staticmethod
    def _chosen_one(found: Mapping[str, Any], name: str) -> Any:
        """Find the attribute of that name, or what a path leads to in another one."""
        for key, rest in split_path(name):
            if key in found:
                return value_at(bytes(found[key]), rest)
        return _EMPTY


_EMPTY = msgspec.Raw()


def _cells(values: Sequence[Any]) -> list[bytes]:
    """Make bytes of values, nothing of null: joined and split again, which is much faster than one by one."""
    joined = _SEPARATOR.join((b"", *values, b""))
    if _NULL in joined:
        joined = joined.replace(_NULL, _SEPARATOR * 2).replace(_NULL, _SEPARATOR * 2)  # of two in a row, one each time
    return joined.split(_SEPARATOR)[1:-1]


def _last_values(value: bytes) -> dict[str, bytes]:
    """Give an object's values by key, of repeated ones the last; none of what is no object."""
    if not value.startswith(b"{"):
        return {}
    members = RawObject.parse(value)
    return {key: members.value(places[-1]) for key, places in members.positions.items()}


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _name(path: str) -> str:
    return path.rpartition(".")[2]


def _struct(members: Sequence[tuple[str, Any, Any]]) -> Any:
    fields = [
        (f"member_{at}", kind, msgspec.field(name=key, default=default))
        for at, (key, kind, default) in enumerate(members)
    ]
    return msgspec.defstruct("Object", fields, gc=False)


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Make what picks the items at some places, in that order."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: [values[position] for position in places]


def _is_list(path: str) -> bool:
    return path == CUSTOM or (path in BY_PATH and BY_PATH[path].type == "list")


def _quoted(content: bytes) -> bytes:
    return b'"%b"' % content.replace(b'"', b'""')
