"""Contacts as CSV rows: any CSV reader returns the values that the API sent."""

import csv
import io
import json
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ContractError
from exporter.formats.columns import columns_of
from exporter.formats.csv import CsvEncoder
from exporter.formats.selection import EVERY_FIELD
from exporter.rawjson.objects import RawObject
from exporter.sandbox.attributes import definitions
from exporter.sandbox.contacts import Workspace
from tests.support.exact_json import Number

NAMES = [one["name"] for one in definitions() if one["custom"]]
COLUMNS = columns_of(EVERY_FIELD, (), NAMES)


def rows_of(records: list[bytes], columns: tuple[str, ...] = COLUMNS, *, raw: bool = True) -> list[list[str]]:
    """Write contacts as CSV, and read them with Python's csv module."""
    rows = CsvEncoder(columns, raw=raw)
    text = (rows.header + rows.encode(records, Counter())).decode()
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def record(**members: Any) -> bytes:
    """Return a contact's JSON."""
    return json.dumps(members, ensure_ascii=False).encode()


def cell(value: Any, *, raw: bool = False) -> str:
    """Write one value into a text column, and read it back."""
    return rows_of([record(id="1", name=value)], ("id", "name"), raw=raw)[1][1]


def expected_cell(contact: dict[str, Any], path: str) -> str:
    """Return the expected content of a cell, computed without the encoder."""
    value: Any = contact
    keys = path.split(".", 1) if path.startswith("custom_attributes.") else path.split(".")
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return value.encode(errors="backslashreplace").decode()
        case _:
            return f"{value}"


@pytest.mark.slow
def test_csv_cells_equal_the_values_that_the_api_sent() -> None:
    """In thousands of contacts, hostile ones too: text is decoded, numbers keep their spelling, lists are JSON."""
    records = (
        Workspace(12_000, 1, hostile=True).records(0, 12_000)[::4]
        + Workspace(10_010, 2, hostile=True).records(7, 10_008)[::1000]
    )
    header, *rows = rows_of(records)
    assert header == list(COLUMNS)
    assert len(rows) == len(records)
    for one, row in zip(records, rows, strict=True):
        contact = json.loads(one, parse_int=Number, parse_float=Number)
        for path, found in zip(COLUMNS, row, strict=True):
            expected = expected_cell(contact, path)
            if found.startswith(("[", "{")) and found != expected:
                assert json.loads(found) == json.loads(one)[path.split(".")[0]][path.split(".", 1)[1]]
            else:
                assert found == expected, path


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("=1+1", "'=1+1"),
        ("+48601", "+48601"),
        ("+4860", "'+4860"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("\0=1", "'\\u0000=1"),
        (" =1", "' =1"),
        ("\u00a0=1", "'\u00a0=1"),
        ("\uff1d1", "'\uff1d1"),
        ("'=1", "''=1"),
        ("''=1", "'''=1"),
        ("'tis", "'tis"),
        (" text", " text"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_csv_escapes_formula_cells_reversibly(text: str, escaped: str) -> None:
    """It adds an apostrophe that readers can remove: no other text has the same cell."""
    assert cell(text) == escaped
    assert cell(text, raw=True) == text.replace("\0", "\\u0000")


def test_csv_escapes_formulas_in_column_names() -> None:
    """Custom attributes may have any name."""
    columns = ("id", '=cmd|"x"', "a,b\n")
    assert rows_of([], columns, raw=False) == [["id", '\'=cmd|"x"', "a,b\n"]]


@given(st.text(), st.text())
def test_csv_escaped_cells_stay_distinct(one: str, other: str) -> None:
    """Different texts have different cells, and no cell begins like a formula."""
    assert (cell(one) == cell(other)) == (one.replace("\0", "\\u0000") == other.replace("\0", "\\u0000"))
    is_phone = re.fullmatch(r"\+[0-9 ().-]+", one)
    assert is_phone or not cell(one).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\0"))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("null", b""),
        ('""', b'""'),
        ("-5", b"-5"),
        ("1.10", b"1.10"),
        (f"{10**40}", b"1" + b"0" * 40),
        ("true", b"true"),
        ("[1,\r\n2]", b'"[1,  2]"'),
        ('{"a":"b"}', b'"{""a"":""b""}"'),
        (r'"\ud800"', rb'"\ud800"'),
        (r'"say \"hi\""', b'"say ""hi"""'),
    ],
)
def test_csv_value_keeps_its_spelling(value: str, written: bytes) -> None:
    """A null is an empty cell and empty text is a quoted one, so that readers can distinguish them."""
    record = f'{{"id":"1","name":{value}}}'.encode()
    assert CsvEncoder(("id", "name")).encode([record], Counter()) == b'"1",' + written + b"\n"


@pytest.mark.parametrize(
    "contact",
    [
        b'{"id":"1","location":"Dublin","name":"a"}',
        b'{"id":"1","location":null,"name":"a"}',
        b'{"id":"1","location":[{"city":"x"}],"name":"a"}',
        b'{"name":"a","id":"1"}',
        b'{"name":"b","id":"2","name":"a","id":"1"}',
        b'{ "id" : "1" , "name" : "a" , "custom_attributes" : 5 }',
        b'{"id":"1","name":"a","x":"\\ud800"}',
    ],
)
def test_csv_contact_of_unexpected_shape_is_a_row(contact: bytes) -> None:
    """Values may have an unexpected type, position or spelling."""
    row = CsvEncoder(("id", "name", "location.country", "custom_attributes.x")).encode([contact], Counter())
    assert row == b'"1","a",,\n'


def test_csv_counts_attributes_without_a_column() -> None:
    """They appeared after the columns were chosen; the fast path and the slow path count the same."""
    lacking = Counter[tuple[str, str]]()
    rows = CsvEncoder(("id", "custom_attributes.plan"))
    fast = record(id="1", custom_attributes={"plan": "a", "new": 1})
    slow = b'{"id":"1","x":"\\ud800","custom_attributes":{"new":1,"plan":"a"}}'
    assert rows.encode([fast, slow], lacking) == b'"1","a"\n"1","a"\n'
    assert lacking == {("custom_attributes.new", "no_column"): 2}


@pytest.mark.parametrize("names", [(), ("plan",)])
def test_csv_counts_new_attributes_with_and_without_attribute_columns(names: tuple[str, ...]) -> None:
    """Only a table with one column for all attributes does not count them."""
    lacking = Counter[tuple[str, str]]()
    CsvEncoder(("id", *(f"custom_attributes.{name}" for name in names))).encode(
        [record(custom_attributes={"new": 1})], lacking
    )
    assert lacking == {("custom_attributes.new", "no_column"): 1}
    assert "custom_attributes" in columns_of(EVERY_FIELD, (), ())


LONE = '"lone":"\\ud800",'


@pytest.mark.parametrize("lone", ["", LONE])
def test_csv_fast_and_slow_path_treat_dots_in_names_alike(lone: str) -> None:
    """An attribute's name may contain dots; a selected path is split at dots, unless an attribute has that name."""
    one = f'{{{lone}"custom_attributes":{{"a":{{"b":1}},"c.d":2}},"tags.data":[3],"id":"1"}}'.encode()
    columns = ("custom_attributes.a.b", "custom_attributes.c.d", "tags.data")
    assert CsvEncoder(columns).encode([one], Counter()) == b",2,\n"
    assert CsvEncoder(columns, chosen=True).encode([one], Counter()) == b"1,2,\n"


def test_csv_row_of_one_empty_cell_is_not_an_empty_line() -> None:
    """Most readers would skip an empty line."""
    rows = rows_of([record(id="1"), record(phone="x"), record(phone=None)], ("phone",))
    assert rows == [["phone"], [""], ["x"], [""]]


def test_csv_parses_contact_of_unexpected_shape_once_for_all_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """It parses the contact once, and each of its objects once."""
    parsed: list[bytes] = []
    original_parse = RawObject.parse

    def counting_parse(value: bytes) -> RawObject:
        parsed.append(value)
        return original_parse(value)

    monkeypatch.setattr(RawObject, "parse", counting_parse)
    rows_of([b'{"id":"1","location":"Dublin","tags":{"data":[]},"custom_attributes":{"plan":"\\ud800"}}'])
    assert len(parsed) <= 3


def test_csv_page_with_too_many_cells_is_refused() -> None:
    """Thousands of contacts of two bytes each, in thousands of columns, would fill the memory."""
    columns = tuple(f"custom_attributes.{number}" for number in range(2_000))
    with pytest.raises(ContractError, match="too many"):
        CsvEncoder(columns).encode([b"{}"] * 6_000, Counter())


def test_csv_columns_may_be_outside_the_schema() -> None:
    """A column may be any path, also one through lists."""
    columns = ("new.thing", "tags.data.id", "a.b")
    one = record(id="1", new={"thing": {"x": 1}}, tags={"data": [{"id": "1"}, {"id": "2"}]}, **{"a.b": "c"})
    assert rows_of([one], columns)[1] == ['{"x": 1}', '["1","2"]', "c"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
keys = st.sampled_from(["id", "name", "email", "tags", "location", "custom_attributes", "created_at"])


@pytest.mark.slow
@given(st.lists(st.dictionaries(keys, values, max_size=5), max_size=6), st.booleans())
def test_csv_row_of_any_json_has_every_cell(contacts: list[dict[str, Any]], raw: bool) -> None:
    """Each contact is one row with one cell for each column, and does not depend on the rows before it."""
    records = [json.dumps(contact).encode() for contact in contacts]
    together = rows_of(records, raw=raw)
    assert [len(row) for row in together] == [len(COLUMNS)] * (len(contacts) + 1)
    alone = [rows_of([one], raw=raw)[1] for one in records]
    assert together[1:] == alone
    if raw:
        for contact, row in zip(contacts, together[1:], strict=True):
            if isinstance(contact.get("name"), str):
                assert row[COLUMNS.index("name")] == contact["name"].replace("\0", "\\u0000")
