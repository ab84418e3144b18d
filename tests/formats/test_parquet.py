"""Contacts as Parquet: typed columns, null where a value has another type, and always the raw contact."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.extras import arrow
from exporter.formats import parquet
from exporter.formats.columns import columns_of
from exporter.formats.parquet import ParquetFile
from exporter.formats.parquet_schema import build_tree, decode_lenient
from exporter.formats.schema import CONTACT_FIELDS
from exporter.formats.selection import EVERY_FIELD
from exporter.sandbox.contacts import Workspace

COLUMNS = columns_of(EVERY_FIELD, in_lists=True)


def parquet_of(records: list[bytes], columns: tuple[str, ...] = COLUMNS) -> io.BytesIO:
    """Return a Parquet file of contacts."""
    file = io.BytesIO()
    table = ParquetFile(file, columns)
    table.add(records)
    table.close()
    return io.BytesIO(file.getvalue())


def rows_of(records: list[bytes], columns: tuple[str, ...] = COLUMNS) -> list[dict[str, Any]]:
    """Write contacts, and read them back."""
    rows: list[dict[str, Any]] = arrow()[1].read_table(parquet_of(records, columns)).to_pylist()
    return rows


@pytest.mark.parametrize(
    ("member", "column", "value"),
    [
        ('"created_at":"yesterday"', "created_at", None),
        ('"created_at":1.5', "created_at", None),
        ('"created_at":1764000000000', "created_at", None),
        ('"created_at":-1', "created_at", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ('"created_at":253402300799', "created_at", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ('"role":5', "role", None),
        ('"role":"\\ud800 user"', "role", "\\ud800 user"),
        ('"owner_id":5', "owner_id", "5"),
        ('"owner_id":"5"', "owner_id", "5"),
        ('"owner_id":true', "owner_id", None),
        ('"has_hard_bounced":"true"', "has_hard_bounced", None),
        ('"avatar":"none"', "avatar", None),
        ('"avatar":{"image_url":5,"type":"avatar"}', "avatar", {"type": "avatar", "image_url": None}),
        ('"custom_attributes":5', "custom_attributes", None),
        (
            '"custom_attributes":{"a":"x","b":1.10,"c":null,"d":{"e":[1]},"a":"\\u0041"}',
            "custom_attributes",
            [("a", "A"), ("b", "1.10"), ("c", None), ("d", '{"e":[1]}')],
        ),
    ],
)
def test_parquet_value_of_another_type_is_null_and_kept_in_raw(member: str, column: str, value: Any) -> None:
    """Only its own column is null: the other columns keep their values, and raw has the contact as it was sent."""
    record = f'{{"id":"1",{member},"email":"a@b"}}'.encode()
    (row,) = rows_of([record])
    assert (row["id"], row["email"], row["raw"]) == ("1", "a@b", record.decode())
    assert row[column] == value
    others = {name: found for name, found in row.items() if name not in ("id", "email", "raw", column)}
    assert set(others.values()) == {None}


def test_parquet_list_item_of_another_type_is_null() -> None:
    """The list keeps its other items."""
    data = '[{"id":"1","type":"tag"},5,null,{"id":2}]'
    (row,) = rows_of([f'{{"tags":{{"data":{data},"total_count":4}}}}'.encode()])
    tag, other = {"type": "tag", "id": "1", "url": None}, {"type": None, "id": None, "url": None}
    assert row["tags"]["data"] == [tag, None, None, other]
    assert row["tags"]["total_count"] == 4
    empty, missing = rows_of([b'{"tags":{"data":[]}}', b'{"tags":{}}'])
    assert (empty["tags"]["data"], missing["tags"]["data"]) == ([], None)


def test_parquet_columns_are_in_the_given_order() -> None:
    """Columns outside the schema contain text or JSON."""
    columns = ("new.thing", "email", "custom_attributes.plan", "location.city", "id")
    record = b'{"id":"1","new":{"thing":[1,"a"]},"custom_attributes":{"plan":"pro"},"location":{"city":"Dublin"}}'
    (row,) = rows_of([record], columns)
    assert list(row) == ["new.thing", "email", "custom_attributes.plan", "location", "id", "raw"]
    assert list(row.values())[:-1] == ['[1,"a"]', None, "pro", {"city": "Dublin"}, "1"]


@pytest.mark.slow
def test_parquet_row_groups_are_limited_by_contacts_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits do not depend on how the contacts arrive."""
    records = Workspace(2_500, 1, hostile=True).records(0, 2_500)

    def groups() -> list[int]:
        metadata = arrow()[1].ParquetFile(parquet_of(records)).metadata
        return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]

    assert groups() == [2_500]
    monkeypatch.setattr(parquet, "GROUP_CONTACTS", 1_200)
    assert groups() == [1_200, 1_200, 100]
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1_000_000)
    assert max(groups()) < 600


@pytest.mark.slow
def test_parquet_file_does_not_depend_on_page_boundaries() -> None:
    """Contacts that are added one by one or all at once give the same bytes."""
    records = Workspace(2_100, 1, hostile=True).records(0, 2_100)
    file = io.BytesIO()
    table = ParquetFile(file, COLUMNS)
    for record in records:
        table.add([record])
    table.close()
    assert file.getvalue() == parquet_of(records).getvalue()


def test_parquet_discard_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither the discard nor the garbage collection prints an error, although the file is closed."""
    file = io.BytesIO()
    table = ParquetFile(file, COLUMNS)
    table.add([b'{"id":"1"}'])
    file.close()
    table.discard()
    del table
    assert capfd.readouterr() == ("", "")


names = st.sampled_from(sorted({field.path.split(".")[0] for field in CONTACT_FIELDS}))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["data", "id", "city", "x", "total_count"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.mark.slow
@given(st.lists(st.dictionaries(names, values, max_size=5), max_size=5))
def test_parquet_accepts_any_contacts(contacts: list[dict[str, Any]]) -> None:
    """Each contact is a row with its JSON in raw, and the lenient decoder returns what the fast decoder returns."""
    records = [json.dumps(contact).encode() for contact in contacts]
    assert [row["raw"] for row in rows_of(records)] == [record.decode() for record in records]
    top = build_tree(COLUMNS)
    for record in records:
        try:
            fast = top.decoder().decode(record)
        except ValueError:
            continue
        assert _plain(decode_lenient(record, top)) == _plain(fast)


def _plain(value: Any) -> Any:
    """Return a decoded value without its types."""
    if hasattr(value, "__struct_fields__"):
        return [_plain(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, list):
        return list(map(_plain, value))
    return {key: bytes(one) for key, one in value.items()} if isinstance(value, dict) else value
