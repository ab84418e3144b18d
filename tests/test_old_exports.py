"""Exports that version 0.1.0 made: verified, resumed, reported on and replayed by this version."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import exporter
from tests.fixtures.served import OF_0_1_0, ORIGIN, stored_contacts, stored_records
from tests.support.exports import files_in, verified

KINDS: dict[str, dict[str, Any]] = {"finished.ndjson.gz": {}, "finished": {"part_contacts": 20}}
UNFINISHED: dict[str, dict[str, Any]] = {"unfinished.ndjson.gz": {}, "unfinished/": {"part_contacts": 20}}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a folder with copies of the old exports."""
    shutil.copytree(OF_0_1_0, tmp_path / "old")
    return tmp_path / "old"


def data_in(path: Path) -> list[bytes]:
    """Read the data files of an export, or of the unfinished one that is to become it."""
    if path.is_dir():
        return [file.read_bytes() for file in sorted(path.glob("*.ndjson.gz"))]
    return [path.read_bytes()]


def lines_in(path: Path) -> list[bytes]:
    """Read the contacts of an export."""
    return b"".join(map(gzip.decompress, data_in(path))).splitlines()


@pytest.mark.parametrize("kind", KINDS)
async def test_verify_old_export_finds_no_difference(old: Path, kind: str) -> None:
    """The manifest of an old export is read, and its files are what it says."""
    result = await verified(old / kind)
    assert result.differences == ()
    assert result.summary is not None
    assert result.summary.contacts == 45


@pytest.mark.parametrize("kind", KINDS)
async def test_export_to_old_finished_export_requests_nothing(old: Path, kind: str) -> None:
    """The same command finds the old export complete, and leaves each of its bytes alone."""
    before = files_in(old)
    async with stored_contacts([]) as intercom:
        summary = await exporter.export(intercom, old / kind, **KINDS[kind])
    assert (summary.contacts, summary.requests) == (45, 5)
    assert files_in(old) == before


@pytest.mark.parametrize("tail", [b"", b"written after the last checkpoint"])
@pytest.mark.parametrize("kind", UNFINISHED)
async def test_export_to_old_unfinished_export_resumes_it(old: Path, kind: str, tail: bytes) -> None:
    """What was committed stays as it is, the rest follows, and the contacts are those of an undisturbed export."""
    part = next((old / kind).rglob("*.part")) if kind.endswith("/") else old / f"{kind}.part"
    committed = part.read_bytes()
    part.write_bytes(committed + tail)
    async with stored_contacts(stored_records()) as intercom:
        summary = await exporter.export(intercom, f"{old}/{kind}", **UNFINISHED[kind])
    assert (summary.contacts, summary.runs, summary.requests) == (45, 2, 4 + 2)
    assert lines_in(old / kind) == stored_records()
    resumed = data_in(old / kind)[1 if kind.endswith("/") else 0]
    assert resumed.startswith(committed)
    assert [hashlib.sha256(content).hexdigest() for content in data_in(old / kind)] == [f.sha256 for f in summary.files]
    result = await verified(old / kind)
    assert result.differences == ()
    assert not [name for name in files_in(old / kind) if "checkpoint" in name or name.endswith((".part", ".tmp"))]


@pytest.mark.parametrize("kind", [*KINDS, "unfinished/"])
async def test_export_overwriting_old_export_leaves_nothing_of_it(old: Path, kind: str) -> None:
    """With other settings and ``overwrite`` the old export goes, with its manifest, checkpoint and parts."""
    folder = (old / kind).parent if kind == "finished.ndjson.gz" else old / kind
    options: dict[str, Any] = {} if kind == "finished.ndjson.gz" else {"part_contacts": 30}
    async with stored_contacts(stored_records()[:35]) as intercom:
        await exporter.export(intercom, f"{old}/{kind}", overwrite=True, max_contacts=35, **options)
        (old.parent / "new").mkdir()
        fresh = old.parent / "new" / Path(kind).name
        await exporter.export(intercom, f"{fresh}/" if options else fresh, max_contacts=35, **options)
    assert lines_in(old / kind) == stored_records()[:35]
    if options:
        assert sorted(files_in(folder)) == sorted(files_in(fresh))
        assert "manifest.json" not in files_in(folder)


async def test_export_to_old_unfinished_folder_gives_it_the_names_of_today(old: Path) -> None:
    """It is not left with names that readers of data sets stumble over."""
    async with stored_contacts(stored_records()) as intercom:
        await exporter.export(intercom, f"{old}/unfinished/", part_contacts=20)
    parts = [f"contacts-{number:05}.ndjson.gz" for number in (1, 2, 3)]
    assert sorted(files_in(old / "unfinished")) == ["_manifest.json", *parts]


async def test_export_to_folder_with_both_checkpoints_believes_the_one_of_today(old: Path) -> None:
    """A checkpoint under the old name, beside one of today's, is not read, and goes."""
    folder = old / "unfinished"
    (folder / "checkpoint.json").rename(folder / "_checkpoint.json")
    (folder / "checkpoint.json").write_bytes(b"damaged")
    async with stored_contacts(stored_records()) as intercom:
        summary = await exporter.export(intercom, f"{folder}/", part_contacts=20)
    assert summary.runs == 2
    assert "checkpoint.json" not in files_in(folder)


@pytest.mark.parametrize("given", ["", "manifest.json", "_manifest.json"])
async def test_verify_folder_with_both_manifests_believes_the_one_of_today(old: Path, given: str) -> None:
    """The manifest under the old name is not read, whichever is named, and counts as a file that does not belong."""
    folder = old / "finished"
    (folder / "manifest.json").rename(folder / "_manifest.json")
    (folder / "manifest.json").write_bytes(b"damaged")
    result = await verified(folder / given)
    assert result.differences == ("'manifest.json' is in the folder, but not in the manifest",)


@pytest.mark.parametrize("kind", KINDS)
async def test_replay_old_export_serves_its_contacts(old: Path, kind: str) -> None:
    """A sandbox serves an old export byte for byte."""
    replay = await anyio.to_thread.run_sync(exporter.Replay, str(old / kind))
    async with (
        exporter.Sandbox(replay=replay) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom,
    ):
        served = [record async for page in intercom.pages() for record in page.records]
    assert served == stored_records()


@pytest.mark.parametrize("kind", KINDS)
def test_report_old_export_writes_its_page(old: Path, kind: str, command: Any) -> None:
    """The command reports on an old export, and verifies it."""
    done = command.run("report", str(old / kind), "--html", str(old.parent / "page.html"))
    assert done.returncode == 0, done.stderr
    assert b"45" in (old.parent / "page.html").read_bytes()
    assert command.run("verify", "-q", str(old / kind)).returncode == 0


def test_old_exports_are_what_their_readme_says() -> None:
    """They have a manifest or a checkpoint of version 0.1.0, and neither an address nor a token."""
    for path in (OF_0_1_0 / "finished" / "manifest.json", OF_0_1_0 / "finished.ndjson.gz.manifest.json"):
        manifest = json.loads(path.read_bytes())
        assert (manifest["tool"], manifest["source"]["base_url"]) == ("intercom-exporter 0.1.0", ORIGIN)
    for path in (OF_0_1_0 / "unfinished" / "checkpoint.json", OF_0_1_0 / "unfinished.ndjson.gz.checkpoint.json"):
        assert json.loads(path.read_bytes())["settings"]["base_url"] == ORIGIN
