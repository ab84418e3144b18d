"""A data file, read in pieces that are small however much a chunk inflates to."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.compression import zstd_frame
from exporter.layout.data_file import DataFile

_PIECE_BYTES = 128 * 1024


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("zst", zstd_frame)])
def test_a_bomb_comes_in_small_pieces(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    """Between two of them whoever reads can be told to stop."""
    path = tmp_path / f"contacts.ndjson.{suffix}"
    path.write_bytes(compress(b"\n" * 20_000_000))
    contents, size = DataFile(path), 0
    for piece in contents.chunks():
        assert len(piece) <= _PIECE_BYTES
        size += len(piece)
    assert size == 20_000_000
    assert contents.failure is contents.corruption is None
    assert contents.bytes == path.stat().st_size


def frames() -> bytes:
    """Give two frames, one behind the other."""
    return zstd_frame(b"one\n" * 100) + zstd_frame(b"two\n" * 100)


def read(path: Path, content: bytes) -> tuple[bytes, str | None]:
    """Write a file and read it; give what it holds, and what is wrong with it."""
    path.write_bytes(content)
    contents = DataFile(path)
    return b"".join(contents.chunks()), contents.corruption


def test_frames_of_zstd_follow_one_another(tmp_path: Path) -> None:
    """As members of gzip do, and every prefix that ends with one is whole."""
    path = tmp_path / "contacts.ndjson.zst"
    assert read(path, frames()) == (b"one\n" * 100 + b"two\n" * 100, None)
    assert read(path, zstd_frame(b"one\n")) == (b"one\n", None)
    assert read(path, zstd_frame(b"")) == (b"", None)


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_cut_frame_is_told(tmp_path: Path, cut: int) -> None:
    """Wherever it was cut."""
    assert read(tmp_path / "contacts.ndjson.zst", frames()[:-cut])[1] == "is truncated"


@pytest.mark.parametrize("damaged", [b"zzzz" + frames(), frames() + b"zzzz", frames()[:20] + b"zzzz" + frames()[24:]])
def test_a_damaged_frame_is_told(tmp_path: Path, damaged: bytes) -> None:
    """And so is what follows the last one."""
    _, damage = read(tmp_path / "contacts.ndjson.zst", damaged)
    assert damage is not None
    assert "zstd" in damage
