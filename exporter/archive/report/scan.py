"""Reading of an export for its report: each contact becomes a dict, and each file is verified."""

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
from exporter.layout.summary import FileSummary

_MAX_DIGITS = 4_000
_JSON_PREFIXES = ("{", "[")


def scan_export(export: FinishedExport, observe: Callable[[str, int], None]) -> tuple[Statistics, int | None]:
    """Read all contacts of an export, and count them. Blocks.

    Args:
        export: the export to read.
        observe: called often, with the name of a file and the number of bytes read from it.

    Returns:
        The statistics, and the number of contacts with the id of an earlier
        contact; None for the number if the export has no ids.

    Raises:
        DamagedExport: a file does not match its manifest.
        SinkError: a file cannot be read, or there is too little free space for the ids.
    """
    statistics = Statistics()
    with_ids = export.summary.has_ids
    with DuplicateCounter(export.summary.contacts, spare_folder=export.path.parent) as ids:
        for file, expected in export.files:
            data_file = DataFile(file)
            contacts_before = statistics.contacts
            for batch in _contacts(export, data_file):
                for contact in batch:
                    statistics.add(contact)
                ids.add(_ids_of(batch) if with_ids else [])
                observe(file.name, data_file.bytes)
            _check(data_file, statistics.contacts - contacts_before, expected)
        duplicates = ids.count(lambda: observe("", 0)).count if with_ids else None
    statistics.finalise()
    return statistics, duplicates


def _check(data_file: DataFile, contacts: int, expected: FileSummary) -> None:
    if data_file.is_unreadable:
        raise SinkError(f"{expected.name!r} {data_file.failure}")
    problem = data_file.failure or data_file.corruption
    if problem is None and data_file.sha256.hexdigest() != expected.sha256:
        problem = "has a different SHA-256 from the one in the manifest"
    if problem is None and contacts != expected.contacts:
        problem = f"has {contacts} contacts instead of {expected.contacts}"
    if problem:
        raise DamagedExport(f"{expected.name!r} {problem}: run verify for details")


def _contacts(export: FinishedExport, data_file: DataFile) -> Iterator[list[dict[str, Any]]]:
    if export.has_rows:
        columns = export.summary.columns
        for rows in export.rows(data_file):
            yield [_contact_from_row(columns, row, raw=bool(export.summary.csv_raw)) for row in rows]
    else:
        for records in export.records(data_file):
            yield [_decoded(record) for record in records]


def _decoded(record: bytes) -> dict[str, Any]:
    try:
        contact = orjson.loads(record)
    except orjson.JSONDecodeError:
        contact = _decoded_slow(record)
    return contact if isinstance(contact, dict) else {}


def _decoded_slow(record: bytes) -> Any:
    """Decode JSON with lone surrogates, which only Python's own parser accepts."""
    try:
        return json.loads(record, parse_int=_integer)
    except RecursionError:  # too deeply nested to decode, but still a contact
        return {}
    except ValueError:
        raise DamagedExport("a line is not a contact: run verify for details") from None


def _integer(digits: str) -> int | float:
    """Decode an integer; one with thousands of digits, which Python rejects, becomes an approximate float."""
    return int(digits) if len(digits) < _MAX_DIGITS else float(digits)


def _ids_of(contacts: Sequence[dict[str, Any]]) -> list[bytes]:
    ids = (contact.get("id") for contact in contacts)
    return [str(value).encode(errors="surrogatepass") for value in ids if isinstance(value, str | int)]


def _contact_from_row(columns: Sequence[str], row: Sequence[bytes], *, raw: bool) -> dict[str, Any]:
    """Return the contact of a CSV row; cells with lists and objects contain JSON."""
    if len(row) != len(columns):
        raise DamagedExport("a row has more or fewer cells than the header: run verify for details")
    contact: dict[str, Any] = {}
    for column, cell in zip(columns, row, strict=True):
        name, _, key = column.partition(".")
        field = BY_PATH.get(column)
        value = _value_from_cell(cell, raw=raw, may_be_json=field is None or field.type in ("list", "object"))
        if key:
            nested = contact.setdefault(name, {})
            if isinstance(nested, dict) and (name != CUSTOM or value is not None):
                nested[key] = value
        else:
            contact[name] = value
    _complete(contact)
    return contact


def _complete(contact: dict[str, Any]) -> None:
    """Restore what a table does not contain of objects: null objects, and the type of lists."""
    for name, value in contact.items():
        if name != CUSTOM and isinstance(value, dict):
            if all(inner is None for inner in value.values()):
                contact[name] = None  # the columns of a null object are all empty
            elif "data" in value:
                value["type"] = "list"  # a table contains only the items of an expanded list


def _value_from_cell(cell: bytes, *, raw: bool, may_be_json: bool) -> Any:
    """Return the value of a cell; a cell without quotes is a number, a boolean or null."""
    if not cell.startswith(b'"'):
        return _number(cell) if cell else None
    text = cell[1:-1].replace(b'""', b'"').decode(errors="replace")
    if may_be_json and text.startswith(_JSON_PREFIXES):
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
    """Open the export at a path for its report.

    Raises:
        ConfigError: there is no finished export, or it is CSV and its manifest lists no columns.
    """
    export = FinishedExport(path)
    if export.has_rows and not export.summary.columns:
        raise ConfigError(f"the manifest of {path!r} lists no columns")
    return export
