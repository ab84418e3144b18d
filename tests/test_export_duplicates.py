"""export() of a workspace that changes while it is read: contacts that are listed twice are counted."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

import exporter
from exporter.archive.key_count import KeyCount
from tests.support.exports import verified

CONTACTS, PER_PAGE = 60, 10
OUTPUTS: dict[str, dict[str, Any]] = {
    "a.ndjson": {},
    "a.ndjson.gz": {},
    "a.ndjson.zst": {},
    "a.parquet": {},
    "parts/": {"part_contacts": 20},
    "tables/": {"part_contacts": 20, "file_format": "parquet"},
}


async def exported(path: str, stop_at: int | None = None, **settings: Any) -> exporter.Summary | None:
    """Export while two contacts of the first page move to the end; stop after some pages, and resume."""
    async with (
        exporter.Sandbox(CONTACTS) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=PER_PAGE) as intercom,
    ):
        with anyio.CancelScope() as scope:

            def observe(event: exporter.Event) -> None:
                if isinstance(event, exporter.PageWritten) and event.position.pages == 1:
                    sandbox.change("update", 0, CONTACTS - 1)
                    sandbox.change("update", 0, CONTACTS - 1)
                if isinstance(event, exporter.PageWritten) and event.position.pages == stop_at:
                    scope.cancel()

            summary = await exporter.export(intercom, path, observer=observe, queue_pages=1, consumers=1, **settings)
        return await exporter.export(intercom, path, **settings) if scope.cancelled_caught else summary


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("stop_at", [None, 2, 4])
async def test_export_counts_contacts_that_are_listed_twice(tmp_path: Path, output: str, stop_at: int | None) -> None:
    """Over all runs of an export, and verify agrees."""
    summary = await exported(f"{tmp_path}/{output}", stop_at, **OUTPUTS[output])
    assert summary is not None
    assert (summary.duplicates, summary.runs) == (2, 1 if stop_at is None else 2)
    result = await verified(tmp_path / output)
    assert (result.duplicates, result.differences, len(result.warnings)) == (2, (), 1)


@pytest.mark.parametrize(
    "selection", [exporter.FieldSelection(fields=("email",)), exporter.FieldSelection(drop=("id",))]
)
async def test_export_without_ids_counts_duplicates_until_it_is_resumed(
    tmp_path: Path, selection: exporter.FieldSelection
) -> None:
    """Ids are known while pages come, and not from files without them: then the count is not given."""
    whole = await exported(f"{tmp_path}/a.ndjson", selection=selection)
    resumed = await exported(f"{tmp_path}/b.ndjson", 3, selection=selection)
    of_table = await exported(f"{tmp_path}/c.csv", 3)
    assert [summary and summary.duplicates for summary in (whole, resumed, of_table)] == [2, None, None]
    assert json.loads((tmp_path / "a.ndjson.manifest.json").read_text())["duplicates"] == 2
    assert "duplicates" not in json.loads((tmp_path / "b.ndjson.manifest.json").read_text())


async def test_export_of_a_quiet_workspace_has_no_duplicates(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """Then the manifest says zero."""
    summary = await exporter.export(intercom, tmp_path / "a.ndjson")
    assert summary.duplicates == json.loads((tmp_path / "a.ndjson.manifest.json").read_text())["duplicates"] == 0


def test_verify_of_duplicates_is_strict_only_on_request(command: Any) -> None:
    """Exit code 0 with a line, 7 with --strict."""
    assert command.run("demo", "-q", "--contacts", "20", "-o", "a.ndjson").returncode == 0
    path = command.folder / "a.ndjson"
    lines = path.read_bytes().splitlines(keepends=True)
    manifest = command.folder / "a.ndjson.manifest.json"
    content = b"".join((*lines[:-1], lines[0]))
    path.write_bytes(content)
    figures = json.loads(manifest.read_text())
    figures["files"][0] |= {
        "bytes": len(content),
        "uncompressed_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    manifest.write_text(json.dumps(figures))
    done, strict = command.run("verify", "a.ndjson"), command.run("verify", "a.ndjson", "--strict")
    assert (done.returncode, strict.returncode) == (0, 7)
    assert b"1 duplicate id, for example" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [200, 2352], ids=["a part", "all but a few"])
def test_export_to_stdout_without_room_for_keys_completes(
    serve: Callable[..., AbstractContextManager[Any]], command: Any, blocks: int
) -> None:
    """No file may grow as large as the keys are: all lines come, and the command ends with 0."""
    line = command.line("contacts", "--progress=none")
    with serve("--contacts=100500", "--no-gzip") as served:
        done = subprocess.run(
            ["/bin/sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *line],
            env=command.environment(served),
            cwd=command.folder,
            capture_output=True,
            check=False,
        )
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 100_500), done.stderr
    not_counted = b"contacts that are listed twice are not counted: their ids could not be kept in a temporary file"
    assert done.stderr.count(not_counted) == (blocks == 200)
    assert b"verify" not in done.stderr  # which cannot read stdout again


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-o", "a.csv"), b"CSV that earlier runs wrote is not read again; the command verify counts them"),
        (("-o", "a.ndjson", "--drop=id"), b"the contacts that earlier runs wrote have no ids\n"),
        (("-o", "a.ndjson"), None),
    ],
    ids=["CSV", "no ids", "NDJSON"],
)
def test_command_that_resumes_says_if_duplicates_are_not_counted(
    serve: Callable[..., AbstractContextManager[Any]],
    command: Any,
    options: tuple[str, ...],
    sentence: bytes | None,
) -> None:
    """One line with the reason; nothing where they are counted."""
    with serve("--contacts=600", "--fault=http_401@3") as served:
        stopped = command.run("contacts", *options, "--progress=none", served=served)
        done = command.run("contacts", *options, "--progress=none", served=served)
    assert (stopped.returncode, done.returncode) == (3, 0), done.stderr
    assert done.stderr.count(b"are listed twice are not counted") == (sentence is not None)
    assert (sentence or b"") in done.stderr


@pytest.mark.parametrize("stop_at", [None, 3])
async def test_export_with_too_little_free_space_for_keys_completes(
    tmp_path: Path, stop_at: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to stay free counts for keys as for contacts, also where those of earlier runs are read again."""

    class Many(KeyCount):
        def __init__(self, folder: Path, *, check_space: Callable[[int], object]) -> None:
            super().__init__(folder, buffered_keys=10, check_space=lambda needed: check_space(needed << 60))

    monkeypatch.setattr("exporter.job.KeyCount", Many)
    without_floor = await exported(f"{tmp_path}/a.ndjson", stop_at)
    with_floor = await exported(f"{tmp_path}/b.ndjson", stop_at, min_free_bytes=1)
    assert [summary and summary.duplicates for summary in (without_floor, with_floor)] == [2, None]
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("a.")) == [
        *("b.ndjson", "b.ndjson.manifest.json"),
    ]
