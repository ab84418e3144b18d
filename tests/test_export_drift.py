"""export() of contacts that are not as documented: all of them are written, and the manifest counts what is odd."""

import json
from pathlib import Path

import exporter
from exporter.formats.encoder import Encoder
from exporter.formats.registry import CSV
from tests.support.clients import client_of_list
from tests.support.exports import interrupted_after

ODD = [
    {"id": "1", "applied_at": 1},
    {"id": "2", "role": 5, "applied_at": None},
    {"id": "3", "role": "user"},
    {"id": "4", **{f"new_{number:03}": 0 for number in range(150)}},
]


async def test_schema_drift_is_written_and_counted(tmp_path: Path) -> None:
    """By field and kind; at most a hundred fields are counted by name."""
    contacts = [json.dumps(contact, separators=(",", ":")).encode() for contact in ODD]
    async with client_of_list(*contacts) as intercom:
        summary = await exporter.export(intercom, tmp_path / "a.ndjson")
    written = (tmp_path / "a.ndjson").read_bytes().splitlines()
    assert written == contacts
    manifest = json.loads((tmp_path / "a.ndjson.manifest.json").read_text())
    assert manifest["schema_drift"] == summary.schema_drift
    assert manifest["schema_checked"] == summary.schema_checked == len(ODD)
    drift = manifest["schema_drift"]
    assert len(drift) == 101
    assert sum(count for kinds in drift.values() for count in kinds.values()) == 153
    assert drift["applied_at"] == {"unknown": 2}
    assert drift["(others)"] == {"unknown": 51, "integer": 1}


async def test_field_named_by_the_token_is_counted_without_its_name(tmp_path: Path) -> None:
    """A server may echo the token anywhere; the contact itself is written as it came."""
    token = "dG9rOjBmOWMxZDUyXzNiN2FfNGYw"
    contact = json.dumps({"id": "1", token: 1, "custom_attributes": {}, "tags": {f"x{token}y": 1}, "new": 1}).encode()
    async with client_of_list(contact, token=token) as intercom:
        summary = await exporter.export(intercom, tmp_path / "a.ndjson")
    assert (tmp_path / "a.ndjson").read_bytes() == contact + b"\n"
    assert summary.schema_drift["new"] == {"unknown": 1}
    assert sum(summary.schema_drift["(withheld)"].values()) >= 1
    assert token not in (tmp_path / "a.ndjson.manifest.json").read_text()


def test_schema_check_of_a_large_workspace_samples_pages() -> None:
    """The first hundred pages, and every sixteenth after them, whichever run they are in."""

    def checked(encoder: Encoder, numbers: range) -> list[int]:
        pages = [exporter.Page(number, (), None, None) for number in numbers]
        return [page.number + encoder.pages_written_before for page in pages if encoder.checks_schema(page)]

    expected = [*range(1, 101), 112, 128, 144, 160]
    assert checked(Encoder(), range(1, 170)) == expected
    assert checked(Encoder(pages_written_before=90), range(1, 80)) == expected[90:]
    assert checked(Encoder(output_format=CSV, columns=("id",)), range(1, 170)) == [*range(1, 170)]


async def test_schema_check_of_a_resumed_export_counts_all_runs(sandbox: exporter.Sandbox, tmp_path: Path) -> None:
    """What was compared before the interruption is in the checkpoint."""
    sampled = 100 + len([number for number in range(101, 1_001) if number % 16 == 0])

    async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=1) as intercom:
        with interrupted_after(130) as observer:
            await exporter.export(intercom, tmp_path / "a.ndjson", observer=observer)
        assert json.loads((tmp_path / "a.ndjson.checkpoint.json").read_text())["figures"]["schema_checked"] < sampled
        summary = await exporter.export(intercom, tmp_path / "a.ndjson")
    assert (summary.schema_checked, summary.schema_drift) == (sampled, {})
