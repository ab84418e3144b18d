"""Output formats: chosen by name, they encode pages into independent frames."""

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
def test_ndjson_frame_has_the_lines_of_its_page(found: list[list[bytes]]) -> None:
    """A plain frame counts its contacts and bytes."""
    for records in found:
        frame = encode(NDJSON, records)
        assert frame.content == lines(records)
        assert (frame.contacts, frame.uncompressed_bytes) == (len(records), len(frame.content))


@examples(percent=60)
@given(pages)
def test_gzip_frames_together_decompress_to_all_lines(found: list[list[bytes]]) -> None:
    """Every prefix that ends at a frame decompresses to the pages before it."""
    written, plain = b"", b""
    for records in found:
        frame = encode(NDJSON_GZIP, records)
        written += frame.content
        plain += lines(records)
        assert gzip.decompress(written) == plain
        assert (frame.contacts, frame.uncompressed_bytes) == (len(records), len(lines(records)))


@examples(percent=60)
@given(st.lists(st.binary(max_size=2_000).map(bytes.hex).map(str.encode), min_size=1))
def test_gzip_frame_of_the_same_page_has_the_same_bytes(records: list[bytes]) -> None:
    """A frame contains neither a time nor a name, and is one complete member."""
    frame = encode(NDJSON_GZIP, records)
    assert frame.content == encode(NDJSON_GZIP, records).content
    inflater = zlib.decompressobj(31)
    assert inflater.decompress(frame.content) == lines(records)
    assert inflater.eof
    assert not inflater.unused_data
    flags, time = frame.content[3], frame.content[4:8]
    assert (flags, time) == (0, bytes(4))


@pytest.mark.slow
@given(pages)
def test_zstd_frames_decompress_at_each_frame_boundary(found: list[list[bytes]]) -> None:
    """Frames up to any page decompress to the pages before it, and the same page has the same bytes."""
    written, plain = b"", b""
    for records in found:
        frame = encode(NDJSON_ZSTD, records)
        assert frame == encode(NDJSON_ZSTD, records)
        written += frame.content
        plain += lines(records)
        assert zstd().decompress(written) == plain if written else not plain


@pytest.mark.parametrize("form", [NDJSON, NDJSON_GZIP, NDJSON_ZSTD])
def test_frame_of_page_without_contacts_is_empty(form: object) -> None:
    """An empty page in the middle leaves no empty member behind."""
    assert isinstance(form, type(NDJSON))
    frame = encode(form, [])
    assert (frame.content, frame.contacts, frame.uncompressed_bytes) == (b"", 0, 0)


def test_empty_file_of_each_format_is_valid() -> None:
    """A file without contacts is empty, or one empty compressed frame."""
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
def test_format_for_name_depends_on_the_suffix(name: str, form: object) -> None:
    """The file name determines the format."""
    assert format_for_name(name) is form


@pytest.mark.parametrize(
    "name", ["", "contacts", ".ndjson", ".ndjson.gz", "contacts.json", "contacts.gz", "contacts.zst", "c.NDJSON"]
)
def test_format_for_name_with_unknown_suffix_is_refused(name: str) -> None:
    """The error lists the known suffixes."""
    with pytest.raises(ConfigError, match=r"\.ndjson, \.ndjson\.gz"):
        format_for_name(name)


def test_format_for_stream_accepts_only_documented_compressions() -> None:
    """Any other compression raises ConfigError."""
    assert format_for_stream(None) is NDJSON
    assert format_for_stream("gzip") is NDJSON_GZIP
    assert format_for_stream("zstd") is NDJSON_ZSTD
    for compression in ("", "GZIP", "zst", "none"):
        with pytest.raises(ConfigError, match="compression"):
            format_for_stream(compression)
