"""Dates in the names of outputs: which export a command resumes on another day, and which files it never touches."""

import json
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.cli.output_names import fill_in_date, resolve_output_name
from exporter.layout.checkpoint import Checkpoint, JobProgress, save_checkpoint
from exporter.layout.manifest import encode_manifest
from exporter.layout.settings import OutputSettings
from exporter.layout.summary import FileSummary
from exporter.model import Position
from tests.fixtures.summaries import SUMMARY

Serve = Callable[..., AbstractContextManager[Any]]
NOW = datetime(2026, 11, 26, 23, 59, 58, tzinfo=UTC)
FORMATS = (".ndjson", ".ndjson.gz", ".ndjson.zst", ".csv", ".csv.gz", ".parquet")


def begin(path: Path, *, pages: int = 1, suffix: str = "ndjson", ended: bool = False, started_at: str = "") -> None:
    """Leave the checkpoint of an unfinished export."""
    settings = OutputSettings(base_url="x", endpoint="/contacts", api_version="2.14", per_page=150, format=suffix)
    position = Position(pages=pages, reached_end=ended, next_cursor="c" if pages and not ended else None)
    checkpoint = Checkpoint(settings=settings, figures=JobProgress(position=position, started_at=started_at))
    save_checkpoint(path, checkpoint)


def finish(path: Path, started_at: str = "") -> None:
    """Leave a finished, empty export."""
    path.touch()
    file = FileSummary(name=path.name, bytes=0, sha256="", contacts=0, uncompressed_bytes=0)
    summary = replace(SUMMARY, started_at=started_at, contacts=0, files=(file,))
    path.with_name(f"{path.name}.manifest.json").write_bytes(encode_manifest(summary))


def contents(folder: Path) -> dict[str, bytes]:
    """Return each file below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_resolve_output_name_fills_in_date_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, in UTC; other braces stay."""
    monkeypatch.chdir(tmp_path)
    assert resolve_output_name("a-{date}.ndjson", NOW) == "a-2026-11-26.ndjson"
    assert resolve_output_name("{date}/a-{time}.ndjson.gz", NOW) == "2026-11-26/a-235958.ndjson.gz"
    assert resolve_output_name("{date}/", NOW) == "2026-11-26/"
    assert resolve_output_name("{day}.ndjson", NOW) == "{day}.ndjson"
    assert resolve_output_name("-", NOW) == "-"
    assert resolve_output_name("a\0-{date}.ndjson", NOW) == "a\0-2026-11-26.ndjson"


def test_resolve_output_name_returns_the_latest_unfinished_export(tmp_path: Path) -> None:
    """Of those with a committed page; finished files and other names are ignored."""
    pattern = f"{tmp_path}/a-{{date}}.ndjson"
    for name in ("a-2026-11-21.ndjson", "a-2026-11-22.ndjson.manifest.json", "a-soon.ndjson.part", "b-2026-11-23.part"):
        (tmp_path / name).touch()
    assert resolve_output_name(pattern, NOW) == f"{tmp_path}/a-2026-11-26.ndjson"
    begin(tmp_path / "a-2026-11-19.ndjson.checkpoint.json")
    begin(tmp_path / "a-2026-11-20.ndjson.checkpoint.json")
    assert resolve_output_name(pattern, NOW) == f"{tmp_path}/a-2026-11-20.ndjson"
    assert resolve_output_name(pattern, NOW, restart=True) == f"{tmp_path}/a-2026-11-26.ndjson"


def test_resolve_output_name_ignores_leftovers_without_a_committed_page(tmp_path: Path) -> None:
    """An empty part, a checkpoint of no page, a damaged one, links, pipes and folders start a new export."""
    (tmp_path / "a-2026-11-20.ndjson.part").touch()
    (tmp_path / "a-2026-11-21.ndjson.part").write_text("{}\n")
    begin(tmp_path / "a-2026-11-22.ndjson.checkpoint.json", pages=0)
    (tmp_path / "a-2026-11-23.ndjson.checkpoint.json").write_text("{}")
    begin(tmp_path / "elsewhere")
    (tmp_path / "a-2026-11-24.ndjson.checkpoint.json").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "a-2026-11-25.ndjson.checkpoint.json")
    (tmp_path / "a-2026-11-18.ndjson.checkpoint.json").mkdir()
    assert resolve_output_name(f"{tmp_path}/a-{{date}}.ndjson", NOW) == f"{tmp_path}/a-2026-11-26.ndjson"


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("a-{date}.ndjson", "a-2026-02-30.ndjson"),
        ("a-{date}.ndjson", "a-0000-01-01.ndjson"),
        ("a-{date}-{time}.ndjson", "a-2026-02-28-250000.ndjson"),
        ("{date}/a-{date}.ndjson", "2026-02-27/a-2026-02-28.ndjson"),
        ("a-{date}.ndjson", "a-2026-02-28.ndjson.gz"),
        ("a-{date}.ndjson", "a-2026-02-28x.ndjson"),
        ("a[1]-{date}.ndjson", "a1-2026-02-28.ndjson"),
    ],
)
def test_resolve_output_name_ignores_invalid_dates(tmp_path: Path, pattern: str, name: str) -> None:
    """No command created it."""
    path = tmp_path / f"{name}.checkpoint.json"
    path.parent.mkdir(exist_ok=True)
    begin(path)
    assert resolve_output_name(f"{tmp_path}/{pattern}", NOW) == fill_in_date(f"{tmp_path}/{pattern}", NOW)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("a[1]*-{date}?.ndjson", "a[1]*-2026-02-28?.ndjson"),
        ("12{date}34.ndjson", "122026-02-2834.ndjson"),
        ("{date}/a-{date}.ndjson", "2026-02-28/a-2026-02-28.ndjson"),
        ("x/../{date}.csv", "x/../2026-02-28.csv"),
        ("{time}{date}.ndjson", "1230002026-02-28.ndjson"),
    ],
)
def test_resolve_output_name_matches_other_text_literally(tmp_path: Path, pattern: str, name: str) -> None:
    """Special characters mean themselves."""
    (tmp_path / "x").mkdir()
    path = tmp_path / f"{name}.checkpoint.json"
    path.parent.mkdir(exist_ok=True)
    begin(path)
    assert resolve_output_name(f"{tmp_path}//{pattern}", NOW) == f"{tmp_path}/{name}"


@pytest.mark.parametrize("checkpoint", ["_checkpoint.json", "checkpoint.json"])
def test_resolve_output_name_returns_an_unfinished_folder(tmp_path: Path, checkpoint: str) -> None:
    """By its checkpoint, of this version or an older one; with a manifest it is finished."""
    folder = tmp_path / "out[1]-2026-01-01"
    folder.mkdir()
    begin(folder / checkpoint, suffix="ndjson.gz")
    assert resolve_output_name(f"{tmp_path}/out[1]-{{date}}/", NOW) == f"{folder}/"
    (folder / checkpoint.replace("checkpoint", "manifest")).touch()
    assert resolve_output_name(f"{tmp_path}/out[1]-{{date}}/", NOW) == f"{tmp_path}/out[1]-2026-11-26/"


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("ended", [False, True])
def test_resolve_output_name_never_returns_a_finished_file(tmp_path: Path, suffix: str, ended: bool) -> None:
    """Leftovers may be those of an --overwrite that stopped, or of its own last moment."""
    path = tmp_path / f"a-2026-11-25{suffix}"
    begin(path.with_name(f"{path.name}.checkpoint.json"), suffix=suffix.removeprefix("."), ended=ended)
    path.with_name(f"{path.name}.part").write_text("{}\n")
    assert resolve_output_name(f"{tmp_path}/a-{{date}}{suffix}", NOW) == str(path)
    path.touch()
    path.with_name(f"{path.name}.manifest.json").touch()
    assert resolve_output_name(f"{tmp_path}/a-{{date}}{suffix}", NOW) == f"{tmp_path}/a-2026-11-26{suffix}"


def test_resolve_output_name_never_returns_a_foreign_file(tmp_path: Path) -> None:
    """It would be replaced; in the last moment before the manifest, that file is the export."""
    path = tmp_path / "a-2026-11-25.ndjson"
    path.touch()
    part = tmp_path / "a-2026-11-25.ndjson.part"
    part.touch()
    begin(tmp_path / "a-2026-11-25.ndjson.checkpoint.json", ended=True)
    assert resolve_output_name(f"{tmp_path}/a-{{date}}.ndjson", NOW) == f"{tmp_path}/a-2026-11-26.ndjson"
    part.unlink()
    assert resolve_output_name(f"{tmp_path}/a-{{date}}.ndjson", NOW) == str(path)


def test_resolve_output_name_ignores_an_unfinished_export_older_than_a_finished_one(tmp_path: Path) -> None:
    """One that cannot be resumed would come back after --restart; names without a date are compared by figures."""
    begin(tmp_path / "a-2026-11-20.ndjson.checkpoint.json")
    finish(tmp_path / "a-2026-11-19.ndjson")
    assert resolve_output_name(f"{tmp_path}/a-{{date}}.ndjson", NOW) == f"{tmp_path}/a-2026-11-20.ndjson"
    finish(tmp_path / "a-2026-11-21.ndjson")
    assert resolve_output_name(f"{tmp_path}/a-{{date}}.ndjson", NOW) == f"{tmp_path}/a-2026-11-26.ndjson"
    finish(tmp_path / "b-235000.ndjson", "2026-11-25T23:50:00Z")
    begin(tmp_path / "b-010000.ndjson.checkpoint.json", started_at="2026-11-26T01:00:00Z")
    assert resolve_output_name(f"{tmp_path}/b-{{time}}.ndjson", NOW) == f"{tmp_path}/b-010000.ndjson"


def test_resolve_output_name_after_the_clock_was_set_back_resumes_tomorrows_export(tmp_path: Path) -> None:
    """As when a run starts just after midnight and the clock is then corrected."""
    begin(tmp_path / "a-2026-11-27.ndjson.checkpoint.json")
    assert resolve_output_name(f"{tmp_path}/a-{{date}}.ndjson", NOW) == f"{tmp_path}/a-2026-11-27.ndjson"


def test_contacts_resumes_an_earlier_day_before_it_starts_a_new_export(serve: Serve, command: Any) -> None:
    """After midnight: the unfinished file first, byte for byte; then that of today."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        assert command.run("contacts", "-o", "a-2020-01-31.jsonl.gz", served=served).returncode == 3
        # --overwrite replaces nothing of an earlier day, and resumes as well.
        resumed = command.run("contacts", "-o", "a-{date}.jsonl.gz", "--overwrite", served=served)
        fresh = command.run("contacts", "-o", "a-{date}.jsonl.gz", served=served)
        again = command.run("contacts", "-o", "a-{date}.jsonl.gz", served=served)
    assert (resumed.returncode, fresh.returncode, again.returncode) == (0, 0, 0)
    assert b"resuming after 150 contacts" in resumed.stderr
    old = command.folder / "a-2020-01-31.jsonl.gz"
    (new,) = [path for path in command.folder.glob("a-*.jsonl.gz") if path != old]
    assert re.fullmatch(r"a-20\d\d-\d\d-\d\d\.jsonl\.gz", new.name)
    assert old.read_bytes() == new.read_bytes()
    if re.fullmatch(rf".*{re.escape(new.name)}.*", again.stderr.decode(), re.DOTALL):  # unless midnight came between
        assert b"already complete" in again.stderr
    assert command.run("verify", new.name).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("output", ["a-{date}.ndjson", "a-{date}.csv.gz", "a-{date}.parquet", "a-{date}/"])
@pytest.mark.parametrize("option", [(), ("--overwrite",), ("--restart",)])
def test_contacts_with_leftovers_beside_a_finished_export_starts_that_of_today(
    command: Any, output: str, option: tuple[str, ...]
) -> None:
    """The earlier day's files stay as they are, byte for byte."""
    old = output.format(date="2020-01-31")
    line = ("demo", "--contacts=30", "-q")
    assert command.run(*line, "-o", old).returncode == 0
    folder = command.folder
    if output.endswith("/"):
        begin(folder / old / "_checkpoint.json", suffix="ndjson.gz")
        (folder / old / "_contacts-00002.ndjson.gz.part").touch()
    else:
        begin(folder / f"{old}.checkpoint.json", suffix=output.partition(".")[2])
        (folder / f"{old}.part").touch()
    before = contents(folder)
    done = command.run(*line, "-o", output, *option)
    assert (done.returncode, done.stderr) == (0, b"")
    after = contents(folder)
    assert {name: after[name] for name in before} == before
    made = {name for name in after.keys() - before.keys() if "manifest.json" not in name}
    assert len(made) == 1
    assert "2020-01-31" not in str(made)


@pytest.mark.parametrize("output", ["a-{date}.ndjson", "a-{date}/"])
def test_contacts_earlier_export_that_cannot_be_resumed_is_named_and_kept_by_restart(
    serve: Serve, command: Any, output: str
) -> None:
    """Exit 6 says what to do; then today's is exported, and the next night the old one does not come back."""
    old = output.format(date="2020-01-31")
    with serve("--contacts=450", "--fault=http_401@2") as served:
        assert command.run("contacts", "-o", old, served=served).returncode == 3
        before = contents(command.folder)
        for option in ((), ("--overwrite",)):
            refused = command.run("contacts", "-o", output, "--fields=id", *option, served=served)
            assert (refused.returncode, refused.stderr.count(b"\n")) == (6, 1)
            assert f"'{old}' was started earlier: --restart keeps it" in refused.stderr.decode()
        restarted = command.run("contacts", "-o", output, "--fields=id", "--restart", served=served)
        again = command.run("contacts", "-o", output, "--fields=id", served=served)
    assert (restarted.returncode, again.returncode) == (0, 0)
    after = contents(command.folder)
    assert {name: after[name] for name in before} == before
    assert "2020-01-31" not in again.stderr.decode()


def test_contacts_earlier_export_whose_part_is_damaged_is_named(serve: Serve, command: Any) -> None:
    """Also as an event."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        command.run("contacts", "-o", "a-2020-01-31.ndjson", served=served)
        (command.folder / "a-2020-01-31.ndjson.part").unlink()
        done = command.run("contacts", "-o", "a-{date}.ndjson", "--progress=json", served=served)
    failed = json.loads(done.stderr.splitlines()[-2])
    assert (done.returncode, failed["event"], failed["exit_code"]) == (6, "failed", 6)
    assert "'a-2020-01-31.ndjson' was started earlier" in failed["message"]


def test_contacts_of_today_that_cannot_be_resumed_get_no_advice_about_other_days(serve: Serve, command: Any) -> None:
    """There --restart starts over, as with any name."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        command.run("contacts", "-o", "a-{date}.ndjson", served=served)
        refused = command.run("contacts", "-o", "a-{date}.ndjson", "--fields=id", served=served)
    if datetime.now(UTC).strftime("%Y-%m-%d") in refused.stderr.decode():  # unless midnight came between
        assert (refused.returncode, b"started earlier" in refused.stderr) == (6, False)


def test_check_inspects_the_name_that_an_export_would_take(serve: Serve, command: Any) -> None:
    """The unfinished one; with --restart that of today."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        command.run("contacts", "-o", "a-2020-01-31.ndjson", served=served)
        printed = command.run("check", "-o", "a-{date}.ndjson", served=served)
        restarted = command.run("check", "-o", "a-{date}.ndjson", "--restart", served=served)
    assert b"'a-2020-01-31.ndjson' has an unfinished export (150 contacts)" in printed.stdout
    assert (restarted.returncode, b"2020-01-31" in restarted.stdout) == (0, False)
