"""KeyCount counts duplicate keys while an export runs."""

import os
import tracemalloc
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.archive.key_count import KeyCount
from exporter.errors import SinkError
from exporter.rawjson.contact_keys import KEY_BYTES

PAGES = st.lists(st.lists(st.integers(0, 60), max_size=20), max_size=12)


def key(number: int) -> bytes:
    """Make the key of a number, spread over all of its bytes."""
    return (number * 0x9E3779B97F4A7C15F39CC060 % 2**96).to_bytes(KEY_BYTES, "big")


def count_duplicates(pages: list[list[int]], keys: KeyCount) -> int | None:
    """Add pages as an export does, and return the count."""
    for page in pages:
        keys.add(b"".join(map(key, page)))
        if keys.is_full:
            keys.spill()
    return keys.count()


@given(PAGES, st.sampled_from([3, 10, 50_000]))
def test_key_count_of_any_pages_is_exact(pages: list[list[int]], buffered: int) -> None:
    """The count is exact in memory, in spill files, and across pages."""
    numbers = [number for page in pages for number in page]
    assert count_duplicates(pages, KeyCount(buffered_keys=buffered)) == len(numbers) - len(set(numbers))


def test_key_count_leaves_no_file_behind(tmp_path: Path) -> None:
    """Its temporary files have no names, neither while it runs nor afterwards."""
    keys = KeyCount(tmp_path, buffered_keys=2)
    keys.add(key(1) * 3)
    keys.spill()
    assert list(tmp_path.iterdir()) == []
    assert keys.count() == 2
    assert list(tmp_path.iterdir()) == []


def test_key_count_in_missing_folder_uses_system_folder(tmp_path: Path) -> None:
    """KeyCount uses the system's folder for temporary files."""
    assert count_duplicates([[1, 2, 1], [2]], KeyCount(tmp_path / "missing", buffered_keys=1)) == 2


def test_key_count_without_any_folder_returns_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KeyCount raises no error, and does not keep keys in memory instead."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    keys = KeyCount(tmp_path / "missing", buffered_keys=1)
    assert count_duplicates([[1, 2, 1], [2]], keys) is None
    assert not keys.is_full


def test_key_count_on_full_disk_returns_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither spill() nor count() nor close() raises, however often the disk refuses the same bytes."""

    def full(*, buffering: int = -1, **_options: Any) -> IO[bytes]:
        return Path("/dev/full").open("w+b", buffering)

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    keys = KeyCount(buffered_keys=1)
    keys.add(key(1) * 2)
    keys.spill()
    keys.add(key(1) * 2)
    assert (keys.is_full, keys.count()) == (False, None)
    keys.close()


def test_key_count_with_truncated_spill_file_returns_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A count of fewer keys would be wrong."""
    name = tmp_path / "keys"
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_options: name.open("w+b", 0))
    keys = KeyCount(buffered_keys=1)
    keys.add(key(1) * 3)
    keys.spill()
    os.truncate(name, KEY_BYTES)
    assert keys.count() is None


def test_key_count_without_free_space_returns_none(tmp_path: Path) -> None:
    """KeyCount checks the free space before each write to the output's folder, and only there."""
    checked: list[int] = []

    def check(needed: int) -> None:
        checked.append(needed)
        if len(checked) == 2:
            raise SinkError("too little is free")

    assert count_duplicates([[1, 1], [2, 2], [3, 3]], KeyCount(tmp_path, buffered_keys=1, check_space=check)) is None
    assert checked == [2 * KEY_BYTES] * 2
    assert count_duplicates([[1, 1], [2, 2]], KeyCount(buffered_keys=1, check_space=check)) == 2
    assert len(checked) == 2


@pytest.mark.slow
@pytest.mark.parametrize("last", [None, 7])
def test_key_count_of_many_keys_is_exact_in_bounded_memory(last: int | None) -> None:
    """Few keys are Python objects at a time, even where all keys go into one bucket."""
    numbers = [*range(120_000), *range(0, 120_000, 1_000)]
    keys = KeyCount()
    made = [key(number) if last is None else key(number)[:-1] + bytes([last]) for number in numbers]
    pages = [b"".join(made[start : start + 150]) for start in range(0, len(made), 150)]
    del made
    tracemalloc.start()
    try:
        for page in pages:
            keys.add(page)
            if keys.is_full:
                keys.spill()
        assert keys.count() == 120
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_key_count_interrupted_by_callback_drops_keys() -> None:
    """A cancellation does not wait for all buckets, and drops the keys."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    keys = KeyCount(buffered_keys=1)
    keys.add(key(1) * 2)
    keys.spill()
    with pytest.raises(KeyboardInterrupt):
        keys.count(interrupt)
    assert keys.count() is None
