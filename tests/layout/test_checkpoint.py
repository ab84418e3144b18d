"""The checkpoint: what is saved is loaded again, and what cannot be trusted is refused."""

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
from exporter.layout.checkpoint import Checkpoint, JobProgress, OutputSettings, load_checkpoint, save_checkpoint
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
    """Make up a checkpoint that makes sense."""
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
    """Name a checkpoint."""
    return tmp_path / "contacts.ndjson.gz.checkpoint.json"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name a checkpoint that many examples share."""
    return tmp_path_factory.mktemp("scratch") / "checkpoint.json"


@pytest.fixture(scope="module")
def good(scratch: Path) -> bytes:
    """Give the bytes of a good checkpoint."""
    save_checkpoint(scratch, CHECKPOINT)
    return scratch.read_bytes()


@examples(percent=60)
@given(checkpoint=checkpoints())
def test_a_checkpoint_loaded_again_is_the_same(scratch: Path, checkpoint: Checkpoint) -> None:
    """Nothing is lost on the way, and it is JSON for everybody."""
    save_checkpoint(scratch, checkpoint)
    assert load_checkpoint(scratch) == checkpoint
    assert json.loads(scratch.read_bytes())["checkpoint_version"] == 1


def test_there_may_be_none(path: Path) -> None:
    """A checkpoint that is not there is no error: nothing was begun."""
    assert load_checkpoint(path) is None


def test_a_checkpoint_of_very_many_parts_is_loaded(path: Path) -> None:
    """A long export leaves a long checkpoint, which is as good as a short one."""
    files = tuple(replace(FIRST, name=f"contacts-{number:05}.ndjson.gz") for number in range(1, 20_001))
    position = replace(CHECKPOINT.figures.position, contacts=6_000_150, written_bytes=14_000_300)
    position = replace(position, uncompressed_bytes=140_003_000)
    checkpoint = replace(CHECKPOINT, figures=replace(CHECKPOINT.figures, position=position), files=files)
    save_checkpoint(path, checkpoint)
    assert load_checkpoint(path) == checkpoint


OTHERS: dict[str, Any] = {
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


def test_equal_settings_have_no_differences() -> None:
    """The same settings are the same, whoever made them, and each of them is compared."""
    assert SETTINGS.differences(replace(SETTINGS)) == ""
    assert set(OTHERS) == set(OutputSettings.__slots__)
    assert SETTINGS.differences(replace(SETTINGS, **OTHERS)) == ", ".join(name.replace("_", " ") for name in OTHERS)


@pytest.mark.parametrize("name", OTHERS)
def test_each_setting_that_differs_is_named(name: str) -> None:
    """A difference is found from either side, and named in words."""
    other = replace(SETTINGS, **{name: OTHERS[name]})
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
def test_an_export_is_written_at_its_end_or_its_limit(
    position: Position, limit: int | None, all_data_written: bool
) -> None:
    """Once the API has said that nothing follows, or the limit is reached, only names are missing."""
    checkpoint = Checkpoint(settings=replace(SETTINGS, max_contacts=limit), figures=JobProgress(position=position))
    assert checkpoint.all_data_written == all_data_written


def test_a_saved_checkpoint_is_private_and_replaces_the_older_one(path: Path) -> None:
    """It is its owner's alone, and nothing but the latest is left."""
    for runs in (1, 2):
        save_checkpoint(path, replace(CHECKPOINT, figures=replace(CHECKPOINT.figures, runs=runs)))
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = load_checkpoint(path)
    assert loaded is not None
    assert loaded.figures.runs == 2


@pytest.mark.parametrize("call", ["write", "fsync", "ftruncate", "replace"])
def test_a_failed_save_leaves_the_old_checkpoint(call: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails on the way, the old one is still whole, nothing half done stays, and the next save succeeds."""
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


def test_a_link_in_the_way_is_not_written_through(path: Path) -> None:
    """A link in the temporary file's place is refused, a link in the checkpoint's is replaced."""
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


def saved(path: Path) -> dict[str, Any]:
    """Give a good checkpoint's JSON."""
    save_checkpoint(path, CHECKPOINT)
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def refused(path: Path, content: bytes) -> None:
    """Check that a checkpoint with such a content is refused, and left as it is."""
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
def test_what_others_wrote_is_refused(path: Path, content: bytes) -> None:
    """Foreign bytes, foreign JSON, an encoding or a depth that nobody expects: one kind of error."""
    refused(path, content)


@pytest.mark.parametrize(
    "change",
    [
        *({"checkpoint_version": 2}, {"checkpoint_version": "1"}, {"checkpoint_version": True}),
        *({"checkpoint_version": 1.0}, {"checkpoint_version": None}, {"settings": None}, {"settings": {}}),
        *({"figures": []}, {"files": None}, {"files": {}}, {"files": [{}]}, {"part": 7}),
    ],
    ids=str,
)
def test_other_versions_and_other_types_are_refused(path: Path, change: dict[str, Any]) -> None:
    """A checkpoint is taken only from a version that means the same by it."""
    refused(path, json.dumps(saved(path) | change).encode())


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
def test_figures_that_do_not_add_up_are_refused(path: Path, where: tuple[str, ...], value: Any) -> None:
    """The files together are what the position says, and it says how to go on."""
    content = inner = saved(path)
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    refused(path, json.dumps(content).encode())


def test_no_length_is_negative(path: Path) -> None:
    """Two lengths that only add up because one of them is impossible are refused."""
    content = saved(path)
    content["files"][0]["bytes"], content["part"]["bytes"] = 1_001, -1
    refused(path, json.dumps(content).encode())


def test_a_checkpoint_beyond_any_size_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than a checkpoint can be is not read to its end."""
    size = len(json.dumps(saved(path)).encode())
    with path.open("ab") as file:
        file.write(b" " * size * 10)
    assert load_checkpoint(path) == CHECKPOINT
    monkeypatch.setattr(module, "_MAX_BYTES", size // 2)
    refused(path, path.read_bytes())


@given(st.data())
def test_a_cut_checkpoint_is_refused(scratch: Path, good: bytes, data: st.DataObject) -> None:
    """Wherever it is cut off, short of the last line's end, it is not believed."""
    refused(scratch, good[: data.draw(st.integers(0, len(good) - 2))])


@given(st.data())
def test_a_damaged_checkpoint_is_refused_or_makes_sense(scratch: Path, good: bytes, data: st.DataObject) -> None:
    """Whatever byte is changed, there is no other error, and what is believed adds up."""
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
