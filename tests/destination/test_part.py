"""One data file while it is written: what is counted is what is there, and damage is seen before it is gone on with."""

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
    """Give a frame."""
    return Frame(content, contacts, 2 * len(content))


@contextmanager
def opened(path: Path) -> Iterator[Part]:
    """Give the part at `path`, as it is."""
    with Part(open_private(path), path) as part:
        yield part


def write(part: Part, *contents: bytes) -> FileSummary:
    """Write and count frames; give the part's figures then."""
    for content in contents:
        assert part.write(content) == len(content)
        part.count(frame(content))
    return part.summary(NAME)


def summary_of(*contents: bytes) -> FileSummary:
    """Give the figures that a file of these frames must have."""
    whole = b"".join(contents)
    return FileSummary(NAME, len(whole), hashlib.sha256(whole).hexdigest(), len(contents), 2 * len(whole))


def check(part: Part, committed: FileSummary) -> int:
    """Go on with a part; count the pauses."""
    return sum(1 for _ in part.resume(committed))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a part."""
    return tmp_path / "contacts.ndjson.part"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name a part that many examples share."""
    return tmp_path_factory.mktemp("scratch") / "contacts.ndjson.part"


def test_a_part_begins_empty(path: Path) -> None:
    """Nothing of an older part stays, in the file or in the figures."""
    path.write_bytes(b"from an older run, and longer")
    with opened(path) as part:
        part.make_empty()
        assert path.read_bytes() == b""
        assert part.summary(NAME) == summary_of()


def test_what_is_written_is_counted_and_hashed(path: Path) -> None:
    """The figures are those of the file at any moment, under the name it will have."""
    with opened(path) as part:
        assert write(part, b"a" * 1_000) == summary_of(path.read_bytes())
        assert write(part, b"b", b"c" * 100_000) == summary_of(b"a" * 1_000, b"b", b"c" * 100_000)
        assert part.summary("other").name == "other"
    assert path.read_bytes() == b"a" * 1_000 + b"b" + b"c" * 100_000
    assert part.closed


def test_however_little_the_system_takes_all_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that the system cuts short is continued, and hashed once."""
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: real_write(descriptor, content[:7]))
    with opened(path) as part:
        assert write(part, bytes(range(256))) == summary_of(bytes(range(256)))
    assert path.read_bytes() == bytes(range(256))


@examples(percent=60)
@given(
    before=st.lists(st.binary(max_size=50), max_size=4),
    tail=st.binary(max_size=50),
    after=st.lists(st.binary(max_size=50), max_size=4),
)
def test_a_part_goes_on_as_if_it_had_never_stopped(
    scratch: Path, before: list[bytes], tail: bytes, after: list[bytes]
) -> None:
    """What is behind the committed bytes is cut off; the figures of the whole come out the same."""
    with opened(scratch) as part:
        part.make_empty()
        committed = write(part, *before)
        part.write(tail)
    with opened(scratch) as part:
        check(part, committed)
        assert scratch.read_bytes() == b"".join(before)
        assert part.summary(NAME) == committed
        assert write(part, *after) == summary_of(*before, *after)
        part.sync_and_check()
    assert scratch.read_bytes() == b"".join([*before, *after])


@examples(percent=60)
@given(content=st.binary(min_size=1, max_size=300), tail=st.binary(max_size=20), data=st.data())
def test_a_changed_byte_is_noticed(scratch: Path, content: bytes, tail: bytes, data: st.DataObject) -> None:
    """Whichever committed byte was changed, the part is refused and left as it is."""
    paths, flip = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    damaged = bytearray(content + tail)
    damaged[paths] ^= flip
    scratch.write_bytes(damaged)
    with opened(scratch) as part, pytest.raises(CheckpointError, match="was changed since it was written") as caught:
        check(part, summary_of(content))
    assert caught.value.path == scratch
    assert scratch.read_bytes() == damaged


@pytest.mark.parametrize("length", [0, 1, 1_499])
def test_a_part_that_is_too_short_is_refused(path: Path, length: int) -> None:
    """Committed bytes that are gone cannot be made up for; both lengths are told."""
    path.write_bytes(bytes(length))
    with opened(path) as part, pytest.raises(CheckpointError, match=f"has {length:,} bytes instead of 1,500") as caught:
        check(part, summary_of(bytes(1_500)))
    assert "use --restart" in str(caught.value)
    assert path.stat().st_size == length


def test_a_part_that_is_cut_while_it_is_checked_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that disappear between two reads are missed."""
    monkeypatch.setattr(module, "_READ_BYTES", 10)
    monkeypatch.setattr(module, "_STEP_BYTES", 10)
    path.write_bytes(bytes(100))
    with opened(path) as part:
        steps = part.resume(summary_of(bytes(100)))
        next(steps)
        os.truncate(path, 50)
        with pytest.raises(CheckpointError, match="was changed"):
            list(steps)


@pytest.mark.parametrize(("size", "pauses"), [(0, 0), (3, 0), (40, 0), (41, 1), (80, 1), (250, 3)])
def test_a_long_part_is_checked_piece_by_piece(
    path: Path, monkeypatch: pytest.MonkeyPatch, size: int, pauses: int
) -> None:
    """Between the pieces whoever waits can be cancelled; however they fall, all bytes are checked."""
    monkeypatch.setattr(module, "_READ_BYTES", 40)
    monkeypatch.setattr(module, "_STEP_BYTES", 80)
    content = os.urandom(size)
    path.write_bytes(content)
    with opened(path) as part:
        assert check(part, summary_of(content)) == pauses
        assert write(part, b"more").sha256 == summary_of(content, b"more").sha256
    assert path.read_bytes() == content + b"more"


def test_settling_brings_everything_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It returns once the system has said that the bytes are there."""
    synced: list[int] = []
    with opened(path) as part:
        write(part, b"written")
        monkeypatch.setattr(module, "sync", synced.append)
        part.sync_and_check()
        assert synced == [part.fileno()]


@pytest.mark.parametrize("change", ["replaced", "linked", "moved", "cut", "longer", "deleted"])
def test_a_part_that_others_had_a_hand_in_is_not_settled(path: Path, change: str) -> None:
    """Only the very file that was written, as long as it was written, is committed or finished."""
    with opened(path) as part:
        write(part, b"written")
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
def test_a_part_has_room_up_to_its_limits(
    path: Path, max_contacts: int | None, max_bytes: int | None, has_room: bool
) -> None:
    """A frame fits if contacts and bytes stay within what is allowed, exactly."""
    with opened(path) as part:
        part.write(bytes(200))
        part.count(frame(bytes(200), contacts=20))
        assert part.has_room(frame(bytes(100), contacts=10), max_contacts, max_bytes) == has_room


def test_the_first_frame_always_fits(path: Path) -> None:
    """A part holds at least one frame, however small it is to be."""
    with opened(path) as part:
        assert part.has_room(frame(bytes(1_000), contacts=150), 1, 1)
        write(part, bytes(1_000))
        assert not part.has_room(frame(b"x"), 1, 1)


def test_what_was_committed_counts_when_it_goes_on(path: Path) -> None:
    """The room of a part that goes on is what is left in it."""
    path.write_bytes(bytes(200))
    with opened(path) as part:
        check(part, replace(summary_of(bytes(200)), contacts=20))
        assert part.has_room(frame(bytes(100), contacts=10), 30, 300)
        assert not part.has_room(frame(bytes(100), contacts=11), 30, None)
        assert not part.has_room(frame(bytes(101), contacts=1), None, 300)
