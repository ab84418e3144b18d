"""A data file, read in pieces that are small however much a chunk inflates to."""

import gzip
from pathlib import Path

from exporter.sink.lines import Contents

_PIECE_BYTES = 128 * 1024


def test_a_bomb_comes_in_small_pieces(tmp_path: Path) -> None:
    """Between two of them whoever reads can be told to stop."""
    path = tmp_path / "contacts.ndjson.gz"
    path.write_bytes(gzip.compress(b"\n" * 20_000_000))
    contents, size = Contents(path), 0
    for piece in contents.pieces():
        assert len(piece) <= _PIECE_BYTES
        size += len(piece)
    assert size == 20_000_000
    assert contents.failure is contents.damage is None
    assert contents.bytes == path.stat().st_size
