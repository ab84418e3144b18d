"""Replay serves a finished export with the same bytes and the same responses, from any position."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest

import exporter
from exporter.archive.finished import FinishedExport
from exporter.compression import gzip_member, zstd_frame
from exporter.extras import arrow
from tests.support.report_exports import write_export

Serve = Callable[..., AbstractContextManager[Any]]
FORMATS = ("a.ndjson", "a.ndjson.gz", "a.ndjson.zst", "a.parquet")


async def export_workspace(folder: Path, name: str, contacts: int = 1_700, **options: Any) -> exporter.Sandbox:
    """Export a synthetic workspace; return its sandbox as the reference."""
    async with exporter.Sandbox(contacts, hostile=True) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            await exporter.export(intercom, f"{folder}/{name}", **options)
    return sandbox


async def open_replay(path: Path | str) -> exporter.Replay:
    """Open the replay of an export without blocking the event loop."""
    return await anyio.to_thread.run_sync(exporter.Replay, str(path))


async def export_replay(source: Path, target: Path, **options: Any) -> exporter.Summary:
    """Export the contacts that a replay serves."""
    replay = await open_replay(source)
    async with exporter.Sandbox(replay=replay) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            return await exporter.export(intercom, target, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
async def test_replay_exported_again_gives_same_bytes(tmp_path: Path, name: str) -> None:
    """This includes hostile contacts, compression and Parquet tables."""
    await export_workspace(tmp_path, name)
    second = tmp_path / "again"
    second.mkdir()
    summary = await export_replay(tmp_path / name, second / name)
    assert (summary.complete, summary.contacts, summary.total_count_last) == (True, 1_700, 1_700)
    assert (second / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["ndjson", "ndjson.gz", "parquet"])
async def test_replay_of_folder_serves_parts_in_order(tmp_path: Path, form: str) -> None:
    """The first contact of a part follows the last contact of the previous part."""
    await export_workspace(tmp_path, "parts/", part_contacts=400, file_format=form)
    await export_replay(tmp_path / "parts", tmp_path / f"one.{form}")
    await export_workspace(tmp_path, f"truth.{form}")
    assert (tmp_path / f"one.{form}").read_bytes() == (tmp_path / f"truth.{form}").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
async def test_replay_records_of_any_range_match_workspace(tmp_path: Path, name: str) -> None:
    """The ranges go forward, backward, across units and beyond the end."""
    truth = (await export_workspace(tmp_path, name, 2_600)).workspace
    replay = await open_replay(tmp_path / name)
    ranges = [(2_000, 2_010), (0, 1), (149, 152), (2_590, 9_999), (1_000, 1_300), (500, 500), (2_600, 2_700), (7, 8)]
    for start, stop in ranges:
        records = await anyio.to_thread.run_sync(replay.records, start, stop)
        assert records == [record.replace(b"\n", b" ").replace(b"\r", b" ") for record in truth.records(start, stop)]
    assert len(replay) == 2_600


@pytest.mark.slow
async def test_replay_with_other_page_size_serves_that_size(tmp_path: Path) -> None:
    """A client that requests seven contacts per page gets seven."""
    await export_workspace(tmp_path, "a.ndjson.gz")
    replay = await open_replay(tmp_path / "a.ndjson.gz")
    async with exporter.Sandbox(replay=replay) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=7) as intercom:
            sizes = [len(page.records) async for page in intercom.pages()]
    assert sizes == [7] * 242 + [6]


async def test_replay_serves_lists_of_single_contacts(tmp_path: Path) -> None:
    """Tags and attributes are those of the export; an unknown contact gets status 404."""
    await export_workspace(tmp_path, "a.ndjson", 400, expansion=exporter.ListExpansion(("tags",), tag_names=True))
    contacts = [json.loads(line) for line in (tmp_path / "a.ndjson").read_text().splitlines()]
    chosen = next(contact for contact in contacts if len((contact["tags"] or {}).get("data", [])) > 10)
    replay = await open_replay(tmp_path / "a.ndjson")
    async with exporter.Sandbox(replay=replay) as sandbox, httpx.AsyncClient(base_url=sandbox.base_url) as client:
        client.headers["Authorization"] = f"Bearer {sandbox.token}"
        client.headers["Intercom-Version"] = "2.14"
        assert (await client.get(f"/contacts/{chosen['id']}/tags")).json()["data"] == chosen["tags"]["data"]
        assert (await client.get("/contacts/5f0000000000000000000000/tags")).status_code == 404
        names = {tag["name"] for tag in (await client.get("/tags")).json()["data"]}
        assert {tag["name"] for tag in chosen["tags"]["data"]} <= names
        attributes = (await client.get("/data_attributes")).json()["data"]
        assert {name for contact in contacts for name in contact["custom_attributes"]} <= {
            attribute["name"] for attribute in attributes
        }
        assert (await client.get("/me")).json()["app"]["name"] == "a.ndjson"


async def test_replay_of_csv_is_refused(tmp_path: Path) -> None:
    """A CSV file no longer holds the contacts as the API sent them."""
    await export_workspace(tmp_path, "a.csv", 10)
    with pytest.raises(exporter.ConfigError, match="CSV"):
        await open_replay(str(tmp_path / "a.csv"))


async def test_replay_of_path_without_finished_export_is_refused(tmp_path: Path) -> None:
    """Cases: no file, no manifest, a manifest of another file, a file of another length."""
    with pytest.raises(exporter.ConfigError):
        await open_replay(str(tmp_path / "missing.ndjson"))
    with pytest.raises(exporter.ConfigError):
        await open_replay("")
    (tmp_path / "foreign.ndjson").write_bytes(b"{}\n")
    with pytest.raises(exporter.ConfigError, match=r"no such|not a finished"):
        await open_replay(str(tmp_path / "foreign.ndjson"))
    await export_workspace(tmp_path, "a.ndjson", 10)
    manifest = tmp_path / "a.ndjson.manifest.json"
    (tmp_path / "b.ndjson").write_bytes((tmp_path / "a.ndjson").read_bytes())
    (tmp_path / "b.ndjson.manifest.json").write_bytes(manifest.read_bytes())
    with pytest.raises(exporter.ConfigError, match="manifest describes"):
        await open_replay(str(tmp_path / "b.ndjson"))
    with (tmp_path / "a.ndjson").open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(exporter.ConfigError, match="bytes"):
        await open_replay(str(tmp_path / "a.ndjson"))


@pytest.mark.parametrize("name", FORMATS)
async def test_replay_of_damaged_export_raises_error(tmp_path: Path, name: str) -> None:
    """A client gets an error or an invalid page, never a list with missing contacts."""
    await export_workspace(tmp_path, name, 600)
    file = tmp_path / name
    content = bytearray(file.read_bytes())
    content[len(content) // 3 : len(content) * 2 // 3] = bytes(len(content) * 2 // 3 - len(content) // 3)
    file.write_bytes(content)
    replay = await open_replay(file)
    with pytest.raises(exporter.SinkError, match="run verify for details"):
        await anyio.to_thread.run_sync(replay.records, 0, 1_000)
    async with exporter.Sandbox(replay=replay) as sandbox:
        retry_policy = exporter.RetryPolicy(max_attempts=2, initial_backoff_s=0.001)
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom:
            with pytest.raises((exporter.RetriesExhausted, exporter.ContractError)):
                [page async for page in intercom.pages()]


async def test_replay_with_cursor_of_other_export_is_refused(tmp_path: Path) -> None:
    """The cursor would lead to wrong pages."""
    cursors = []
    for name, contacts in (("a.ndjson", 400), ("b.ndjson", 600)):
        await export_workspace(tmp_path, name, contacts)
        replay = await open_replay(tmp_path / name)
        async with exporter.Sandbox(replay=replay) as sandbox:
            assert sandbox.contacts == contacts
            async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
                cursors.append((await anext(intercom.pages())).next_cursor)
                if len(cursors) == 2:
                    with pytest.raises(exporter.CursorError):
                        await anext(intercom.pages(cursors[0]))


async def test_replay_list_rows_keep_their_bytes(tmp_path: Path) -> None:
    """Escapes, number formats and long integers stay as written; /tags omits a tag without a name."""
    record = (
        b'{"id":"5f0000000000000000000001","tags":{"type":"list","data":[{"id":"7","name":"R\\u0026D","n":1.10},'
        b'{"id":"8"},{"id":"9","name":"x","n":123456789012345678901234567890}],"has_more":false}}'
    )
    write_export(tmp_path / "a.ndjson", [record.decode()])
    replay = await open_replay(tmp_path / "a.ndjson")
    async with exporter.Sandbox(replay=replay) as sandbox, httpx.AsyncClient(base_url=sandbox.base_url) as client:
        client.headers["Authorization"] = f"Bearer {sandbox.token}"
        rows = (await client.get("/contacts/5f0000000000000000000001/tags")).content
        named = (await client.get("/tags")).content
    assert record[record.index(b'[{"id":"7"') : record.index(b',"has_more"')] in rows
    assert b'"name":"R\\u0026D"' in named
    assert b'"id":"8"' not in named


async def test_replay_token_is_random(tmp_path: Path) -> None:
    """A sandbox with synthetic contacts has a fixed token."""
    await export_workspace(tmp_path, "a.ndjson", 10)
    replay = await open_replay(tmp_path / "a.ndjson")
    tokens = {exporter.Sandbox(replay=replay).token for _ in range(3)} | {exporter.Sandbox().token}
    assert len(tokens) == 4
    assert exporter.Sandbox().token == exporter.Sandbox().token
    assert exporter.Sandbox(replay=replay, token="mine").token == "mine"


@pytest.mark.parametrize("suffix", ["ndjson.gz", "ndjson.zst"])
def test_replay_of_compression_bomb_keeps_memory_bounded(tmp_path: Path, command: Any, suffix: str) -> None:
    """A member with millions of lines is reported as damaged."""
    compress = gzip_member if suffix.endswith("gz") else zstd_frame
    path = command.folder / f"bomb.{suffix}"
    content = b"{}\n" * 60_000_000
    write_export(path, ["{}"], compress(content))
    program = (
        "import resource, sys, exporter\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2_500_000_000,) * 2)\n"
        f"replay = exporter.Replay({str(path)!r})\n"
        "try: replay.records(0, 1)\n"
        "except exporter.SinkError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"damaged" in done.stdout


async def test_replay_of_file_replaced_while_serving_is_refused(tmp_path: Path) -> None:
    """A replay never mixes two exports."""
    await export_workspace(tmp_path, "a.ndjson", 600)
    replay = await open_replay(tmp_path / "a.ndjson")
    assert len(await anyio.to_thread.run_sync(replay.records, 0, 10)) == 10
    content = (tmp_path / "a.ndjson").read_bytes()
    (tmp_path / "a.ndjson").unlink()
    (tmp_path / "a.ndjson").write_bytes(content)
    with pytest.raises(exporter.SinkError, match="modified while being served"):
        await anyio.to_thread.run_sync(replay.records, 500, 600)


def test_replay_of_very_long_line_returns_it_complete(tmp_path: Path) -> None:
    """The read time must not grow with the square of the length: such a test would take too long."""
    write_export(tmp_path / "a.ndjson", ['{"id":"1","x":"' + "x" * 60_000_000 + '"}', '{"id":"2"}'])
    replay = exporter.Replay(str(tmp_path / "a.ndjson"))
    assert [len(record) for record in replay.records(0, 2)] == [60_000_017, 10]


async def test_replay_of_parquet_with_invalid_contact_is_refused(tmp_path: Path) -> None:
    """A null, or text of two lines, is not a contact."""
    pa, parquet = arrow()
    for invalid in (None, '{"id":"1"}\n,{"id":"7"}'):
        table = pa.table({"raw": pa.array([invalid], pa.string())})
        parquet.write_table(table, tmp_path / "a.parquet", use_dictionary=False)
        write_export(tmp_path / "a.parquet", ["{}"], (tmp_path / "a.parquet").read_bytes())
        replay = await open_replay(tmp_path / "a.parquet")
        with pytest.raises(exporter.SinkError, match="damaged"):
            await anyio.to_thread.run_sync(replay.records, 0, 1)


@pytest.mark.slow
def test_sandbox_command_stopped_by_signal_leaves_no_temporary_file(command: Any, tmp_path: Path) -> None:
    """No id stays in the temporary folder, and a signal does not wait until all ids are read."""
    command.run("demo", "--contacts=60000", "-q", "-o", "a.ndjson")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    run = command.start("sandbox", "--from", "a.ndjson", TMPDIR=str(temporary))
    assert run.stdout is not None
    address = json.loads(run.stdout.readline())
    headers = {"Authorization": f"Bearer {address['token']}", "Intercom-Version": "2.14"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{address['base_url']}/tags", headers=headers, timeout=0.2)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)
    assert run.returncode == 0
    assert list(temporary.iterdir()) == []


def test_sandbox_command_from_export_serves_same_bytes(serve: Serve, command: Any) -> None:
    """An export from `sandbox --from` is byte-identical to the source export."""
    command.run("demo", "--contacts=500", "-q", "-o", "a.ndjson.gz")
    with serve("--from", str(command.folder / "a.ndjson.gz")) as served:
        done = command.run("contacts", "-q", "-o", "b.ndjson.gz", served=served)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (command.folder / "b.ndjson.gz").read_bytes() == (command.folder / "a.ndjson.gz").read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [("--from", "missing"), ("--from", "a.ndjson", "--change", "insert=1"), ("--from", "a.ndjson", "--contacts", "5")],
)
def test_sandbox_command_with_invalid_arguments_prints_one_line(command: Any, arguments: tuple[str, ...]) -> None:
    """It exits with code 2."""
    command.run("demo", "--contacts=5", "-q", "-o", "a.ndjson")
    done = command.run("sandbox", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)


async def test_finished_export_of_folder_lists_files_in_order(tmp_path: Path) -> None:
    """The files are those of the manifest."""
    await export_workspace(tmp_path, "parts/", part_contacts=400, file_format="ndjson")
    export = await anyio.to_thread.run_sync(FinishedExport, tmp_path / "parts")
    assert [file.name for file, _ in export.files] == [f"contacts-{number:05}.ndjson" for number in range(1, 7)]
    assert export.summary.contacts == 1_700
