"""UTF-8 validation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.rawjson.utf8 import first_bad_byte


@given(st.binary(max_size=200), st.integers(0, 3))
def test_first_bad_byte_agrees_with_python(tail: bytes, shift: int) -> None:
    """It returns Python's position, also if a character lies across two pieces."""
    content = b"x" * (64 * 1024 - shift) + "€😀".encode() + tail
    try:
        content.decode()
        expected = None
    except UnicodeDecodeError as exc:
        expected = exc.start
    assert first_bad_byte(content) == expected


@pytest.mark.parametrize("content", [b"", b"plain", "äöü€😀".encode()])
def test_first_bad_byte_of_valid_text_is_none(content: bytes) -> None:
    """Empty content is valid too."""
    assert first_bad_byte(content) is None
