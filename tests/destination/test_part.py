"""A data file while it is written: its figures match its bytes, and a damaged part is not resumed."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import CheckpointError, FileSummary, SinkError
from exporter.destination import part as module
from exporter.destination.part import Part
from exporter.layout.atomic import open_private
from exporter.model import Frame
from tests.support.properties import examples

NAME = "contacts.ndjson"


def frame(content: bytes, contacts: int = 1) -> Frame:
    """Return a frame."""
    return Frame(content, contacts, 2 * len(content))


@contextmanager
def open_part(path: Path) -> Iterator[Part]:
    """Open the part at `path` without changing it."""
    with Part(open_private(path), path) as part:
        yield part


def write_frames(part: Part, *contents: bytes) -> FileSummary:
    """Write and count frames; return the part's figures."""
    for content in contents:
        assert part.write(content) == len(content)
        part.count(frame(content))
    return part.summary(NAME)


def summary_of(*contents: bytes) -> FileSummary:
    """Return the figures of a file with these frames."""
    content = b"".join(contents)
    return FileSummary(NAME, len(content), hashlib.sha256(content).hexdigest(), len(contents), 2 * len(content))


def resume_part(part: Part, committed: FileSummary) -> int:
    """Resume a part; return the number of pauses."""
    return sum(1 for _ in part.resume(committed))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a part."""
    return tmp_path / "contacts.ndjson.part"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a part that many examples share."""
    return tmp_path_factory.mktemp("scratch") / "contacts.ndjson.part"


def test_part_make_empty_removes_older_content(path: Path) -> None:
    """The file is empty, and so are the figures."""
    path.write_bytes(b"from an older run, and longer")
    with open_part(path) as part:
        part.make_empty()
        assert path.read_bytes() == b""
        assert part.summary(NAME) == summary_of()


def test_part_summary_matches_the_written_file(path: Path) -> None:
    """This holds after each write_frames, and the summary has the final name."""
    with open_part(path) as part:
        assert write_frames(part, b"a" * 1_000) == summary_of(path.read_bytes())
        assert write_frames(part, b"b", b"c" * 100_000) == summary_of(b"a" * 1_000, b"b", b"c" * 100_000)
        assert part.summary("other").name == "other"
    assert path.read_bytes() == b"a" * 1_000 + b"b" + b"c" * 100_000
    assert part.closed


def test_part_write_with_short_writes_continues(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system accepts seven bytes per call; each byte is hashed once."""
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: real_write(descriptor, content[:7]))
    with open_part(path) as part:
        assert write_frames(part, bytes(range(256))) == summary_of(bytes(range(256)))
    assert path.read_bytes() == bytes(range(256))


@examples(percent=60)
@given(
    before=st.lists(st.binary(max_size=50), max_size=4),
    tail=st.binary(max_size=50),
    after=st.lists(st.binary(max_size=50), max_size=4),
)
def test_part_resume_truncates_uncommitted_bytes(
    scratch: Path, before: list[bytes], tail: bytes, after: list[bytes]
) -> None:
    """The final figures are those of an uninterrupted part."""
    with open_part(scratch) as part:
        part.make_empty()
        committed = write_frames(part, *before)
        part.write(tail)
    with open_part(scratch) as part:
        resume_part(part, committed)
        assert scratch.read_bytes() == b"".join(before)
        assert part.summary(NAME) == committed
        assert write_frames(part, *after) == summary_of(*before, *after)
        part.sync_and_check()
    assert scratch.read_bytes() == b"".join([*before, *after])


@examples(percent=60)
@given(content=st.binary(min_size=1, max_size=300), tail=st.binary(max_size=20), data=st.data())
def test_part_resume_with_changed_byte_is_refused(
    scratch: Path, content: bytes, tail: bytes, data: st.DataObject
) -> None:
    """This holds for every committed byte, and the part is left as it is."""
    index, flip = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    damaged = bytearray(content + tail)
    damaged[index] ^= flip
    scratch.write_bytes(damaged)
    with open_part(scratch) as part, pytest.raises(CheckpointError, match="was changed since it was written") as caught:
        resume_part(part, summary_of(content))
    assert caught.value.path == scratch
    assert scratch.read_bytes() == damaged


@pytest.mark.parametrize("length", [0, 1, 1_499])
def test_part_resume_of_truncated_part_is_refused(path: Path, length: int) -> None:
    """The error has both lengths, and the part is left as it is."""
    path.write_bytes(bytes(length))
    with (
        open_part(path) as part,
        pytest.raises(CheckpointError, match=f"has {length:,} bytes instead of 1,500") as caught,
    ):
        resume_part(part, summary_of(bytes(1_500)))
    assert "use --restart" in str(caught.value)
    assert path.stat().st_size == length


def test_part_resume_with_truncation_during_check_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check finds bytes that disappear between two reads."""
    monkeypatch.setattr(module, "_READ_BYTES", 10)
    monkeypatch.setattr(module, "_STEP_BYTES", 10)
    path.write_bytes(bytes(100))
    with open_part(path) as part:
        steps = part.resume(summary_of(bytes(100)))
        next(steps)
        os.truncate(path, 50)
        with pytest.raises(CheckpointError, match="was changed"):
            list(steps)


@pytest.mark.parametrize(("size", "pauses"), [(0, 0), (3, 0), (40, 0), (41, 1), (80, 1), (250, 3)])
def test_part_resume_of_long_part_pauses_between_steps(
    path: Path, monkeypatch: pytest.MonkeyPatch, size: int, pauses: int
) -> None:
    """The caller can cancel in each pause; all bytes are checked."""
    monkeypatch.setattr(module, "_READ_BYTES", 40)
    monkeypatch.setattr(module, "_STEP_BYTES", 80)
    content = os.urandom(size)
    path.write_bytes(content)
    with open_part(path) as part:
        assert resume_part(part, summary_of(content)) == pauses
        assert write_frames(part, b"more").sha256 == summary_of(content, b"more").sha256
    assert path.read_bytes() == content + b"more"


def test_part_sync_and_check_syncs_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It syncs the descriptor of the part once."""
    synced: list[int] = []
    with open_part(path) as part:
        write_frames(part, b"written")
        monkeypatch.setattr(module, "sync", synced.append)
        part.sync_and_check()
        assert synced == [part.fileno()]


@pytest.mark.parametrize("change", ["replaced", "linked", "moved", "cut", "longer", "deleted"])
def test_part_sync_and_check_of_modified_part_is_refused(path: Path, change: str) -> None:
    """Only the file that was written, with the written length, is committed or finished."""
    with open_part(path) as part:
        write_frames(part, b"written")
        if change in ("replaced", "linked", "deleted"):
            path.unlink()
        if change == "linked":
            path.symlink_to("/etc/passwd")
        elif change == "moved":
            path.symlink_to(path.rename(path.with_name("elsewhere")))
        elif change == "cut":
            os.truncate(path, 3)
        elif change == "longer":
            os.truncate(path, 30)
        elif change == "replaced":
            path.write_bytes(b"WRITTEN")
        with pytest.raises(SinkError, match="modified by another program") as caught:
            part.sync_and_check()
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("max_contacts", "max_bytes", "has_room"),
    [
        (None, None, True),
        (30, None, True),
        (29, None, False),
        (1, None, False),
        (None, 300, True),
        (None, 299, False),
        (30, 300, True),
        (30, 299, False),
        (29, 300, False),
    ],
)
def test_part_has_room_up_to_its_limits(
    path: Path, max_contacts: int | None, max_bytes: int | None, has_room: bool
) -> None:
    """A frame fits if contacts and bytes stay within the limits, exactly."""
    with open_part(path) as part:
        part.write(bytes(200))
        part.count(frame(bytes(200), contacts=20))
        assert part.has_room(frame(bytes(100), contacts=10), max_contacts, max_bytes) == has_room


def test_part_has_room_for_first_frame_of_any_size(path: Path) -> None:
    """A part holds at least one frame, however small its limits are."""
    with open_part(path) as part:
        assert part.has_room(frame(bytes(1_000), contacts=150), 1, 1)
        write_frames(part, bytes(1_000))
        assert not part.has_room(frame(b"x"), 1, 1)


def test_part_has_room_after_resume_counts_committed_bytes(path: Path) -> None:
    """The committed contacts and bytes count towards the limits."""
    path.write_bytes(bytes(200))
    with open_part(path) as part:
        resume_part(part, replace(summary_of(bytes(200)), contacts=20))
        assert part.has_room(frame(bytes(100), contacts=10), 30, 300)
        assert not part.has_room(frame(bytes(100), contacts=11), 30, None)
        assert not part.has_room(frame(bytes(101), contacts=1), None, 300)
