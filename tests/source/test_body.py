"""Bodies are proven whole while they are inflated, against a cap."""

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


def bare(content: bytes) -> bytes:
    """Compress without a container, as some servers understand ``deflate``."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


def zipped(content: bytes) -> bytes:
    """Compress into one gzip member."""
    return gzip.compress(content, mtime=0)


ENCODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", zipped),
    ("GZIP ", zipped),
    ("x-gzip", zipped),
    ("X-GZip", zipped),
    ("deflate", zlib.compress),
    ("deflate", bare),
    ("deflate", lambda content: zlib.compress(content, 0)),
    ("identity", bytes),
    ("", bytes),
    ("Identity", bytes),
    ("gzip, identity", zipped),
    (",identity ,gzip,", zipped),
    ("gzip, gzip", lambda content: zipped(zipped(content))),
    ("deflate, gzip", lambda content: zipped(zlib.compress(content))),
    ("gzip", lambda content: zipped(content[:3]) + zipped(b"") + zipped(content[3:])),
]
CHECKED = [("gzip", zipped), ("deflate", zlib.compress)]


@pytest.mark.parametrize(("encoding", "pack"), ENCODINGS)
@examples(percent=30)
@given(content=st.binary(max_size=500))
def test_what_was_packed_comes_out(encoding: str, pack: Callable[[bytes], bytes], content: bytes) -> None:
    """Each encoding that is asked for, and those that servers send instead, are undone."""
    assert inflate(pack(content), encoding) == content


@pytest.mark.parametrize(("encoding", "pack"), ENCODINGS[:7])
def test_a_body_cut_at_any_byte_is_broken(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """No beginning of a compressed body passes for the whole."""
    packed = pack(b'{"data":[{"id":"1"}],"pages":null}' * 20)
    for length in range(len(packed)):
        with pytest.raises(MalformedBody):
            inflate(packed[:length], encoding)


@pytest.mark.parametrize(("encoding", "pack"), CHECKED)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_harmless(encoding: str, pack: Callable[[bytes], bytes], at: int, bit: int) -> None:
    """Damage never comes out as other content."""
    content = b"".join(b'{"id":"%d"},' % number for number in range(100))
    packed = bytearray(pack(content))
    packed[at % len(packed)] ^= 1 << bit
    try:
        assert inflate(bytes(packed), encoding) == content
    except MalformedBody as broken:
        assert broken.__suppress_context__ or broken.__context__ is None  # noqa: PT017


@pytest.mark.parametrize(("encoding", "pack"), CHECKED)
def test_a_wrong_checksum_is_found(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """The last bytes are checked, the length of gzip's trailer included."""
    packed = pack(b"content " * 50)
    for back in range(1, 9 if encoding == "gzip" else 5):
        damaged = bytearray(packed)
        damaged[-back] ^= 0x01
        with pytest.raises(MalformedBody):
            inflate(bytes(damaged), encoding)


@pytest.mark.parametrize(("encoding", "pack"), ENCODINGS[:7])
def test_something_behind_the_end_is_broken(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """A body holds one compressed stream and nothing else."""
    with pytest.raises(MalformedBody, match="follows"):
        inflate(pack(b"content") + b"more", encoding)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip, br", "compress", "gzip;q=1", "\x00"])
def test_an_encoding_that_was_not_asked_for_is_broken(encoding: str) -> None:
    """What cannot be undone is no page."""
    with pytest.raises(MalformedBody, match="encoding"):
        inflate(b"anything", encoding)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@given(noise=st.binary(max_size=100))
def test_noise_is_broken_or_nothing(encoding: str, noise: bytes) -> None:
    """Whatever arrives under an encoding raises nothing else than MalformedBody."""
    try:
        inflate(noise, encoding)
    except MalformedBody as broken:
        assert str(broken)  # noqa: PT017


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "pack"), ENCODINGS[:6])
def test_a_bomb_costs_no_more_than_the_cap(
    encoding: str, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that would inflate beyond the cap is refused, having taken little more memory than the cap."""
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 1 << 20)
    bomb = pack(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ContractError, match="more than 1 MiB"):
            inflate(bomb, encoding)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_inflate_with_members_up_to_a_number_gives_their_content() -> None:
    """A gzip body may be of many members, as compressors that work in blocks write it; not of any number."""
    contents = [b"%d," % number for number in range(1_002)]
    members = [*map(zipped, contents)]
    for number in (999, 1_000, 1_001):
        assert inflate(b"".join(members[:number]), "gzip") == b"".join(contents[:number])
    with pytest.raises(MalformedBody, match="its compressed body has more than 1,001 gzip members"):
        inflate(b"".join(members), "gzip")
    with pytest.raises(MalformedBody, match="something follows its compressed body"):
        inflate(b"".join((*members[:1_001], b"\0")), "gzip")


def test_inflate_with_large_members_gives_their_content() -> None:
    """Members may be longer than the pieces in which they are read."""
    contents = [random.Random(number).randbytes(200_000) for number in range(4)]
    assert inflate(b"".join(map(zipped, contents)), "gzip") == b"".join(contents)


def test_inflate_with_a_second_member_that_is_no_good_is_broken() -> None:
    """Each member is proven whole: cut anywhere, damaged, or followed by something."""
    first, second = zipped(b"content"), zipped(b"more " * 50)
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


def test_inflate_with_members_beyond_the_cap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap is one for all members, and for each encoding of several."""
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 1 << 20)
    half = zipped(bytes(1 << 19))
    assert len(inflate(half * 2, "gzip")) == 1 << 20
    for body, encoding in ((half * 2 + zipped(b"1"), "gzip"), (zipped(zipped(bytes(64 << 20))), "gzip, gzip")):
        with pytest.raises(ContractError, match="more than 1 MiB"):
            inflate(body, encoding)


def test_inflate_of_a_crowd_of_members_is_quick() -> None:
    """Millions of empty members cost no more than the first of them."""
    with pytest.raises(MalformedBody, match="more than 1,001 gzip members"):
        inflate(zipped(b"") * 1_000_000, "gzip")


def test_a_body_of_just_the_cap_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap itself is allowed, one byte more is not."""
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 1 << 20)
    assert len(inflate(zipped(bytes(1 << 20)), "gzip")) == 1 << 20
    with pytest.raises(ContractError):
        inflate(zipped(bytes((1 << 20) + 1)), "gzip")
