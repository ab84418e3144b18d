"""export() with a shape: through the checkpoint, the manifest and verify."""

import gzip
import json
from pathlib import Path

import pytest

import exporter
from tests.support.exports import interrupted_after, verified

KEY = b"a key of more than sixteen bytes"
SHAPE = exporter.FieldSelection(
    fields=("id", "email", "custom_attributes.NPS", "no.such"), drop=("nothing",), pseudonymise=("email",), key=KEY
)


@pytest.mark.slow
async def test_shaped_export_has_each_contact_with_selected_fields(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """What is written is what the shape makes of each contact, in order, plain and compressed and streamed."""
    expected = b"".join(SHAPE.apply(record, set()) + b"\n" for record in sandbox.workspace.records(0, 1_000))
    await exporter.export(intercom, tmp_path / "a.ndjson", selection=SHAPE)
    await exporter.export(intercom, tmp_path / "a.ndjson.gz", selection=SHAPE)
    async with exporter.stream(intercom, selection=SHAPE) as chunks:
        streamed = b"".join([chunk async for chunk in chunks])
    assert (tmp_path / "a.ndjson").read_bytes() == expected
    assert gzip.decompress((tmp_path / "a.ndjson.gz").read_bytes()) == expected
    assert streamed == expected


async def test_manifest_records_the_selection(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """Which fields, and which of them no contact has; never the key."""
    summary = await exporter.export(intercom, tmp_path / "a.ndjson", selection=SHAPE)
    content = (tmp_path / "a.ndjson.manifest.json").read_text()
    manifest = json.loads(content)
    assert manifest["fields"] == list(SHAPE.fields)
    assert manifest["dropped"] == ["nothing"]
    assert manifest["pseudonymised"] == ["email"]
    assert manifest["pseudonym_key"] == SHAPE.key_check
    assert manifest["unknown_fields"] == ["no.such", "nothing"]
    assert summary.unknown_fields == ("no.such", "nothing")
    assert KEY.decode() not in content
    assert KEY.hex() not in content


async def test_manifest_without_a_selection_does_not_mention_one(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """An empty list could be misunderstood."""
    await exporter.export(intercom, tmp_path / "a.ndjson")
    manifest = json.loads((tmp_path / "a.ndjson.manifest.json").read_text())
    assert not manifest.keys() & {"fields", "dropped", "pseudonymised", "pseudonym_key", "unknown_fields"}


@pytest.mark.slow
async def test_pseudonyms_are_the_same_in_two_exports(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """So what was exported twice, or by somebody else with the same key, can be joined."""
    for name in ("a.ndjson", "b.ndjson"):
        await exporter.export(intercom, tmp_path / name, selection=SHAPE)
    assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "b.ndjson").read_bytes()


@pytest.mark.slow
async def test_shaped_export_resumes_to_the_same_bytes(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """It ends as if nothing had interrupted it; fields that were found before count as found."""
    first_only = exporter.FieldSelection(fields=("id", "custom_attributes.NPS"))
    await exporter.export(intercom, tmp_path / "whole.ndjson", selection=first_only)
    with interrupted_after(6) as observer:
        await exporter.export(intercom, tmp_path / "a.ndjson", selection=first_only, observer=observer, consumers=1)
    assert json.loads((tmp_path / "a.ndjson.checkpoint.json").read_text())["figures"]["found"] == [
        "custom_attributes.NPS",
        "id",
    ]
    summary = await exporter.export(intercom, tmp_path / "a.ndjson", selection=first_only)
    assert summary.runs == 2
    assert summary.unknown_fields == ()
    assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "whole.ndjson").read_bytes()


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (exporter.FieldSelection(), "fields"),
        (exporter.FieldSelection(fields=("email", "id")), "fields"),
        (exporter.FieldSelection(fields=SHAPE.fields, drop=("x",)), "dropped"),
        (exporter.FieldSelection(fields=SHAPE.fields, drop=SHAPE.drop), "pseudonymised"),
        (
            exporter.FieldSelection(fields=SHAPE.fields, drop=SHAPE.drop, pseudonymise=("email",), key=KEY[::-1]),
            "pseudonym key",
        ),
    ],
)
async def test_resume_with_another_selection_is_refused(
    intercom: exporter.Intercom, tmp_path: Path, other: exporter.FieldSelection, word: str
) -> None:
    """Neither a finished nor an unfinished export is taken for one with other fields or another key."""
    await exporter.export(intercom, tmp_path / "a.ndjson", selection=SHAPE)
    with pytest.raises(exporter.CheckpointError, match=word):
        await exporter.export(intercom, tmp_path / "a.ndjson", selection=other)


@pytest.mark.parametrize(
    "selection",
    [
        SHAPE,
        exporter.FieldSelection(fields=("email",)),
        exporter.FieldSelection(drop=("id",)),
        exporter.FieldSelection(pseudonymise=("id",), key=KEY),
    ],
)
async def test_verify_accepts_any_selection(
    intercom: exporter.Intercom, tmp_path: Path, selection: exporter.FieldSelection
) -> None:
    """Ids that were left out on purpose are not reported as missing."""
    await exporter.export(intercom, tmp_path / "a.ndjson", selection=selection)
    result = await verified(tmp_path / "a.ndjson")
    assert result.differences == ()


async def test_verify_reports_ids_that_are_missing(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """A line without an id is a difference, unless ids were left out on purpose."""
    path = tmp_path / "a.ndjson"
    await exporter.export(intercom, path, selection=exporter.FieldSelection(fields=("email",)))
    manifest = path.with_name("a.ndjson.manifest.json")
    manifest.write_text(manifest.read_text().replace('"fields": [\n    "email"\n  ],', ""))
    result = await verified(path)
    assert "without an id" in " ".join(result.differences)
