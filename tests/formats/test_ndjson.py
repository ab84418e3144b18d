"""Contacts as lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.formats.ndjson import lines
from tests.support.exports import lines_of

# What a record can hold: anything, but line ends only as white space between tokens.
records = st.lists(st.text(st.characters(codec="utf-8") | st.sampled_from("\r\n"), max_size=30).map(str.encode))


@given(records)
def test_lines_are_the_records_with_a_line_end_each(records: list[bytes]) -> None:
    """Every record is one line; each CR and each LF in it is one space, all else is untouched."""
    written = lines(records)
    assert written == lines_of(records)
    assert written.count(b"\n") == len(records)
    assert len(written) == sum(map(len, records)) + len(records)


def test_no_record_is_no_line() -> None:
    """Nothing gives nothing, not an empty line."""
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
def test_only_cr_and_lf_end_a_line(record: bytes, line: bytes) -> None:
    """What other line separators there are belong to the contact."""
    assert lines([record, b"{}"]) == line + b"{}\n"


def test_lines_are_those_that_other_tests_expect() -> None:
    """The definition that other tests compare with is this one."""
    found = [b'{"a":\r\n1}', b"{}"]
    assert lines_of(found) == lines(found)
