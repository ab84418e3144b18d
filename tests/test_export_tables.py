"""export() into tables: what csv, pandas, pyarrow and DuckDB read there is what the API sent."""

import asyncio
import csv
import gzip
import importlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import duckdb
import pandas as pd
import pytest

import exporter
from exporter.extras import arrow
from exporter.formats.schema import CONTACT_FIELDS
from exporter.sandbox import attributes
from tests.support.clients import client_of, client_of_list
from tests.support.exports import interrupted_after, verified
from tests.support.responses import last_response, list_response
from tests.support.server import RawServer, send, send_in_turn

CONTACTS = 1_500
STAMPS = [field.path for field in CONTACT_FIELDS if field.type == "timestamp"]


@pytest.fixture
async def workspace() -> AsyncIterator[tuple[exporter.Sandbox, exporter.Intercom]]:
    """Serve a workspace with hostile contacts."""
    async with exporter.Sandbox(CONTACTS, hostile=True) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            yield sandbox, intercom


def contacts_of(sandbox: exporter.Sandbox) -> list[dict[str, Any]]:
    """Give the truth; what is exotic about numbers keeps its spelling."""
    records = sandbox.workspace.records(0, CONTACTS)
    return [json.loads(record, parse_float=str) for record in records]


@pytest.mark.slow
async def test_python_and_pandas_read_the_same_csv(
    workspace: tuple[exporter.Sandbox, exporter.Intercom], tmp_path: Path
) -> None:
    """Plain, compressed, in parts: the columns that the manifest names, and a row for each contact."""
    sandbox, intercom = workspace
    summary = await exporter.export(intercom, tmp_path / "a.csv", csv_raw=True)
    await exporter.export(intercom, tmp_path / "a.csv.gz", csv_raw=True)
    parts = await exporter.export(intercom, f"{tmp_path}/parts/", file_format="csv.gz", part_contacts=450, csv_raw=True)
    text = (tmp_path / "a.csv").read_text("utf-8")
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).decode() == text
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == list(summary.columns)
    in_parts = []
    for file in parts.files:
        with gzip.open(tmp_path / "parts" / file.name, "rt", encoding="utf-8", newline="") as part:
            first, *more = csv.reader(part, strict=True)
        assert (first, len(more)) == (header, file.contacts)
        in_parts += more
    assert in_parts == rows
    frame = pd.read_csv(tmp_path / "a.csv.gz", dtype=str, keep_default_na=False, lineterminator="\n")
    assert list(frame.columns) == header
    assert frame.to_numpy().tolist() == rows
    for contact, row in zip(contacts_of(sandbox), rows, strict=True):
        cells = dict(zip(header, row, strict=True))
        assert cells["id"] == contact["id"]
        assert cells["email"] == (contact["email"] or "")
        assert cells["created_at"] == str(contact["created_at"])
        assert cells["location.country"] == (contact["location"]["country"] or "")
        assert json.loads(cells["tags.data"] or "[]") == (contact["tags"] or {"data": []})["data"]
        for name in ("plan", "size", "Size", "SIZE", "ledger_id", "Monthly fee (€)"):
            value = contact["custom_attributes"].get(name)
            assert cells[f"custom_attributes.{name}"] == ("" if value is None else str(value))


@pytest.mark.slow
async def test_pyarrow_and_duckdb_read_the_same_parquet(
    workspace: tuple[exporter.Sandbox, exporter.Intercom], tmp_path: Path
) -> None:
    """Typed columns, and the contact exactly as the API sent it."""
    sandbox, intercom = workspace
    path = tmp_path / "a.parquet"
    await exporter.export(intercom, path)
    pa, parquet = arrow()
    table = parquet.read_table(path)
    lines = [b" ".join(record.splitlines()).decode() for record in sandbox.workspace.records(0, CONTACTS)]
    assert table.column("raw").to_pylist() == lines
    names = ", ".join(f'"{name}"' for name in table.column_names)
    by_duckdb: Any = duckdb.read_parquet(str(path)).project(names).to_arrow_table()
    assert by_duckdb.column_names == table.column_names
    assert by_duckdb.num_rows == CONTACTS
    for name in table.column_names:
        assert by_duckdb.column(name).to_pylist() == table.column(name).to_pylist(), name
    assert table.schema.field("created_at").type == pa.timestamp("ms", tz="UTC")
    assert table.schema.field("has_hard_bounced").type == pa.bool_()
    for contact, row in zip(contacts_of(sandbox), table.to_pylist(), strict=True):
        for stamp in STAMPS:
            seconds = contact.get(stamp)
            assert row[stamp] == (None if seconds is None else datetime.fromtimestamp(seconds, UTC)), stamp
        assert row["owner_id"] == (None if contact["owner_id"] is None else str(contact["owner_id"]))
        assert row["location"] == {key: contact["location"].get(key) for key in row["location"]}
        tags = contact["tags"]
        assert (row["tags"] is None) == (tags is None)
        assert (row["tags"] or {"data": None})["data"] == (tags or {"data": None})["data"]
        assert dict(row["custom_attributes"]).keys() == contact["custom_attributes"].keys()
        plan = contact["custom_attributes"].get("plan")
        assert dict(row["custom_attributes"]).get("plan") == plan


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
async def test_table_of_an_empty_workspace_has_columns_and_no_rows(name: str, tmp_path: Path) -> None:
    """The table has its columns."""
    async with exporter.Sandbox(0) as sandbox, exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
        summary = await exporter.export(intercom, tmp_path / name)
    if name == "a.parquet":
        table = arrow()[1].read_table(tmp_path / name)
        assert (table.num_rows, table.column_names[:2], table.column_names[-1]) == (0, ["type", "id"], "raw")
    else:
        assert list(pd.read_csv(tmp_path / name)) == list(summary.columns)
    result = await verified(tmp_path / name)
    assert result.differences == ()


@pytest.mark.slow
async def test_resumed_table_keeps_its_first_columns(
    workspace: tuple[exporter.Sandbox, exporter.Intercom], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attribute that is created while the export is interrupted gets no column, and is counted."""
    _, intercom = workspace

    await exporter.export(intercom, tmp_path / "whole.csv")
    with interrupted_after(4) as observer:
        await exporter.export(intercom, tmp_path / "a.csv", observer=observer)
    more = {"full_name": "custom_attributes.wei", "archived": False, "custom": True}
    before = attributes.definitions(hostile=True)
    monkeypatch.setattr("exporter.sandbox.contacts.definitions", lambda **_: [more, *before])
    summary = await exporter.export(intercom, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert "custom_attributes.wei" not in summary.columns
    assert summary.schema_drift["custom_attributes.wei"] == {"no_column": 1}
    assert summary.schema_checked == CONTACTS


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_unavailable_attribute_names_make_one_json_column(tmp_path: Path, status: int) -> None:
    """The attributes are JSON in one column, and an event reports it."""
    refusal = last_response(b"{}", status=f"{status} Refused")
    page = list_response(b'{"id":"1","custom_attributes":{"plan":"=pro","n":1.10}}')
    events: list[exporter.Event] = []
    async with RawServer(send_in_turn(refusal, page)) as server, client_of(server.base_url) as intercom:
        summary = await exporter.export(intercom, tmp_path / "a.csv", observer=events.append)
    assert exporter.AttributeNamesUnavailable() in events
    assert summary.columns[-1] == "custom_attributes"
    row = next(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert (row["id"], row["custom_attributes"]) == ("1", '{"plan":"=pro","n":1.10}')


async def test_refused_token_for_attribute_names_ends_the_export(tmp_path: Path) -> None:
    """A token that is refused altogether is no reason for fewer columns."""
    script = send(last_response(b"", status="401 Unauthorized"))
    async with RawServer(script) as server, client_of(server.base_url) as intercom:
        with pytest.raises(exporter.CredentialsError):
            await exporter.export(intercom, tmp_path / "a.csv")


@pytest.mark.slow
async def test_attribute_names_are_requested_only_for_columns(
    workspace: tuple[exporter.Sandbox, exporter.Intercom], tmp_path: Path
) -> None:
    """Selected fields are columns without a request."""
    _, intercom = workspace
    shapes = {
        "a": exporter.FieldSelection(fields=("id", "custom_attributes.plan")),
        "b": exporter.FieldSelection(drop=("custom_attributes",)),
    }
    for name, selection in shapes.items():
        summary = await exporter.export(intercom, tmp_path / f"{name}.csv", selection=selection)
        assert summary.requests == summary.pages
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == '"id","custom_attributes.plan"'


@pytest.mark.slow
async def test_csv_raw_is_a_setting_of_the_export(
    workspace: tuple[exporter.Sandbox, exporter.Intercom], tmp_path: Path
) -> None:
    """The manifest says what became of them, and another choice is another export."""
    _, intercom = workspace
    summary = await exporter.export(intercom, tmp_path / "a.csv")
    assert json.loads((tmp_path / "a.csv.manifest.json").read_text())["csv_raw"] is summary.csv_raw is False
    with pytest.raises(exporter.CheckpointError, match="csv raw"):
        await exporter.export(intercom, tmp_path / "a.csv", csv_raw=True)
    raw = await exporter.export(intercom, tmp_path / "a.csv", csv_raw=True, overwrite=True)
    assert raw.csv_raw is True
    phones = pd.read_csv(tmp_path / "a.csv", dtype=str)["phone"].dropna()
    assert phones.str.startswith("+").all()


@pytest.mark.slow
async def test_expanded_lists_are_in_tables(
    workspace: tuple[exporter.Sandbox, exporter.Intercom], tmp_path: Path
) -> None:
    """Whole, with their names, and with those that contacts do not embed."""
    sandbox, intercom = workspace
    lists = exporter.ListExpansion(("tags", "segments"), tag_names=True)
    await exporter.export(intercom, tmp_path / "a.parquet", expansion=lists, consumers=8, max_contacts=300)
    await exporter.export(intercom, tmp_path / "a.csv", expansion=lists, consumers=8, max_contacts=300)
    rows = arrow()[1].read_table(tmp_path / "a.parquet").to_pylist()
    frame = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    for number, row in enumerate(rows):
        tags, segments = (sandbox.workspace.nested(number, name) for name in ("tags", "segments"))
        assert [tag["name"] for tag in (row["tags"] or {"data": []})["data"]] == [tag["name"] for tag in tags] or (
            row["tags"] is None
        )
        assert [one["name"] for one in row["segments"]["data"]] == [one["name"] for one in segments]
        assert json.loads(frame["segments.data"][number]) == segments


@pytest.mark.slow
async def test_streams_can_be_csv(workspace: tuple[exporter.Sandbox, exporter.Intercom], tmp_path: Path) -> None:
    """The chunks together are the file, whether compressed or not."""
    _, intercom = workspace
    await exporter.export(intercom, tmp_path / "a.csv")
    async with exporter.stream(intercom, file_format="csv") as chunks:
        plain = b"".join([chunk async for chunk in chunks])
    async with exporter.stream(intercom, file_format="csv", compression="gzip") as chunks:
        compressed = b"".join([chunk async for chunk in chunks])
    assert plain == gzip.decompress(compressed) == (tmp_path / "a.csv").read_bytes()


@pytest.mark.parametrize(
    "asked", [{"file_format": "parquet"}, {"file_format": "xml"}, {"file_format": "csv", "compression": "zstd"}]
)
async def test_stream_of_an_unsupported_kind_is_refused(intercom: exporter.Intercom, asked: dict[str, Any]) -> None:
    """What cannot be streamed is refused before any request."""
    with pytest.raises(exporter.ConfigError):
        async with exporter.stream(intercom, **asked):
            pass


async def test_parquet_column_named_raw_is_refused(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom, tmp_path: Path
) -> None:
    """Parquet has that in `raw`; it is refused before any request."""
    with pytest.raises(exporter.ConfigError, match="raw"):
        await exporter.export(intercom, tmp_path / "a.parquet", selection=exporter.FieldSelection(fields=("id", "raw")))
    assert sandbox.requests == 0


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
@pytest.mark.parametrize(
    "fields",
    [
        ("id", "segments"),
        ("id", "segments", "segments.data"),
        ("id", "segments.data"),
        ("id", "custom_attributes", "custom_attributes.plan"),
        ("id", "tags", "tags.data", "tags.data.id"),
        ("id", "location", "location.city"),
    ],
)
async def test_table_with_any_fields_is_valid(
    intercom: exporter.Intercom, tmp_path: Path, name: str, fields: tuple[str, ...]
) -> None:
    """Though some are parts of others, or not there without their lists being completed."""
    summary = await exporter.export(intercom, tmp_path / name, selection=exporter.FieldSelection(fields=fields))
    assert summary.columns[0] == "id"
    assert not {"custom_attributes.plan", "tags.data.id", "location.city"} & set(summary.unknown_fields)
    result = await verified(tmp_path / name)
    assert result.differences == ()


async def test_csv_raw_with_another_format_is_refused(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """The option with another format is a mistake."""
    with pytest.raises(exporter.ConfigError, match="CSV"):
        await exporter.export(intercom, tmp_path / "a.ndjson", csv_raw=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.parquet", "parts/"])
async def test_cancelled_conversion_is_repeated_on_resume(
    name: str, workspace: tuple[exporter.Sandbox, exporter.Intercom], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for; the lines that it is made from are on disk, and no contact is asked for twice."""
    sandbox, intercom = workspace
    options: dict[str, Any] = {"file_format": "parquet", "part_contacts": 600} if name == "parts/" else {}
    await exporter.export(intercom, f"{tmp_path}/whole-{name}", **options)
    scope = anyio.CancelScope()
    monkeypatch.setattr("exporter.destination.conversion._STEP_BYTES", 1)
    real = parquet_file().add
    taken: list[int] = []

    def add(self: Any, records: Any) -> None:
        taken.append(len(records))
        if len(taken) == 3:
            loop.call_soon_threadsafe(scope.cancel)
        real(self, records)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr("exporter.formats.parquet.ParquetFile.add", add)
    with scope:
        await exporter.export(intercom, f"{tmp_path}/{name}", **options)
    assert scope.cancelled_caught
    before = sandbox.requests
    summary = await exporter.export(intercom, f"{tmp_path}/{name}", **options)
    assert sandbox.requests - before == (0 if name == "a.parquet" else 10 - 4)
    assert (summary.runs, summary.contacts) == (2, CONTACTS)
    for path in sorted(tmp_path.glob(f"{name}*.parquet" if name == "parts/" else name)):
        twin = tmp_path / f"whole-{path.relative_to(tmp_path)}"
        assert path.read_bytes() == twin.read_bytes()
    assert not list(tmp_path.rglob("*.part")) + list(tmp_path.rglob("*.tmp"))


async def test_pages_without_contacts_start_no_part(tmp_path: Path) -> None:
    """Only parts with rows are written."""
    sizes = [0, 5, 0, 0, 5, 0]
    pages = [[{"id": f"{page}-{number}"} for number in range(size)] for page, size in enumerate(sizes)]
    bodies: list[dict[str, Any]] = [{"data": []}]
    for number, contacts in enumerate(pages, 1):
        following = {} if number == len(pages) else {"pages": {"next": {"starting_after": f"c{number}"}}}
        bodies.append({"data": contacts, **following})
    script = send_in_turn(*(last_response(json.dumps(body).encode()) for body in bodies))
    async with RawServer(script) as server, client_of(server.base_url) as intercom:
        summary = await exporter.export(intercom, f"{tmp_path}/a/", file_format="csv", part_contacts=3)
    assert [file.contacts for file in summary.files] == [5, 5]
    assert summary.columns[-1] == "custom_attributes"  # since the workspace knows none


@pytest.mark.parametrize("fields", [("phone",), ("caf\udcff",)])
async def test_invalid_columns_are_refused(
    intercom: exporter.Intercom, tmp_path: Path, fields: tuple[str, ...]
) -> None:
    """No column at all, or a name that is no text, is refused."""
    with pytest.raises(exporter.ConfigError):
        selection = exporter.FieldSelection(fields=fields, drop=("phone",))
        await exporter.export(intercom, tmp_path / "a.csv", selection=selection)


@pytest.mark.parametrize(
    "names",
    [[f"n{number}" for number in range(2_001)], ["x" * 200_001], ["plan", "dG9rOjBmOWMxZDUy"], ["dG9r-OjBmOWMxZDUy"]],
    ids=["many", "long", "the token", "another spelling of the token"],
)
async def test_too_many_or_secret_attribute_names_are_refused(tmp_path: Path, names: list[str]) -> None:
    """They would be repeated in each part, checkpoint and manifest."""
    attributes = (json.dumps({"full_name": f"custom_attributes.{name}"}).encode() for name in names)
    async with client_of_list(*attributes, token="dG9rOjBmOWMxZDUy") as intercom:
        with pytest.raises(exporter.ContractError, match="--fields") as caught:
            await exporter.export(intercom, tmp_path / "a.csv")
    assert "dG9r" not in str(caught.value)


DEEP = b'{"id":"1","tags":' + b"[" * 600 + b"]" * 600 + b',"foo":' + b"[" * 600 + b"]" * 600 + b"}"


@pytest.mark.parametrize(
    ("name", "options", "held"),
    [
        ("a.ndjson", {"selection": exporter.FieldSelection(drop=("tags.data.url",))}, False),
        ("a.ndjson", {"selection": exporter.FieldSelection(fields=("id", "foo.bar"))}, False),
        ("a.ndjson", {"selection": exporter.FieldSelection(pseudonymise=("tags",), key=b"k" * 16)}, False),
        ("a.parquet", {"selection": exporter.FieldSelection(fields=("id", "foo.bar"))}, False),
        ("a.ndjson", {"expansion": exporter.ListExpansion(tag_names=True)}, True),
        ("a.csv", {"selection": exporter.FieldSelection(fields=("id", "foo"))}, True),
        ("a.parquet", {}, True),
        ("a.ndjson", {}, True),
    ],
)
async def test_contact_nested_too_deeply_is_written_or_a_contract_error(
    tmp_path: Path, name: str, options: dict[str, Any], *, held: bool
) -> None:
    """It is written as it is, or the export ends with an error that names the cause."""
    async with client_of_list(DEEP) as intercom:
        with nullcontext() if held else pytest.raises(exporter.ContractError, match="nested too deeply"):
            await exporter.export(intercom, tmp_path / name, **options)


async def test_link_in_the_way_of_a_conversion_is_refused_before_any_request(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom, tmp_path: Path
) -> None:
    """A link where the file is to be made is refused before any request."""
    (tmp_path / "a.parquet.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises(exporter.ConfigError, match="symbolic link"):
        await exporter.export(intercom, tmp_path / "a.parquet")
    assert sandbox.requests == 0


@pytest.mark.slow
async def test_table_removed_during_its_conversion_is_made_again(
    intercom: exporter.Intercom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is complete: nothing has to start over."""
    path = tmp_path / "a.parquet"
    real = parquet_file().close

    def close(self: Any) -> None:
        real(self)
        Path(f"{path}.tmp").unlink()

    with monkeypatch.context() as patches:
        patches.setattr("exporter.formats.parquet.ParquetFile.close", close)
        with pytest.raises(exporter.SinkError, match="removed"):
            await exporter.export(intercom, path)
    summary = await exporter.export(intercom, path)
    assert (summary.runs, summary.contacts) == (2, 1_000)


def parquet_file() -> Any:
    """Give the class that writes Parquet, which is imported late."""
    return importlib.import_module("exporter.formats.parquet").ParquetFile
