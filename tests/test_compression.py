"""The fast zlib speaks what Python's own does."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import compression


@given(st.binary(max_size=5_000))
def test_members_are_read_by_the_standard_library(content: bytes) -> None:
    """What we compress, everybody can decompress; the same content gives the same bytes."""
    member = compression.gzip_member(content)
    assert type(member) is bytes
    assert gzip.decompress(member) == content
    assert member == compression.gzip_member(content)


@given(st.binary(max_size=5_000), st.integers(0, 9))
def test_inflater_reads_what_the_standard_library_compresses(content: bytes, level: int) -> None:
    """Each container is inflated, and the end is known."""
    for container in (compression.GZIP, compression.ZLIB, compression.BARE_DEFLATE):
        packer = zlib.compressobj(level, zlib.DEFLATED, container)
        inflater = compression.inflater(container)
        assert inflater.decompress(packer.compress(content) + packer.flush() + b"rest", 10_000) == content
        assert inflater.eof
        assert inflater.unused_data == b"rest"


def test_inflater_returns_no_more_than_the_limit() -> None:
    """A bomb stays as small as the caller wants it."""
    inflater = compression.inflater(compression.GZIP)
    assert len(inflater.decompress(gzip.compress(bytes(1 << 20)), 1_000)) == 1_000
    assert not inflater.eof


@pytest.mark.parametrize("container", [compression.GZIP, compression.ZLIB, compression.BARE_DEFLATE])
def test_damage_raises_one_of_the_known_errors(container: int) -> None:
    """Whoever inflates can catch `ERRORS` and nothing else."""
    with pytest.raises(compression.ERRORS):
        compression.inflater(container).decompress(b"\x07" + b"no compressed content at all" * 3, 10_000)


def test_text_is_made_smaller() -> None:
    """A page of JSON shrinks to a fraction."""
    content = b"".join(b'{"type":"contact","id":"%024x","role":"user"}\n' % number for number in range(150))
    assert len(compression.gzip_member(content)) < len(content) / 5
