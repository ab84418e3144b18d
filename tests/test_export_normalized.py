"""export() with records="normalized": what every strict JSON reader takes, counted, resumed and verified."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

import exporter
from exporter.extras import arrow
from exporter.formats.encoder import Encoder
from exporter.formats.registry import CSV, PARQUET
from exporter.rawjson.normalization import normalize
from tests.support.clients import client_of_list
from tests.support.exports import interrupted_after, verified

CONTACTS = [
    rb'{"type":"contact","id":"1","name":"cut \ud83d","custom_attributes":{"a":1,"a":2}}',
    b'{"type":"contact","id":"2","name":"plain","custom_attributes":{"n":%d}}' % (10**30),
    rb'{"type":"contact","id":"3","email":"x@example.com","custom_attributes":{"rate":1.10,"pi":3.14159265358979323846}}',
    rb'{"type":"contact","id":"4","name":"<\u0026>"}',
]
CORRECTIONS = {"duplicate_key": 1, "large_integer": 1, "lone_surrogate": 1, "lossy_number": 1}
NORMALIZED = [
    {"type": "contact", "id": "1", "name": "cut \ufffd", "custom_attributes": {"a": 2}},
    {"type": "contact", "id": "2", "name": "plain", "custom_attributes": {"n": f"1{'0' * 30}"}},
    {
        "type": "contact",
        "id": "3",
        "email": "x@example.com",
        "custom_attributes": {"rate": 1.1, "pi": "3.14159265358979323846"},
    },
    {"type": "contact", "id": "4", "name": "<&>"},
]


async def test_export_normalized_writes_strict_json_and_counts_corrections(tmp_path: Path) -> None:
    """Each kind of correction is in the manifest; values that need none are equal."""
    async with client_of_list(*CONTACTS) as intercom:
        summary = await exporter.export(intercom, tmp_path / "a.ndjson", records="normalized")
        async with exporter.stream(intercom, records="normalized", compression="gzip") as chunks:
            streamed = gzip.decompress(b"".join([chunk async for chunk in chunks]))
    content = (tmp_path / "a.ndjson").read_bytes()
    assert [orjson.loads(line) for line in content.splitlines()] == NORMALIZED
    assert streamed == content
    manifest = json.loads((tmp_path / "a.ndjson.manifest.json").read_text())
    assert manifest["records"] == summary.records == "normalized"
    assert manifest["corrections"] == summary.corrections == CORRECTIONS
    assert "irregular_contacts" not in manifest
    assert (await verified(tmp_path / "a.ndjson")).differences == ()


@pytest.mark.parametrize("name", ["a.ndjson.gz", "a.ndjson.zst", "a.csv", "a.csv.gz", "a.parquet", "parts/"])
async def test_export_normalized_takes_every_format(tmp_path: Path, name: str) -> None:
    """Any format is made of the corrected contacts, and verified."""
    async with client_of_list(*CONTACTS) as intercom:
        summary = await exporter.export(intercom, f"{tmp_path}/{name}", records="normalized")
    assert summary.corrections == CORRECTIONS
    assert (await verified(tmp_path / name)).differences == ()
    path = next(iter(sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".json")))
    if name == "a.csv":
        assert "cut \ufffd" in path.read_text()
        assert "\\ud83d" not in path.read_text()
    if name == "a.parquet":
        _, parquet = arrow()
        raw = parquet.read_table(path).column("raw").to_pylist()
        assert [orjson.loads(record) for record in raw] == NORMALIZED


async def test_export_normalized_applies_to_what_fields_leave(tmp_path: Path) -> None:
    """Only what is written is corrected; pseudonyms are those of an exact export."""
    selection = exporter.FieldSelection(fields=("id", "name"), pseudonymise=("id",), key=b"sixteen bytes or more")
    async with client_of_list(*CONTACTS) as intercom:
        summary = await exporter.export(intercom, tmp_path / "n.ndjson", selection=selection, records="normalized")
        exact = await exporter.export(intercom, tmp_path / "e.ndjson", selection=selection)
    assert summary.corrections == {"lone_surrogate": 1}
    assert exact.irregular_contacts == 1
    lines = [json.loads(line) for line in (tmp_path / "n.ndjson").read_text().splitlines()]
    expected = [json.loads(line) for line in (tmp_path / "e.ndjson").read_text().splitlines()]
    expected[0]["name"] = "cut \ufffd"
    assert lines == expected


async def test_export_normalized_with_expanded_lists_keeps_them(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """Lists are completed first, and mean the same."""
    expansion = exporter.ListExpansion(("tags",))
    await exporter.export(intercom, tmp_path / "e.ndjson", expansion=expansion, max_contacts=150)
    await exporter.export(intercom, tmp_path / "n.ndjson", expansion=expansion, max_contacts=150, records="normalized")
    exact = (tmp_path / "e.ndjson").read_bytes().splitlines()
    assert (tmp_path / "n.ndjson").read_bytes().splitlines() == [normalize(line, Counter()) for line in exact]


async def test_export_exact_counts_contacts_that_strict_readers_refuse(tmp_path: Path) -> None:
    """The bytes are the API's, and the manifest says how many contacts readers will not take."""
    async with client_of_list(*CONTACTS) as intercom:
        summary = await exporter.export(intercom, tmp_path / "a.ndjson")
        of_table = await exporter.export(intercom, tmp_path / "a.csv")
    assert (tmp_path / "a.ndjson").read_bytes() == b"\n".join((*CONTACTS, b""))
    manifest = json.loads((tmp_path / "a.ndjson.manifest.json").read_text())
    assert manifest["irregular_contacts"] == summary.irregular_contacts == 3
    assert not manifest.keys() & {"records", "corrections"}
    assert of_table.irregular_contacts == 0


def test_encoder_checks_for_strict_readers_what_costs_little() -> None:
    """Every contact of the first page and of pages with lone surrogates, a few of others, none of tables."""
    records = tuple(CONTACTS * 8)

    def irregular(number: int, *, plain: bool = True) -> int:
        return Encoder().encode(exporter.Page(number, records, None, None, plain=plain)).irregular

    assert [irregular(number) for number in (1, 2, 5, 6, 101)] == [24, 1, 1, 1, 0]
    assert irregular(101, plain=False) == 24
    assert not any(Encoder(output_format=form).strictness(exporter.Page(1, (), None, None)) for form in (CSV, PARQUET))


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz", "parts/"])
async def test_export_normalized_resumes_to_the_same_bytes(
    intercom: exporter.Intercom, tmp_path: Path, name: str
) -> None:
    """It ends as if nothing had interrupted it, counts included."""
    settings: dict[str, Any] = {"records": "normalized", "consumers": 1}
    (tmp_path / "whole").mkdir()
    whole = await exporter.export(intercom, f"{tmp_path}/whole/{name}", **settings)
    with interrupted_after(3) as observer:
        await exporter.export(intercom, f"{tmp_path}/{name}", observer=observer, **settings)
    with pytest.raises(exporter.CheckpointError, match="records"):
        await exporter.export(intercom, f"{tmp_path}/{name}")
    summary = await exporter.export(intercom, f"{tmp_path}/{name}", **settings)
    assert summary.runs == 2
    assert summary.corrections == whole.corrections != {}
    assert [file.sha256 for file in summary.files] == [file.sha256 for file in whole.files]
    with pytest.raises(exporter.CheckpointError, match="records"):
        await exporter.export(intercom, f"{tmp_path}/{name}")


async def test_export_resumes_from_a_checkpoint_without_records(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """Checkpoints and manifests made before are of exact exports."""
    path = tmp_path / "a.ndjson"
    with interrupted_after(1) as observer:
        await exporter.export(intercom, path, observer=observer)
    checkpoint = path.with_name("a.ndjson.checkpoint.json")
    content = json.loads(checkpoint.read_text())
    assert content["settings"].pop("records") == "exact"
    del content["figures"]["corrections"], content["figures"]["irregular_contacts"]
    checkpoint.write_text(json.dumps(content))
    assert (await exporter.export(intercom, path)).runs == 2


async def test_verify_finds_what_is_not_normalized(tmp_path: Path) -> None:
    """An export that calls itself normalized is checked for it, line by line."""
    path = tmp_path / "a.ndjson"
    async with client_of_list(*CONTACTS) as intercom:
        await exporter.export(intercom, path)
    manifest = path.with_name("a.ndjson.manifest.json")
    manifest.write_text(manifest.read_text().replace('"timeline"', '"records": "normalized",\n  "timeline"'))
    assert (await verified(path)).differences == (
        "line 1 of 'a.ndjson' is not normalized: it has duplicate keys, texts with lone surrogates",
        "line 2 of 'a.ndjson' is not normalized: it has integers beyond 64 bits",
        "line 3 of 'a.ndjson' is not normalized: it has numbers that a double cannot hold",
    )


@pytest.mark.parametrize("records", ["strict", "", None])
async def test_export_with_unknown_records_is_refused(
    intercom: exporter.Intercom, tmp_path: Path, records: Any
) -> None:
    """There are two kinds, and nothing is requested for a third."""
    with pytest.raises(exporter.ConfigError, match="'exact' or 'normalized'"):
        await exporter.export(intercom, tmp_path / "a.ndjson", records=records)
    with pytest.raises(exporter.ConfigError, match="'exact' or 'normalized'"):
        async with exporter.stream(intercom, records=records):
            pass
    assert list(tmp_path.iterdir()) == []


def test_command_says_what_was_corrected_and_names_the_option(command: Any) -> None:
    """One line for each: of an exact export, and of a normalized one."""
    exact = command.run("demo", "--contacts", "20", "--hostile", "-o", "e.ndjson")
    assert exact.returncode == 0
    assert b"at least 1 contact cannot be loaded unchanged" in exact.stderr
    assert b"--records normalized" in exact.stderr
    normalized = command.run("demo", "--contacts", "20", "--hostile", "-o", "n.ndjson", "--records", "normalized")
    assert normalized.returncode == 0
    assert b"corrected for strict JSON readers: 4 integers beyond 64 bits" in normalized.stderr
    assert command.run("demo", "--contacts", "20", "--hostile", "-o", "n.ndjson").returncode == 6
    assert command.run("demo", "--contacts", "20", "--hostile", "-o", "x.ndjson", "--records", "strict").returncode == 2
