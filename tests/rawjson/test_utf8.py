"""Whether bytes are UTF-8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.rawjson.utf8 import first_bad_byte


@given(st.binary(max_size=200), st.integers(0, 3))
def test_it_finds_what_python_finds(tail: bytes, shift: int) -> None:
    """The answer is Python's own, also where a character lies across two pieces."""
    content = b"x" * (64 * 1024 - shift) + "€😀".encode() + tail
    try:
        content.decode()
        expected = None
    except UnicodeDecodeError as exc:
        expected = exc.start
    assert first_bad_byte(content) == expected


@pytest.mark.parametrize("content", [b"", b"plain", "äöü€😀".encode()])
def test_text_has_no_bad_byte(content: bytes) -> None:
    """Text is fine, and so is nothing at all."""
    assert first_bad_byte(content) is None
