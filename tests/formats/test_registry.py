"""Formats: pages into frames that stand on their own, chosen by name."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import ConfigError, Page
from exporter.extras import zstd
from exporter.formats.encoder import Encoder
from exporter.formats.ndjson import lines
from exporter.formats.registry import NDJSON, NDJSON_GZIP, NDJSON_ZSTD, Format, format_for_name, format_for_stream
from exporter.model import Frame
from tests.support.properties import examples

pages = st.lists(
    st.lists(st.binary(max_size=20).map(lambda content: b'{"x":"' + content.hex().encode() + b'"}'), max_size=4),
    max_size=8,
)


def encode(output_format: Format, records: list[bytes]) -> Frame:
    """Encode a page of these records."""
    return Encoder(output_format=output_format).encode(Page(1, tuple(records), None, None))


@given(pages)
def test_a_frame_is_its_pages_lines(found: list[list[bytes]]) -> None:
    """Plain frames are the lines, with what is in them counted."""
    for records in found:
        frame = encode(NDJSON, records)
        assert frame.content == lines(records)
        assert (frame.contacts, frame.uncompressed_bytes) == (len(records), len(frame.content))


@examples(percent=60)
@given(pages)
def test_gzip_frames_put_together_are_the_lines(found: list[list[bytes]]) -> None:
    """Members concatenate, and every prefix that ends at a member decompresses to the pages before it."""
    written, plain = b"", b""
    for records in found:
        frame = encode(NDJSON_GZIP, records)
        written += frame.content
        plain += lines(records)
        assert gzip.decompress(written) == plain
        assert (frame.contacts, frame.uncompressed_bytes) == (len(records), len(lines(records)))


@examples(percent=60)
@given(st.lists(st.binary(max_size=2_000).map(bytes.hex).map(str.encode), min_size=1))
def test_the_same_page_gives_the_same_bytes(records: list[bytes]) -> None:
    """No time, name or order of work gets into a frame, and each is one whole member."""
    frame = encode(NDJSON_GZIP, records)
    assert frame.content == encode(NDJSON_GZIP, records).content
    inflater = zlib.decompressobj(31)
    assert inflater.decompress(frame.content) == lines(records)
    assert inflater.eof
    assert not inflater.unused_data
    flags, time = frame.content[3], frame.content[4:8]
    assert (flags, time) == (0, bytes(4))


@given(pages)
def test_every_prefix_of_zstd_is_valid(found: list[list[bytes]]) -> None:
    """Cut behind any frame, it decompresses to the pages before it, and the same page gives the same bytes."""
    written, plain = b"", b""
    for records in found:
        frame = encode(NDJSON_ZSTD, records)
        assert frame == encode(NDJSON_ZSTD, records)
        written += frame.content
        plain += lines(records)
        assert zstd().decompress(written) == plain if written else not plain


@pytest.mark.parametrize("form", [NDJSON, NDJSON_GZIP, NDJSON_ZSTD])
def test_a_page_without_contacts_writes_nothing(form: object) -> None:
    """An empty page in the middle leaves no empty member behind."""
    assert isinstance(form, type(NDJSON))
    frame = encode(form, [])
    assert (frame.content, frame.contacts, frame.uncompressed_bytes) == (b"", 0, 0)


def test_an_export_of_nothing_is_valid() -> None:
    """No contact at all is an empty file, or one empty gzip member."""
    assert Encoder(output_format=NDJSON).empty_file.content == b""
    empty = Encoder(output_format=NDJSON_GZIP).empty_file
    assert empty.content
    assert gzip.decompress(empty.content) == b""
    assert (empty.contacts, empty.uncompressed_bytes) == (0, 0)
    assert Encoder(output_format=NDJSON_ZSTD).empty_file.content
    assert zstd().decompress(Encoder(output_format=NDJSON_ZSTD).empty_file.content) == b""


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("contacts.ndjson", NDJSON),
        ("contacts.ndjson.gz", NDJSON_GZIP),
        ("a.b.ndjson", NDJSON),
        (".ndjson.ndjson", NDJSON),
        ("x.ndjson.ndjson.gz", NDJSON_GZIP),
        ("contacts.ndjson.zst", NDJSON_ZSTD),
    ],
)
def test_the_suffix_picks_the_format(name: str, form: object) -> None:
    """A name says how its file is written."""
    assert format_for_name(name) is form


@pytest.mark.parametrize(
    "name", ["", "contacts", ".ndjson", ".ndjson.gz", "contacts.json", "contacts.gz", "contacts.zst", "c.NDJSON"]
)
def test_an_unknown_suffix_is_refused(name: str) -> None:
    """A name that no format goes with is a wrong argument, and the sentence lists what there is."""
    with pytest.raises(ConfigError, match=r"\.ndjson, \.ndjson\.gz"):
        format_for_name(name)


def test_a_stream_is_plain_or_compressed() -> None:
    """Only what is documented is known."""
    assert format_for_stream(None) is NDJSON
    assert format_for_stream("gzip") is NDJSON_GZIP
    assert format_for_stream("zstd") is NDJSON_ZSTD
    for compression in ("", "GZIP", "zst", "none"):
        with pytest.raises(ConfigError, match="compression"):
            format_for_stream(compression)
