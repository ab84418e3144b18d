"""A data file is read in small pieces, whatever a chunk decompresses to."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.compression import zstd_frame
from exporter.layout.data_file import DataFile

_PIECE_BYTES = 128 * 1024


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("zst", zstd_frame)])
def test_data_file_of_compression_bomb_yields_small_pieces(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    """The caller can stop between two pieces."""
    path = tmp_path / f"contacts.ndjson.{suffix}"
    path.write_bytes(compress(b"\n" * 20_000_000))
    contents, size = DataFile(path), 0
    for piece in contents.chunks():
        assert len(piece) <= _PIECE_BYTES
        size += len(piece)
    assert size == 20_000_000
    assert contents.failure is contents.corruption is None
    assert contents.bytes == path.stat().st_size


def two_frames() -> bytes:
    """Return two two_frames, one after the other."""
    return zstd_frame(b"one\n" * 100) + zstd_frame(b"two\n" * 100)


def write_and_read(path: Path, content: bytes) -> tuple[bytes, str | None]:
    """Write a file and read it; return its content and its corruption."""
    path.write_bytes(content)
    contents = DataFile(path)
    return b"".join(contents.chunks()), contents.corruption


def test_data_file_of_several_zstd_frames_yields_all(tmp_path: Path) -> None:
    """Same as for gzip members: each prefix that ends with a frame is complete."""
    path = tmp_path / "contacts.ndjson.zst"
    assert write_and_read(path, two_frames()) == (b"one\n" * 100 + b"two\n" * 100, None)
    assert write_and_read(path, zstd_frame(b"one\n")) == (b"one\n", None)
    assert write_and_read(path, zstd_frame(b"")) == (b"", None)


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_data_file_with_truncated_zstd_frame_is_corrupt(tmp_path: Path, cut: int) -> None:
    """The number of missing bytes does not matter."""
    assert write_and_read(tmp_path / "contacts.ndjson.zst", two_frames()[:-cut])[1] == "is truncated"


@pytest.mark.parametrize(
    "damaged", [b"zzzz" + two_frames(), two_frames() + b"zzzz", two_frames()[:20] + b"zzzz" + two_frames()[24:]]
)
def test_data_file_with_damaged_zstd_frame_is_corrupt(tmp_path: Path, damaged: bytes) -> None:
    """The damage is before, within or after the frames."""
    _, damage = write_and_read(tmp_path / "contacts.ndjson.zst", damaged)
    assert damage is not None
    assert "zstd" in damage
