"""The journal of the keys of written contacts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import SinkError
from exporter.layout.key_journal import decode_blocks, encode_block, key_errors_as_sink_errors

PAGES = st.lists(
    st.tuples(st.sampled_from(["00001", "00002", "late"]), st.integers(0, 2), st.integers(0, 5)), max_size=12
)


@given(PAGES, st.integers(1, 50))
def test_keys_of_pages_that_were_not_discarded_are_read_back(pages: list[tuple[str, int, int]], size: int) -> None:
    """In any chunks; a page without keys has no block."""
    blocks = [(track, times, bytes([number]) * 12 * count) for number, (track, times, count) in enumerate(pages)]
    content = b"".join(encode_block(*block) for block in blocks)
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    again = {"00001": 1, "late": 2}
    expected = [keys for track, times, keys in blocks if keys and times == again.get(track, 0)]
    assert list(decode_blocks(chunks, again, lambda _track: True)) == expected


def test_truncated_journal_is_one_clear_error() -> None:
    """It names what to do; nothing is believed of it."""
    content = encode_block("00001", 0, bytes(24))
    with pytest.raises(SinkError, match=r"cannot be stored or read: .*truncated"), key_errors_as_sink_errors():
        list(decode_blocks([content[:-1]], {}, lambda _track: True))
