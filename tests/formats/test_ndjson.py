"""Contacts as NDJSON lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.formats.ndjson import lines
from tests.support.exports import lines_of

# A record contains any characters, but line ends only as white space between tokens.
records = st.lists(st.text(st.characters(codec="utf-8") | st.sampled_from("\r\n"), max_size=30).map(str.encode))


@given(records)
def test_lines_have_one_line_for_each_record(records: list[bytes]) -> None:
    """Each CR and each LF in a record becomes one space, and all other bytes stay."""
    written = lines(records)
    assert written == lines_of(records)
    assert written.count(b"\n") == len(records)
    assert len(written) == sum(map(len, records)) + len(records)


def test_lines_of_no_records_are_empty() -> None:
    """There is no empty line."""
    assert lines([]) == b""


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (b'{"a":1}', b'{"a":1}\n'),
        (b'{\r\n"a"\n:\r1}', b'{  "a" : 1}\n'),
        (b'{\n"a":1}\n', b'{ "a":1} \n'),
        (b'{\r"a":1}', b'{ "a":1}\n'),
        ('{"a":"\u2028\u2029\u0085\x0b\x0c"}'.encode(), '{"a":"\u2028\u2029\u0085\x0b\x0c"}\n'.encode()),
    ],
)
def test_lines_replace_only_cr_and_lf(record: bytes, line: bytes) -> None:
    """Other line separators belong to the contact."""
    assert lines([record, b"{}"]) == line + b"{}\n"


def test_lines_equal_those_of_the_test_helper() -> None:
    """Other tests compare exports with this helper."""
    found = [b'{"a":\r\n1}', b"{}"]
    assert lines_of(found) == lines(found)
