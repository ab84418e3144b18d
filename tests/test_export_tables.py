"""export() into tables: what csv, pandas, pyarrow and DuckDB read there is what the API sent."""

import asyncio
import csv
import gzip
import importlib
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
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

RawServer = Callable[..., AbstractAsyncContextManager[str]]
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
async def test_an_empty_workspace_is_a_table_without_rows(name: str, tmp_path: Path) -> None:
    """With its columns."""
    async with exporter.Sandbox(0) as sandbox, exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
        summary = await exporter.export(intercom, tmp_path / name)
    if name == "a.parquet":
        table = arrow()[1].read_table(tmp_path / name)
        assert (table.num_rows, table.column_names[:2], table.column_names[-1]) == (0, ["type", "id"], "raw")
    else:
        assert list(pd.read_csv(tmp_path / name)) == list(summary.columns)
    verified = await anyio.to_thread.run_sync(exporter.verify, tmp_path / name)
    assert verified.differences == ()


async def test_a_table_has_the_columns_that_it_began_with(
    workspace: tuple[exporter.Sandbox, exporter.Intercom], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attribute that is made while the export is interrupted has none, and is counted."""
    _, intercom = workspace

    def observe(event: exporter.Event) -> None:
        if isinstance(event, exporter.PageWritten) and event.position.pages == 4:
            scope.cancel()

    await exporter.export(intercom, tmp_path / "whole.csv")
    with anyio.CancelScope() as scope:
        await exporter.export(intercom, tmp_path / "a.csv", observer=observe)
    more = {"full_name": "custom_attributes.wei", "archived": False, "custom": True}
    before = attributes.definitions(hostile=True)
    monkeypatch.setattr("exporter.sandbox.contacts.definitions", lambda **_: [more, *before])
    summary = await exporter.export(intercom, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert "custom_attributes.wei" not in summary.columns
    assert summary.schema_drift["custom_attributes.wei"] == {"no_column": 1}
    assert summary.schema_checked == CONTACTS


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_attributes_that_are_not_told_are_one_column(raw_server: RawServer, tmp_path: Path, status: int) -> None:
    """As JSON; and that is told."""
    answers = [
        (b"%d Refused" % status, b"{}"),
        (b"200 OK", b'{"data":[{"id":"1","custom_attributes":{"plan":"=pro","n":1.10}}]}'),
    ]

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, body = answers.pop(0)
        writer.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (line, len(body), body))
        await writer.drain()

    events: list[exporter.Event] = []
    async with raw_server(answer) as base_url, exporter.Intercom("dG9r", base_url=base_url) as intercom:
        summary = await exporter.export(intercom, tmp_path / "a.csv", observer=events.append)
    assert exporter.AttributeNamesUnavailable() in events
    assert summary.columns[-1] == "custom_attributes"
    row = next(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert (row["id"], row["custom_attributes"]) == ("1", '{"plan":"=pro","n":1.10}')


async def test_other_failures_to_tell_them_end_the_export(raw_server: RawServer, tmp_path: Path) -> None:
    """A token that is refused altogether is no reason for fewer columns."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw_server(answer) as base_url, exporter.Intercom("dG9r", base_url=base_url) as intercom:
        with pytest.raises(exporter.CredentialsError):
            await exporter.export(intercom, tmp_path / "a.csv")


async def test_attributes_are_asked_for_only_where_they_are_columns(
    workspace: tuple[exporter.Sandbox, exporter.Intercom], tmp_path: Path
) -> None:
    """Chosen fields are columns without a question."""
    _, intercom = workspace
    shapes = {
        "a": exporter.FieldSelection(fields=("id", "custom_attributes.plan")),
        "b": exporter.FieldSelection(drop=("custom_attributes",)),
    }
    for name, selection in shapes.items():
        summary = await exporter.export(intercom, tmp_path / f"{name}.csv", selection=selection)
        assert summary.requests == summary.pages
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == '"id","custom_attributes.plan"'


async def test_formulas_are_a_setting_of_the_export(
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
async def test_there_are_no_other_streams(intercom: exporter.Intercom, asked: dict[str, Any]) -> None:
    """What cannot be streamed is refused before any request."""
    with pytest.raises(exporter.ConfigError):
        async with exporter.stream(intercom, **asked):
            pass


async def test_a_column_cannot_be_called_like_the_whole_contact(
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
async def test_any_choice_of_fields_makes_a_table(
    intercom: exporter.Intercom, tmp_path: Path, name: str, fields: tuple[str, ...]
) -> None:
    """Though some are parts of others, or not there without their lists being completed."""
    summary = await exporter.export(intercom, tmp_path / name, selection=exporter.FieldSelection(fields=fields))
    assert summary.columns[0] == "id"
    assert not {"custom_attributes.plan", "tags.data.id", "location.city"} & set(summary.unknown_fields)
    verified = await anyio.to_thread.run_sync(exporter.verify, tmp_path / name)
    assert verified.differences == ()


async def test_only_csv_can_be_raw(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """Whoever asks for it elsewhere means something else."""
    with pytest.raises(exporter.ConfigError, match="CSV"):
        await exporter.export(intercom, tmp_path / "a.ndjson", csv_raw=True)


@pytest.mark.parametrize("name", ["a.parquet", "parts/"])
async def test_a_cancelled_conversion_is_done_again(
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


async def test_pages_without_contacts_begin_no_file(raw_server: RawServer, tmp_path: Path) -> None:
    """A table's parts are those with rows."""
    sizes = [0, 5, 0, 0, 5, 0]
    pages = [[{"id": f"{page}-{number}"} for number in range(size)] for page, size in enumerate(sizes)]
    bodies: list[dict[str, Any]] = [{"data": []}]
    for number, contacts in enumerate(pages, 1):
        following = {} if number == len(pages) else {"pages": {"next": {"starting_after": f"c{number}"}}}
        bodies.append({"data": contacts, **following})

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = json.dumps(bodies.pop(0)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with raw_server(answer) as base_url, exporter.Intercom("dG9r", base_url=base_url) as intercom:
        summary = await exporter.export(intercom, f"{tmp_path}/a/", file_format="csv", part_contacts=3)
    assert [file.contacts for file in summary.files] == [5, 5]
    assert summary.columns[-1] == "custom_attributes"  # since the workspace knows none


@pytest.mark.parametrize("fields", [("phone",), ("caf\udcff",)])
async def test_columns_that_cannot_be_are_refused(
    intercom: exporter.Intercom, tmp_path: Path, fields: tuple[str, ...]
) -> None:
    """None at all, or a name that is no text."""
    with pytest.raises(exporter.ConfigError):
        selection = exporter.FieldSelection(fields=fields, drop=("phone",))
        await exporter.export(intercom, tmp_path / "a.csv", selection=selection)


@pytest.mark.parametrize(
    "names",
    [[f"n{number}" for number in range(2_001)], ["x" * 200_001], ["plan", "dG9rOjBmOWMxZDUy"], ["dG9r-OjBmOWMxZDUy"]],
    ids=["many", "long", "the token", "another spelling of the token"],
)
async def test_attributes_that_make_no_table_are_refused(
    raw_server: RawServer, tmp_path: Path, names: list[str]
) -> None:
    """They would be repeated in each part, checkpoint and manifest."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"data": [{"full_name": f"custom_attributes.{name}"} for name in names]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with raw_server(answer) as base_url, exporter.Intercom("dG9rOjBmOWMxZDUy", base_url=base_url) as intercom:
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
async def test_a_contact_that_is_too_deep_is_no_bug(
    raw_server: RawServer, tmp_path: Path, name: str, options: dict[str, Any], *, held: bool
) -> None:
    """It is written as it is, or the export ends with what it is."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b'{"data":[' + DEEP + b"]}"
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with raw_server(answer) as base_url, exporter.Intercom("dG9r", base_url=base_url) as intercom:
        with nullcontext() if held else pytest.raises(exporter.ContractError, match="nested too deeply"):
            await exporter.export(intercom, tmp_path / name, **options)


async def test_what_stands_in_the_way_of_a_conversion_is_seen_first(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom, tmp_path: Path
) -> None:
    """A link where the file is to be made is refused before any request."""
    (tmp_path / "a.parquet.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises(exporter.ConfigError, match="symbolic link"):
        await exporter.export(intercom, tmp_path / "a.parquet")
    assert sandbox.requests == 0


async def test_a_file_that_vanishes_while_it_is_made_is_made_again(
    intercom: exporter.Intercom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is whole: nothing is to be begun anew."""
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
