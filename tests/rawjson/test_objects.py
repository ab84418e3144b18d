"""Members of a JSON object: their positions and their bytes, in any spelling."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.rawjson.objects import RawObject, decode_string, items_of, join_items, join_members

keys = st.text(st.characters(codec="utf-8"), max_size=5)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
spelling = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:  ")])
documents = st.builds(
    lambda members, ascii_only, separators: json.dumps(members, ensure_ascii=ascii_only, separators=separators),
    st.dictionaries(keys, values, max_size=6),
    st.booleans(),
    spelling,
).map(str.encode)


@given(documents)
def test_raw_object_members_joined_are_the_object(document: bytes) -> None:
    """Only white space is lost, each value is found by its key, and each member is a slice of the text."""
    members = RawObject.parse(document)
    decoded = json.loads(document)
    assert join_members(map(members.member, range(len(members)))) == members.text
    assert json.loads(members.text) == decoded
    assert list(members.positions) == list(decoded)
    for key, found in members.positions.items():
        assert [json.loads(members.value(position)) for position in found] == [decoded[key]]
        assert members.with_value(found[0], members.value(found[0])) == members.member(found[0])


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":1.10,"b":1E5,"c":-0,"d":123456789012345678901234567890,"e":"\\u0041\\/"}',
        b'{"\\u0061":1,"b":2}',
        b'{"a":1,"b":2,"a":3}',
        b'{"a":1,"a":1}',
        b'{"a":"\\ud800","\\udc00":[]}',
        b"{}",
        b'{"":{}}',
        b'{"\\/":1,"/":2}',
        '{"ключ":"значение","\U0001f600":"\\ud83d\\ude00"}'.encode(),
    ],
)
def test_raw_object_of_compact_json_keeps_every_byte(document: bytes) -> None:
    """Numbers, escapes, duplicate keys and lone surrogates stay unchanged."""
    members = RawObject.parse(document)
    assert members.text == document
    assert join_members(map(members.member, range(len(members)))) == document


def test_raw_object_with_duplicate_key_has_several_positions() -> None:
    """Neither member hides the other, in any spelling of the key."""
    members = RawObject.parse(b'{"a":1,"b":2,"\\u0061":3}')
    assert members.positions == {"a": (0, 2), "b": (1,)}
    assert [members.value(position) for position in members.positions["a"]] == [b"1", b"3"]


def test_raw_object_with_value_replaces_only_the_value() -> None:
    """The key keeps its bytes."""
    members = RawObject.parse(b'{"a" : 1 , "\\u0062":[2]}')
    assert members.with_value(1, b"null") == b'"\\u0062":null'
    assert members.text == b'{"a":1,"\\u0062":[2]}'


@pytest.mark.parametrize("document", [b"[]", b"1", b'"a"', b"null", b"", b'{"a":1', b"{a:1}", b"{} {}"])
def test_raw_object_parse_of_other_json_is_refused(document: bytes) -> None:
    """Only one complete object is accepted."""
    with pytest.raises(ValueError, match=r"."):
        RawObject.parse(document)


@given(st.lists(values, max_size=5), spelling)
def test_items_of_array_are_its_items(items: list[Any], separators: tuple[str, str]) -> None:
    """Joining them returns the array."""
    found = items_of(json.dumps(items, separators=separators).encode())
    assert list(map(json.loads, found)) == items
    assert json.loads(join_items(found)) == items


def test_items_of_array_with_lone_surrogates_are_its_items() -> None:
    """It splits arrays that msgspec refuses."""
    assert items_of(b'["\\ud800", 1.10]') == [b'"\\ud800"', b"1.10"]


@given(st.text(st.characters(exclude_categories=())))
def test_decode_string_returns_any_text(text: str) -> None:
    """It is the inverse of encoding, also for lone surrogates."""
    assert decode_string(json.dumps(text).encode()) == text


def test_raw_object_parse_keeps_no_long_keys_in_memory() -> None:
    """Long keys from untrusted input do not fill the memory."""
    tracemalloc.start()
    try:
        for number in range(300):
            assert len(RawObject.parse(b'{"%d%b":1}' % (number, b"k" * 100_000))) == 1
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()
