"""Decompression of response bodies: it detects truncated and damaged bodies, and limits their size."""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import ContractError
from exporter.source import body as bodies
from exporter.source.body import inflate
from exporter.source.envelope import MalformedBody
from tests.support.properties import examples


def raw_deflated(content: bytes) -> bytes:
    """Compress to raw deflate, which some servers send as ``deflate``."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


def gzipped(content: bytes) -> bytes:
    """Compress into one gzip member."""
    return gzip.compress(content, mtime=0)


ENCODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzipped),
    ("GZIP ", gzipped),
    ("x-gzip", gzipped),
    ("X-GZip", gzipped),
    ("deflate", zlib.compress),
    ("deflate", raw_deflated),
    ("deflate", lambda content: zlib.compress(content, 0)),
    ("identity", bytes),
    ("", bytes),
    ("Identity", bytes),
    ("gzip, identity", gzipped),
    (",identity ,gzip,", gzipped),
    ("gzip, gzip", lambda content: gzipped(gzipped(content))),
    ("deflate, gzip", lambda content: gzipped(zlib.compress(content))),
    ("gzip", lambda content: gzipped(content[:3]) + gzipped(b"") + gzipped(content[3:])),
]
WITH_CHECKSUM = [("gzip", gzipped), ("deflate", zlib.compress)]


@pytest.mark.parametrize(("encoding", "pack"), ENCODINGS)
@examples(percent=30)
@given(content=st.binary(max_size=500))
def test_inflate_of_each_encoding_returns_the_content(
    encoding: str, pack: Callable[[bytes], bytes], content: bytes
) -> None:
    """It decodes each encoding that requests accept, and those that servers send instead."""
    assert inflate(pack(content), encoding) == content


@pytest.mark.parametrize(("encoding", "pack"), ENCODINGS[:7])
def test_inflate_of_body_truncated_at_any_byte_is_malformed(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """No prefix of a compressed body is accepted as the complete body."""
    packed = pack(b'{"data":[{"id":"1"}],"pages":null}' * 20)
    for length in range(len(packed)):
        with pytest.raises(MalformedBody):
            inflate(packed[:length], encoding)


@pytest.mark.parametrize(("encoding", "pack"), WITH_CHECKSUM)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_inflate_with_flipped_bit_raises_or_returns_the_same_content(
    encoding: str, pack: Callable[[bytes], bytes], at: int, bit: int
) -> None:
    """A damaged body never decodes to other content."""
    content = b"".join(b'{"id":"%d"},' % number for number in range(100))
    packed = bytearray(pack(content))
    packed[at % len(packed)] ^= 1 << bit
    try:
        assert inflate(bytes(packed), encoding) == content
    except MalformedBody as broken:
        assert broken.__suppress_context__ or broken.__context__ is None  # noqa: PT017


@pytest.mark.parametrize(("encoding", "pack"), WITH_CHECKSUM)
def test_inflate_with_wrong_checksum_is_malformed(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """It checks the last bytes, including the length in gzip's trailer."""
    packed = pack(b"content " * 50)
    for back in range(1, 9 if encoding == "gzip" else 5):
        damaged = bytearray(packed)
        damaged[-back] ^= 0x01
        with pytest.raises(MalformedBody):
            inflate(bytes(damaged), encoding)


@pytest.mark.parametrize(("encoding", "pack"), ENCODINGS[:7])
def test_inflate_with_trailing_bytes_is_malformed(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """A compressed body ends with its stream: other bytes after it are an error."""
    with pytest.raises(MalformedBody, match="follows"):
        inflate(pack(b"content") + b"more", encoding)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip, br", "compress", "gzip;q=1", "\x00"])
def test_inflate_of_unsupported_or_wrong_encoding_is_malformed(encoding: str) -> None:
    """A body that cannot be decoded is not a page."""
    with pytest.raises(MalformedBody, match="encoding"):
        inflate(b"anything", encoding)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@given(noise=st.binary(max_size=100))
def test_inflate_of_random_bytes_raises_only_malformed_body(encoding: str, noise: bytes) -> None:
    """Any bytes under an encoding raise no exception other than MalformedBody."""
    try:
        inflate(noise, encoding)
    except MalformedBody as broken:
        assert str(broken)  # noqa: PT017


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "pack"), ENCODINGS[:6])
def test_inflate_of_compression_bomb_keeps_memory_bounded(
    encoding: str, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses a body that would exceed the limit, and uses little more memory than the limit."""
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 1 << 20)
    bomb = pack(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ContractError, match="more than 1 MiB"):
            inflate(bomb, encoding)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_inflate_accepts_at_most_1_001_gzip_members() -> None:
    """A gzip body may have many members, as compressors that work in blocks write it, but not any number."""
    contents = [b"%d," % number for number in range(1_002)]
    members = [*map(gzipped, contents)]
    for number in (999, 1_000, 1_001):
        assert inflate(b"".join(members[:number]), "gzip") == b"".join(contents[:number])
    with pytest.raises(MalformedBody, match="its compressed body has more than 1,001 gzip members"):
        inflate(b"".join(members), "gzip")
    with pytest.raises(MalformedBody, match="something follows its compressed body"):
        inflate(b"".join((*members[:1_001], b"\0")), "gzip")


def test_inflate_of_large_gzip_members_returns_their_content() -> None:
    """A member may be longer than the pieces in which it is read."""
    contents = [random.Random(number).randbytes(200_000) for number in range(4)]
    assert inflate(b"".join(map(gzipped, contents)), "gzip") == b"".join(contents)


def test_inflate_detects_truncated_or_damaged_second_member() -> None:
    """It checks each member: whether it is truncated or damaged, and whether bytes follow it."""
    first, second = gzipped(b"content"), gzipped(b"more " * 50)
    for length in range(1, len(second)):
        with pytest.raises(MalformedBody):
            inflate(first + second[:length], "gzip")
    for at in range(len(second)):
        damaged = bytearray(first + second)
        damaged[len(first) + at] ^= 0x40
        with suppress(MalformedBody):
            assert inflate(bytes(damaged), "gzip") == b"content" + b"more " * 50
    with pytest.raises(MalformedBody, match="follows"):
        inflate(first + second + b"\0", "gzip")


def test_inflate_of_members_larger_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit covers all members together, and each encoding of several."""
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 1 << 20)
    half = gzipped(bytes(1 << 19))
    assert len(inflate(half * 2, "gzip")) == 1 << 20
    for body, encoding in ((half * 2 + gzipped(b"1"), "gzip"), (gzipped(gzipped(bytes(64 << 20))), "gzip, gzip")):
        with pytest.raises(ContractError, match="more than 1 MiB"):
            inflate(body, encoding)


def test_inflate_of_a_million_empty_members_is_refused() -> None:
    """It reads no more members than the limit allows."""
    with pytest.raises(MalformedBody, match="more than 1,001 gzip members"):
        inflate(gzipped(b"") * 1_000_000, "gzip")


def test_inflate_accepts_a_body_at_the_limit_and_not_one_byte_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit itself is allowed; one byte more is not."""
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 1 << 20)
    assert len(inflate(gzipped(bytes(1 << 20)), "gzip")) == 1 << 20
    with pytest.raises(ContractError):
        inflate(gzipped(bytes((1 << 20) + 1)), "gzip")
