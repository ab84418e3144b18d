"""export() to CSV for people and for databases: phone numbers, and a byte-order mark for Excel."""

import csv
import gzip
import json
from pathlib import Path

import pytest

import exporter
from exporter.formats.csv import CsvEncoder
from tests.support.exports import interrupted_after, verified

MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "phone", ["+353123456", "+353 1 234 5678", "+1 (555) 010-9999", "+49.30.123456", "+(44)20 7946 0018"]
)
def test_rows_leave_a_phone_number_as_it_is(phone: str) -> None:
    """It begins like a formula, and is none."""
    row = CsvEncoder(("phone",))._text(phone)
    assert row == f'"{phone}"'.encode()


@pytest.mark.parametrize(
    "text",
    [
        "+1+1",
        "+1-1",
        "+353 1 234 cmd",
        "+A1",
        "=353123456",
        "-353123456",
        "+353123456\n",
        "++353123456",
        "+",
        "+353=12345",
    ],
)
def test_rows_guard_what_only_resembles_a_phone_number(text: str) -> None:
    """Whatever a spreadsheet could calculate gets its apostrophe."""
    assert CsvEncoder(("phone",))._text(text).startswith(b"\"'")


@pytest.mark.slow
async def test_export_csv_bom_marks_each_file_and_is_verified(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """Files, compressed ones, parts and streams begin with it; the rest is the same."""
    await exporter.export(intercom, tmp_path / "plain.csv")
    await exporter.export(intercom, tmp_path / "a.csv", csv_bom=True)
    await exporter.export(intercom, tmp_path / "a.csv.gz", csv_bom=True)
    parts = await exporter.export(intercom, f"{tmp_path}/p/", file_format="csv", part_contacts=450, csv_bom=True)
    async with exporter.stream(intercom, file_format="csv", csv_bom=True) as chunks:
        streamed = b"".join([chunk async for chunk in chunks])
    expected = MARK + (tmp_path / "plain.csv").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == expected
    assert streamed == expected
    assert [(tmp_path / "p" / file.name).read_bytes()[:4] for file in parts.files] == [MARK + b'"'] * 3
    for name in ("a.csv", "a.csv.gz", "p"):
        result = await verified(tmp_path / name)
        assert (result.differences, result.duplicates) == ((), 0)
    rows = csv.DictReader((tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines(keepends=True))
    assert {row["type"] for row in rows} == {"contact"}


async def test_export_csv_bom_is_a_setting(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """Neither a finished nor an unfinished export goes on with another one."""
    path = tmp_path / "a.csv"
    with interrupted_after(1) as observer:
        await exporter.export(intercom, path, csv_bom=True, observer=observer)
    with pytest.raises(exporter.CheckpointError, match="csv bom"):
        await exporter.export(intercom, path)
    assert (await exporter.export(intercom, path, csv_bom=True)).csv_bom
    assert path.read_bytes().count(MARK) == 1
    with pytest.raises(exporter.CheckpointError, match="csv bom"):
        await exporter.export(intercom, path)
    with pytest.raises(exporter.ConfigError, match="CSV"):
        await exporter.export(intercom, tmp_path / "a.ndjson", csv_bom=True)


async def test_export_does_not_resume_csv_whose_phone_numbers_were_guarded(
    intercom: exporter.Intercom, tmp_path: Path
) -> None:
    """A checkpoint made before says nothing of phone numbers: its rows are others."""
    path = tmp_path / "a.csv"
    with interrupted_after(1) as observer:
        await exporter.export(intercom, path, observer=observer)
    checkpoint = path.with_name("a.csv.checkpoint.json")
    content = json.loads(checkpoint.read_text())
    assert content["settings"].pop("csv_phones") is True
    del content["settings"]["csv_bom"]
    checkpoint.write_text(json.dumps(content))
    with pytest.raises(exporter.CheckpointError, match="csv phones"):
        await exporter.export(intercom, path)
