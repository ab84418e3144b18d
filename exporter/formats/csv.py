"""CSV rows of contacts: text in quotes, other values as the API wrote them, empty cells for null.

Most JSON values of a contact are valid CSV cells already: a text without
escapes keeps its bytes, quotes included, and so does a number. Only values with
escapes, lists, objects and possible spreadsheet formulas need conversion.
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
"""The kind of schema drift, in the manifest, of a custom attribute without a column."""

_MAX_CELLS = 10_000_000
_SEPARATOR = b"\x01"  # valid JSON never contains this byte
_NULL = b"\x01null\x01"
_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")
_NEEDS_ESCAPING = re.compile(rb',(?:[{\[]|"[^0-9A-Za-z"/])')
_FIRST_RISKY = re.compile(rb'"[^0-9A-Za-z"/]').match
_FORMULA = re.compile(r"['\s\0]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n\0]")
"""The beginning of a spreadsheet formula, after characters that spreadsheets may ignore; full-width signs too."""

_PHONE = re.compile(r"\+\(?[0-9](?:[ ().-]*[0-9]){4,}", re.ASCII)
"""An international phone number: it begins like a formula, but no spreadsheet can run it."""

BYTE_ORDER_MARK = BOM_UTF8
"""The UTF-8 byte-order mark, from which Excel detects the encoding."""


class CsvEncoder:
    """An encoder of contacts as CSV rows.

    Args:
        columns: paths of the columns' fields.
        raw: whether possible spreadsheet formulas stay unescaped.
        chosen: whether the user selected the columns by paths, which may lead into custom attributes; otherwise
            the text after ``custom_attributes.`` is an attribute's name, even if it has dots.

    Attributes:
        header: the line with the names of the columns.
    """

    def __init__(self, columns: Sequence[str], *, raw: bool = False, chosen: bool = False) -> None:
        self._raw = raw
        self.header = b",".join(self._text(path) for path in columns) + b"\n"
        self._layout = _ColumnLayout(columns, chosen=chosen)
        self._risky = _RiskyColumns(len(columns), self._layout.lists)
        self._max_contacts = _MAX_CELLS // max(len(columns), 1)

    def encode(self, records: Sequence[bytes], missing_columns: Counter[tuple[str, str]]) -> bytes:
        """Return one row per contact.

        Args:
            records: JSON of the contacts.
            missing_columns: counter of custom attributes without a column; this function adds to it.

        Raises:
            ContractError: a page has so many contacts that their rows would not fit in memory.
        """
        if len(records) > self._max_contacts:
            raise ContractError(f"the API sent a page of {len(records):,} contacts: too many for a table")
        return b"".join([self._row(record, missing_columns) for record in records])

    def _row(self, record: bytes, missing_columns: Counter[tuple[str, str]]) -> bytes:
        try:
            values = self._layout.values(record, missing_columns)
        except (msgspec.DecodeError, RecursionError):
            values = self._layout.values_slow(record, missing_columns)
        cells = _cells(values)
        risky = self._risky
        probe = b",".join((b"", *risky.others(cells)))
        if b"\\" in probe or _NEEDS_ESCAPING.search(probe):
            risky = self._risky = risky.including(cells)
        for position in risky.positions:
            if cell := cells[position]:
                cells[position] = self._cell(cell)
        return (b",".join(cells) or b'""') + b"\n"  # most CSV readers skip an empty line

    def _cell(self, value: bytes) -> bytes:
        """Return the cell of a JSON value."""
        if value.startswith(b'"'):
            return self._text(decode_string(value)) if b"\\" in value or _FIRST_RISKY(value) else value
        return _quoted(value.translate(_LINE_BREAKS)) if value.startswith((b"{", b"[")) else value

    def _text(self, text: str) -> bytes:
        """Return the cell of a text, with an apostrophe before a possible formula.

        The escaping is reversible: a text that itself begins with apostrophes before a formula gets one more.
        """
        is_formula = not self._raw and _FORMULA.match(text) and not _PHONE.fullmatch(text)
        # UTF-8 cannot encode lone surrogates: they stay escaped. So does NUL, at which some readers stop.
        text = (f"'{text}" if is_formula else text).replace("\0", "\\u0000")
        return _quoted(text.encode(errors="backslashreplace"))


class _RiskyColumns:
    """The columns whose cells need conversion one by one; one search checks all other cells of a row.

    Attributes:
        positions: positions of these columns.
        others: function that picks the cells of the other columns.
    """

    def __init__(self, columns: int, positions: Iterable[int]) -> None:
        self._columns = columns
        self.positions = tuple(positions)
        self.others = _picker([position for position in range(columns) if position not in self.positions])

    def including(self, cells: Sequence[bytes]) -> "_RiskyColumns":
        """Return these columns and those of a row's risky cells.

        Later rows are likely to have such cells in the same columns, for example phone numbers with a plus.
        """
        added = (at for at, cell in enumerate(cells) if b"\\" in cell or _NEEDS_ESCAPING.match(b",%b" % cell))
        return _RiskyColumns(self._columns, sorted({*self.positions, *added}))


class _ColumnLayout:
    """The members of a contact that hold the values of a table's columns.

    Attributes:
        lists: positions of the columns that hold lists.
    """

    def __init__(self, columns: Sequence[str], *, chosen: bool) -> None:
        self._chosen = chosen
        self._has_attribute_columns = CUSTOM not in columns
        custom = [path for path in columns if path.startswith(f"{CUSTOM}.")]
        known = [path for path in columns if path in BY_PATH and path.count(".") <= 1]  # other paths lead into lists
        self._others = [path for path in columns if path not in known and path not in custom]
        self._members = [path for path in known if "." not in path]
        parents = dict.fromkeys(_parent(path) for path in known if "." in path)
        self._objects = [[path for path in known if _parent(path) == parent] for parent in parents]
        self._attributes = [path.removeprefix(f"{CUSTOM}.") for path in custom]
        self._known_attributes = frozenset(self._attributes)
        self._decode = msgspec.json.Decoder(self._contact()).decode
        decoded_paths = (*self._members, *chain.from_iterable(self._objects), *custom, *self._others)
        positions = {path: position for position, path in enumerate(decoded_paths)}
        self._pick = _picker([positions[path] for path in columns])
        self.lists = [position for position, path in enumerate(columns) if _is_list(path)]

    def _contact(self) -> Any:
        """Return the type for decoding a contact: first its members, then its objects, then its custom attributes."""
        members = [(path, msgspec.Raw, _EMPTY) for path in self._members]
        objects = [
            (
                _parent(paths[0]),
                _struct([(_name(path), msgspec.Raw, _EMPTY) for path in paths]) | None,
                None,
            )
            for paths in self._objects
        ]
        attributes = [(CUSTOM, dict[str, msgspec.Raw] | None, None)] if self._has_attribute_columns else []
        return _struct([*members, *objects, *attributes])

    def values(self, record: bytes, missing_columns: Counter[tuple[str, str]]) -> Sequence[Any]:
        """Return the values of all columns.

        Raises:
            msgspec.DecodeError, RecursionError: a value has an unexpected type, or is not UTF-8.
        """
        members = msgspec.structs.astuple(self._decode(record))
        values = list(members[: len(self._members)])
        for paths, inner in zip(self._objects, members[len(self._members) :], strict=False):
            values += (_EMPTY,) * len(paths) if inner is None else msgspec.structs.astuple(inner)
        if self._has_attribute_columns:
            values += self._custom_values(members[-1] or {}, missing_columns)
        values += [value_at(record, path) for path in self._others]
        return self._pick(values)

    def values_slow(self, record: bytes, missing_columns: Counter[tuple[str, str]]) -> Sequence[bytes]:
        """Return the values of all columns of a contact that may be any valid JSON."""
        top = _last_values(record)
        values = [top.get(path, b"") for path in self._members]
        for paths in self._objects:
            inner = _last_values(top.get(_parent(paths[0]), b""))
            values += [inner.get(_name(path), b"") for path in paths]
        if self._has_attribute_columns:
            values += self._custom_values(_last_values(top.get(CUSTOM, b"")), missing_columns)
        values += [value_at(record, path) for path in self._others]
        picked: Sequence[bytes] = self._pick(values)
        return picked

    def _custom_values(self, attributes: Mapping[str, Any], missing_columns: Counter[tuple[str, str]]) -> list[Any]:
        """Return the values of the custom attributes' columns."""
        if self._chosen:
            return [self._value_of_path(attributes, name) for name in self._attributes]
        if not attributes.keys() <= self._known_attributes:
            missing_columns.update(
                (truncate_path(f"{CUSTOM}.{name}"), NO_COLUMN) for name in attributes.keys() - self._known_attributes
            )
        return [attributes.get(name, _EMPTY) for name in self._attributes]

    @staticmethod
    def _value_of_path(attributes: Mapping[str, Any], path: str) -> Any:
        """Return the attribute with that name, or the value at that path below another attribute."""
        for key, path_below in split_path(path):
            if key in attributes:
                return value_at(bytes(attributes[key]), path_below)
        return _EMPTY


_EMPTY = msgspec.Raw()


def _cells(values: Sequence[Any]) -> list[bytes]:
    """Return values as bytes, null as empty. Joining and splitting is much faster than a loop over the values."""
    joined = _SEPARATOR.join((b"", *values, b""))
    if _NULL in joined:
        # Twice, since one call replaces only the first of two adjacent nulls: they share a separator.
        joined = joined.replace(_NULL, _SEPARATOR * 2).replace(_NULL, _SEPARATOR * 2)
    return joined.split(_SEPARATOR)[1:-1]


def _last_values(value: bytes) -> dict[str, bytes]:
    """Return an object's values by key, the last value of a duplicate key; empty for a value that is no object."""
    if not value.startswith(b"{"):
        return {}
    members = RawObject.parse(value)
    return {key: members.value(positions[-1]) for key, positions in members.positions.items()}


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _name(path: str) -> str:
    return path.rpartition(".")[2]


def _struct(members: Sequence[tuple[str, Any, Any]]) -> Any:
    fields = [
        (f"member_{number}", kind, msgspec.field(name=key, default=default))
        for number, (key, kind, default) in enumerate(members)
    ]
    return msgspec.defstruct("Object", fields, gc=False)


def _picker(positions: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return a function that picks the items at these positions, in this order."""
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda values: [values[position] for position in positions]


def _is_list(path: str) -> bool:
    return path == CUSTOM or (path in BY_PATH and BY_PATH[path].type == "list")


def _quoted(content: bytes) -> bytes:
    return b'"%b"' % content.replace(b'"', b'""')
