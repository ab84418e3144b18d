"""An export read for its report: each contact as a dict, each file proven on the way."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from exporter.archive.duplicates import DuplicateCounter
from exporter.archive.finished import DamagedExport, FinishedExport
from exporter.archive.report.statistics import Statistics
from exporter.errors import ConfigError, SinkError
from exporter.formats.columns import CUSTOM
from exporter.formats.schema import BY_PATH
from exporter.layout.data_file import DataFile
from exporter.model import FileSummary

_MAX_DIGITS = 4_000
_JSON_BEGINS = ("{", "[")


def scan_export(export: FinishedExport, observe: Callable[[str, int], None]) -> tuple[Statistics, int | None]:
    """Read an export through, and count what is in it. Blocks.

    Args:
        export: what is to be read.
        observe: called often, with the name of a file and the bytes read of it.

    Returns:
        What was counted, and how many contacts have the id of an earlier one;
        None for the latter where there are no ids.

    Raises:
        DamagedExport: a file is not what its manifest says.
        SinkError: a file cannot be read, or there is no room for the ids.
    """
    tally = Statistics()
    with_ids = export.summary.has_ids
    with DuplicateCounter(export.summary.contacts, spare_folder=export.path.parent) as ids:
        for file, expected in export.files:
            contents = DataFile(file)
            before = tally.contacts
            for batch in _contacts(export, contents):
                for contact in batch:
                    tally.add(contact)
                ids.add(_ids_of(batch) if with_ids else [])
                observe(file.name, contents.bytes)
            _check(contents, tally.contacts - before, expected)
        repeated = ids.count(lambda: observe("", 0)).count if with_ids else None
    tally.finalise()
    return tally, repeated


def _check(contents: DataFile, contacts: int, expected: FileSummary) -> None:
    if contents.is_unreadable:
        raise SinkError(f"{expected.name!r} {contents.failure}")
    trouble = contents.failure or contents.corruption
    if trouble is None and contents.sha256.hexdigest() != expected.sha256:
        trouble = "has another SHA-256"
    if trouble is None and contacts != expected.contacts:
        trouble = f"has {contacts} contacts instead of {expected.contacts}"
    if trouble:
        raise DamagedExport(f"{expected.name!r} {trouble}: verify says more")


def _contacts(export: FinishedExport, contents: DataFile) -> Iterator[list[dict[str, Any]]]:
    if export.has_rows:
        columns = export.summary.columns
        for rows in export.rows(contents):
            yield [_contact_from_row(columns, row, raw=bool(export.summary.csv_raw)) for row in rows]
    else:
        for records in export.records(contents):
            yield [_decoded(record) for record in records]


def _decoded(record: bytes) -> dict[str, Any]:
    try:
        contact = orjson.loads(record)
    except orjson.JSONDecodeError:
        contact = _decoded_slow(record)
    return contact if isinstance(contact, dict) else {}


def _decoded_slow(record: bytes) -> Any:
    """Read JSON with lone surrogates, which only Python's own parser takes."""
    try:
        return json.loads(record, parse_int=_integer)
    except RecursionError:  # it is one all the same
        return {}
    except ValueError:
        raise DamagedExport("a line is no contact: verify says which") from None


def _integer(digits: str) -> int | float:
    """Read an integer; one of thousands of digits, which Python does not, as about what it is."""
    return int(digits) if len(digits) < _MAX_DIGITS else float(digits)


def _ids_of(contacts: Sequence[dict[str, Any]]) -> list[bytes]:
    found = (contact.get("id") for contact in contacts)
    return [str(one).encode(errors="surrogatepass") for one in found if isinstance(one, str | int)]


def _contact_from_row(columns: Sequence[str], row: Sequence[bytes], *, raw: bool) -> dict[str, Any]:
    """Make a contact of a row of CSV: what is a list or an object there is JSON."""
    if len(row) != len(columns):
        raise DamagedExport("a row has another number of cells than the header: verify says which")
    contact: dict[str, Any] = {}
    for column, cell in zip(columns, row, strict=True):
        name, _, inner = column.partition(".")
        known = BY_PATH.get(column)
        value = _value_from_cell(cell, raw=raw, may_be_json=known is None or known.type in ("list", "object"))
        if inner:
            within = contact.setdefault(name, {})
            if isinstance(within, dict) and (name != CUSTOM or value is not None):
                within[inner] = value
        else:
            contact[name] = value
    _complete(contact)
    return contact


def _complete(contact: dict[str, Any]) -> None:
    """Give objects what a table's columns do not have of them."""
    for name, value in contact.items():
        if name != CUSTOM and isinstance(value, dict):
            if all(one is None for one in value.values()):
                contact[name] = None  # what is null has no columns of its own
            elif "data" in value:
                value["type"] = "list"  # of a list that was completed a table has only what is in it


def _value_from_cell(cell: bytes, *, raw: bool, may_be_json: bool) -> Any:
    """Give what a cell means: without quotes it is a number, a truth value or nothing."""
    if not cell.startswith(b'"'):
        return _number(cell) if cell else None
    text = cell[1:-1].replace(b'""', b'"').decode(errors="replace")
    if may_be_json and text.startswith(_JSON_BEGINS):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
    return text.removeprefix("'") if not raw else text


def _number(cell: bytes) -> Any:
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell.decode(errors="replace")


def open_export(path: str) -> FinishedExport:
    """Open an export to be reported.

    Raises:
        ConfigError: there is none.
    """
    export = FinishedExport(path)
    if export.has_rows and not export.summary.columns:
        raise ConfigError(f"the manifest of {path!r} names no columns")
    return export
