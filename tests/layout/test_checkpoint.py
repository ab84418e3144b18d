"""The checkpoint: a saved one is loaded unchanged, and an invalid one is refused."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import CheckpointError, FileSummary, Position, SinkError
from exporter.layout import checkpoint as module
from exporter.layout.checkpoint import Checkpoint, JobProgress, load_checkpoint, save_checkpoint
from exporter.layout.settings import OutputSettings
from tests.support.properties import examples

SETTINGS = OutputSettings(
    base_url="https://api.intercom.io", endpoint="/contacts", api_version="2.14", per_page=150, format="ndjson.gz"
)
FIRST = FileSummary("contacts-00001.ndjson.gz", 700, "ab" * 32, 300, 7_000)
PART = FileSummary("contacts-00002.ndjson.gz", 300, "cd" * 32, 150, 3_000)
CHECKPOINT = Checkpoint(
    settings=SETTINGS,
    figures=JobProgress(
        position=Position("c3", 3, 450, 1_000, 10_000),
        trail="1:2:00ff:00ff",
        started_at="2026-11-22T10:00:00Z",
        runs=2,
        total_count_first=1_000,
        total_count_last=1_001,
        api_version_echoed="2.14",
        requests=4,
        retries={"http_503": 1},
        rate_limit_wait_s=0.5,
    ),
    files=(FIRST,),
    part=PART,
)

counts = st.integers(0, 2**40)
texts = st.text(st.characters(codec="utf-8"))
summaries = st.builds(FileSummary, texts, counts, texts, counts, counts)
all_settings = st.builds(
    OutputSettings,
    base_url=texts,
    endpoint=texts,
    api_version=texts,
    per_page=st.integers(1, 150),
    format=texts,
    max_contacts=st.none() | st.integers(1, 2**40),
    part_contacts=st.none() | st.integers(1, 2**40),
    part_bytes=st.none() | st.integers(1, 2**40),
)


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    """Generate a consistent checkpoint."""
    files, part = draw(st.lists(summaries, max_size=3).map(tuple)), draw(st.none() | summaries)
    written = (*files, *((part,) if part else ()))
    pages, reached_end = draw(counts), draw(st.booleans())
    position = Position(
        draw(texts) if pages and not reached_end else None,
        pages,
        sum(file.contacts for file in written),
        sum(file.bytes for file in written),
        sum(file.uncompressed_bytes for file in written),
        reached_end,
    )
    figures = st.builds(
        JobProgress,
        position=st.just(position),
        trail=texts,
        started_at=texts,
        runs=st.integers(1, 2**40),
        total_count_first=st.none() | counts,
        total_count_last=st.none() | counts,
        api_version_echoed=st.none() | texts,
        requests=counts,
        retries=st.dictionaries(texts, counts),
        rate_limit_wait_s=st.floats(0, 1e9),
    )
    return Checkpoint(settings=draw(all_settings), figures=draw(figures), files=files, part=part)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a checkpoint."""
    return tmp_path / "contacts.ndjson.gz.checkpoint.json"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a checkpoint that many examples share."""
    return tmp_path_factory.mktemp("scratch") / "checkpoint.json"


@pytest.fixture(scope="module")
def good(scratch: Path) -> bytes:
    """Return the bytes of a valid checkpoint."""
    save_checkpoint(scratch, CHECKPOINT)
    return scratch.read_bytes()


@examples(percent=60)
@given(checkpoint=checkpoints())
def test_load_checkpoint_returns_what_was_saved(scratch: Path, checkpoint: Checkpoint) -> None:
    """Nothing is lost, and the file is plain JSON."""
    save_checkpoint(scratch, checkpoint)
    assert load_checkpoint(scratch) == checkpoint
    assert json.loads(scratch.read_bytes())["checkpoint_version"] == 1


def test_load_checkpoint_without_file_returns_none(path: Path) -> None:
    """A missing checkpoint is no error: the export has not started."""
    assert load_checkpoint(path) is None


@pytest.mark.slow
def test_load_checkpoint_of_many_parts_returns_what_was_saved(path: Path) -> None:
    """A long export has a long checkpoint, which is valid as well."""
    files = tuple(replace(FIRST, name=f"contacts-{number:05}.ndjson.gz") for number in range(1, 20_001))
    position = replace(CHECKPOINT.figures.position, contacts=6_000_150, written_bytes=14_000_300)
    position = replace(position, uncompressed_bytes=140_003_000)
    checkpoint = replace(CHECKPOINT, figures=replace(CHECKPOINT.figures, position=position), files=files)
    save_checkpoint(path, checkpoint)
    assert load_checkpoint(path) == checkpoint


OTHER_SETTINGS: dict[str, Any] = {
    "base_url": "https://api.eu.intercom.io",
    "endpoint": "/users",
    "api_version": "2.13",
    "per_page": 50,
    "format": "ndjson",
    "max_contacts": 5,
    "part_contacts": 5,
    "part_bytes": 5,
    "fields": ("id",),
    "dropped": ("phone",),
    "pseudonymised": ("email",),
    "pseudonym_key": "0123456789abcdef",
    "expanded": ("tags",),
    "tag_names": True,
    "csv_raw": True,
    "csv_bom": True,
    "csv_phones": True,
    "records": "normalized",
}


def test_settings_differences_of_equal_settings_are_empty() -> None:
    """All settings are compared."""
    assert SETTINGS.differences(replace(SETTINGS)) == ""
    assert set(OTHER_SETTINGS) == set(OutputSettings.__slots__)
    assert SETTINGS.differences(replace(SETTINGS, **OTHER_SETTINGS)) == ", ".join(
        name.replace("_", " ") for name in OTHER_SETTINGS
    )


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_settings_differences_name_each_changed_setting(name: str) -> None:
    """The difference is the same in both directions, and has a readable name."""
    other = replace(SETTINGS, **{name: OTHER_SETTINGS[name]})
    assert SETTINGS.differences(other) == other.differences(SETTINGS) == name.replace("_", " ")


@pytest.mark.parametrize(
    ("position", "limit", "all_data_written"),
    [
        (Position(), None, False),
        (Position("c1", 1, 150), None, False),
        (Position(None, 1, 10, reached_end=True), None, True),
        (Position(None, 1, 0, reached_end=True), 5, True),
        (Position("c1", 1, 149), 150, False),
        (Position("c1", 1, 150), 150, True),
    ],
)
def test_checkpoint_at_end_or_limit_has_all_data_written(
    position: Position, limit: int | None, all_data_written: bool
) -> None:
    """After the last page, or at the limit, only the final names are missing."""
    checkpoint = Checkpoint(settings=replace(SETTINGS, max_contacts=limit), figures=JobProgress(position=position))
    assert checkpoint.all_data_written == all_data_written


def test_save_checkpoint_is_private_and_replaces_older_one(path: Path) -> None:
    """Only its owner can read it, and only the latest one is left."""
    for runs in (1, 2):
        save_checkpoint(path, replace(CHECKPOINT, figures=replace(CHECKPOINT.figures, runs=runs)))
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = load_checkpoint(path)
    assert loaded is not None
    assert loaded.figures.runs == 2


@pytest.mark.parametrize("call", ["write", "fsync", "ftruncate", "replace"])
def test_save_checkpoint_that_fails_keeps_the_old_one(call: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any failure the old one is complete, no temporary file stays, and the next save succeeds."""
    save_checkpoint(path, CHECKPOINT)
    newer = replace(CHECKPOINT, figures=replace(CHECKPOINT.figures, runs=3))

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path if call == "replace" else os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(path, newer)
    assert list(path.parent.iterdir()) == [path]
    assert load_checkpoint(path) == CHECKPOINT
    save_checkpoint(path, newer)
    assert load_checkpoint(path) == newer


def test_save_checkpoint_with_links_writes_through_none(path: Path) -> None:
    """A link with the temporary name is refused; a link with the checkpoint's name is replaced."""
    victim = path.with_name("victim")
    victim.write_bytes(b"kept")
    pending = path.with_name(f"{path.name}.tmp")
    pending.symlink_to(victim)
    with pytest.raises((OSError, SinkError)):
        save_checkpoint(path, CHECKPOINT)
    pending.unlink(missing_ok=True)
    path.symlink_to(victim)
    save_checkpoint(path, CHECKPOINT)
    assert load_checkpoint(path) == CHECKPOINT
    assert victim.read_bytes() == b"kept"


def valid_json(path: Path) -> dict[str, Any]:
    """Return a valid checkpoint's JSON."""
    save_checkpoint(path, CHECKPOINT)
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def assert_refused(path: Path, content: bytes) -> None:
    """Assert that a checkpoint with this content is assert_refused, and left as it is."""
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or of another version: use --restart") as caught:
        load_checkpoint(path)
    assert caught.value.path == path
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\0" * 100, b"\xff", b"null", b"[]", b"{}", b'"text"', b"<xml/>", b'{"checkpoint_version":1}'),
        *(b'{"manifest_version":1}', b'"\xff"', b'{"\xff":1}', b'{"x":' * 100_000),
        b'{"checkpoint_version":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda content: repr(content[:30]),
)
def test_load_checkpoint_with_foreign_content_is_refused(path: Path, content: bytes) -> None:
    """Foreign bytes, foreign JSON, another encoding or deep nesting raise the same error."""
    assert_refused(path, content)


@pytest.mark.parametrize(
    "change",
    [
        *({"checkpoint_version": 2}, {"checkpoint_version": "1"}, {"checkpoint_version": True}),
        *({"checkpoint_version": 1.0}, {"checkpoint_version": None}, {"settings": None}, {"settings": {}}),
        *({"figures": []}, {"files": None}, {"files": {}}, {"files": [{}]}, {"part": 7}),
    ],
    ids=str,
)
def test_load_checkpoint_with_other_version_or_type_is_refused(path: Path, change: dict[str, Any]) -> None:
    """Only the known version with the expected types is valid."""
    assert_refused(path, json.dumps(valid_json(path) | change).encode())


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("figures", "position", "contacts"), 451),
        (("figures", "position", "written_bytes"), 999),
        (("figures", "position", "uncompressed_bytes"), 0),
        (("figures", "position", "next_cursor"), None),
        (("figures", "position", "pages"), 0),
        (("figures", "position", "pages"), -3),
        (("figures", "position", "pages"), "3"),
        (("figures", "runs"), 0),
        (("figures", "retries"), []),
        (("files",), []),
        (("part",), None),
        (("part", "bytes"), 301),
        (("settings", "per_page"), None),
    ],
    ids=str,
)
def test_load_checkpoint_with_inconsistent_figures_is_refused(path: Path, where: tuple[str, ...], value: Any) -> None:
    """The sums of the files must match the position, and the position must say how to resume."""
    content = inner = valid_json(path)
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    assert_refused(path, json.dumps(content).encode())


def test_load_checkpoint_with_negative_length_is_refused(path: Path) -> None:
    """Two lengths with a correct sum are refused if one of them is negative."""
    content = valid_json(path)
    content["files"][0]["bytes"], content["part"]["bytes"] = 1_001, -1
    assert_refused(path, json.dumps(content).encode())


def test_load_checkpoint_that_is_too_large_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file over the maximum size is assert_refused, even if its content is valid."""
    size = len(json.dumps(valid_json(path)).encode())
    with path.open("ab") as file:
        file.write(b" " * size * 10)
    assert load_checkpoint(path) == CHECKPOINT
    monkeypatch.setattr(module, "_MAX_BYTES", size // 2)
    assert_refused(path, path.read_bytes())


@given(st.data())
def test_load_checkpoint_that_is_truncated_is_refused(scratch: Path, good: bytes, data: st.DataObject) -> None:
    """This holds wherever it is truncated before the end of the last line."""
    assert_refused(scratch, good[: data.draw(st.integers(0, len(good) - 2))])


@given(st.data())
def test_load_checkpoint_with_changed_byte_is_refused_or_consistent(
    scratch: Path, good: bytes, data: st.DataObject
) -> None:
    """A changed byte never causes another error, and loaded figures are consistent."""
    content = bytearray(good)
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content)
    try:
        loaded = load_checkpoint(scratch)
    except CheckpointError:
        return
    assert loaded is not None
    files = [*loaded.files, *([loaded.part] if loaded.part else [])]
    assert sum(file.bytes for file in files) == loaded.figures.position.written_bytes
    assert sum(file.contacts for file in files) == loaded.figures.position.contacts
    assert loaded.figures.runs >= 1
