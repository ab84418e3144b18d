"""Records that are extracted from a page are the original bytes, on the fast path and on the slow path."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.rawjson.scanner import reject_constant, split_object
from exporter.source.envelope import MalformedBody, parse
from tests.support.exact_json import Pairs
from tests.support.properties import examples

URL = "https://api.intercom.io/contacts"
LISTS = ("data", "contacts")

gaps = st.text(" \t\r\n", max_size=3)
numbers = st.one_of(
    st.integers(-(10**40), 10**40).map(str),
    st.sampled_from(["0", "-0", "1.10", "1E5", "1e+05", "-0.0", "1e-400", "1e999", "9" * 5_000, "3." + "14159" * 9]),
)
plain_characters = st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=0x20)
escapes = st.sampled_from([r"\"", r"\\", r"\/", r"\n", r"\r", r"\u0041", r"\u0000", r"\ud83d\ude00", r"\u2028"])
lone_surrogates = st.sampled_from([r"\ud800", r"\udfff", r"\ude00\ud83d", r"\uDC00 first"])
json_lookalikes = st.sampled_from([r"}],\"data\":[{", "[[{", "}]}", ",", ":"])


def strings(pieces: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Build JSON strings from pieces."""
    return st.lists(pieces, max_size=5).map(lambda found: '"' + "".join(found) + '"')


def spread(opening: str, items: list[str], closing: str, gap: str) -> str:
    """Render an object or array with white space between all tokens."""
    return opening + gap + f"{gap},{gap}".join(items) + gap + closing


def objects(keys: st.SearchStrategy[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Build objects, with duplicate keys."""
    members = st.lists(st.tuples(keys, values, gaps), max_size=4)
    return st.builds(
        lambda found, gap: spread("{", [f"{key}{g}:{g}{value}" for key, value, g in found], "}", gap), members, gaps
    )


def arrays(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Build arrays."""
    return st.builds(lambda found, gap: spread("[", found, "]", gap), st.lists(items, max_size=3), gaps)


def contacts(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Build contacts: any JSON objects."""
    leaves = st.one_of(numbers, texts, st.sampled_from(["null", "true", "false"]))
    values = st.recursive(leaves, lambda inner: arrays(inner) | objects(texts, inner), max_leaves=6)
    return objects(texts | st.sampled_from(['"data"', '"pages"', '"a"']), values)


ordinary = strings(plain_characters | escapes | json_lookalikes)
hostile = strings(plain_characters | escapes | json_lookalikes | lone_surrogates)


@st.composite
def pages(draw: st.DrawFn, texts: st.SearchStrategy[str] = hostile) -> tuple[list[bytes], bytes]:
    """Draw contacts, and a page that contains them, with keys in any order and any white space."""
    records = draw(st.lists(contacts(texts), max_size=4))
    gap = draw(gaps)
    cursor = draw(st.sampled_from(['{"starting_after":"c1"}', "null", r'{"page":2,"starting_after":"c1\n+/="}']))
    name = draw(st.sampled_from(['"data"', r'"d\u0061ta"', '"contacts"']))
    members = [
        f"{name}{gap}:{gap}{spread('[', records, ']', gap)}",
        f'"pages"{gap}:{gap}{{"next":{cursor}}}',
        '"total_count":12',
        *draw(
            st.lists(st.sampled_from(['"type":"list"', r'"\ud800":[{}]', '"x":{"data":[1]}']), max_size=2, unique=True)
        ),
    ]
    body = gap + spread("{", draw(st.permutations(members)), "}", gap) + draw(gaps)
    return [record.encode() for record in records], body.encode()


def loads(body: bytes) -> Any:
    """Parse strictly, and keep the spelling of numbers."""
    return json.loads(body.decode(), parse_int=str, parse_float=str, parse_constant=reject_constant)


def is_json(body: bytes) -> bool:
    """Return whether a strict parser accepts a body: UTF-8, JSON without NaN, not too deep."""
    try:
        loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def slow_records(body: bytes) -> tuple[bytes, ...] | None:
    """Return the records of a page, by the slow path alone."""
    found = split_object(body.decode(), LISTS)
    records = found.get("data", found.get("contacts"))
    assert records is None or isinstance(records, tuple)
    return records


@given(pages())
def test_fast_and_slow_path_return_the_original_records(page: tuple[list[bytes], bytes]) -> None:
    """For any contact, the record is exactly the bytes of its object."""
    records, body = page
    assert list(parse(body, URL).records) == records
    assert list(slow_records(body) or ()) == records


@pytest.mark.slow
@given(pages(ordinary))
def test_parse_finds_cursor_and_count_at_any_position(page: tuple[list[bytes], bytes]) -> None:
    """The order of keys and the white space do not matter."""
    _, body = page
    following = loads(body)["pages"]["next"]
    envelope = parse(body, URL)
    assert envelope.next_cursor == (following and following["starting_after"])
    assert envelope.total_count == 12


@given(pages(), st.data())
def test_parse_of_mutated_page_agrees_with_a_strict_parser(
    page: tuple[list[bytes], bytes], data: st.DataObject
) -> None:
    """If a page has a few changed bytes, both paths and a strict parser agree whether it is JSON."""
    body = bytearray(page[1])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        removed = data.draw(st.integers(0, 3))
        body[at : at + removed] = data.draw(
            st.sampled_from(
                [b"", b",", b"}", b"]", b'"', b"\\", b"\x00", b"\xff", b"NaN", b"1", b"01", b"-", b".", b" "]
            )
        )
    check_agreement(bytes(body))


def check_agreement(body: bytes) -> None:
    """Compare both paths with a strict parser, including the records."""
    accepted: tuple[bytes, ...] | None = None
    with suppress(MalformedBody):
        accepted = parse(body, URL).records
    if not is_json(body):
        assert accepted is None
        with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is its contract
            split_object(body.decode(), LISTS)
        return
    expected = loads(body)
    if accepted is None:
        assert not is_certainly_a_page(expected) or has_duplicate_key(body)
    else:
        rows = expected["contacts"] if expected.get("data") is None else expected["data"]
        assert [loads(record) for record in accepted] == rows


def has_duplicate_key(body: bytes) -> bool:
    """Return whether any object has a duplicate key."""
    found: list[Pairs] = []
    json.loads(body.decode(), parse_int=str, object_pairs_hook=lambda pairs: found.append(Pairs(pairs)))
    return any(pairs.repeat for pairs in found)


def is_certainly_a_page(page: Any) -> bool:
    """Return whether JSON is certainly a page of contacts."""
    if not isinstance(page, dict) or any(not isinstance(page.get(name, []), list) for name in LISTS):
        return False
    rows = page.get("data", page.get("contacts"))
    following = (page.get("pages") or {}).get("next") if isinstance(page.get("pages"), dict | None) else 0
    return (
        rows is not None
        and all(isinstance(row, dict) for row in rows)
        and (following is None or (isinstance(following, dict) and isinstance(following.get("starting_after"), str)))
    )


@pytest.mark.slow
@examples(percent=15)
@given(pages())
def test_page_truncated_at_any_byte_is_malformed(page: tuple[list[bytes], bytes]) -> None:
    """No prefix of a page is accepted as a page or as an object."""
    body = page[1].rstrip()
    for length in range(len(body)):
        with pytest.raises(MalformedBody):
            parse(body[:length], URL)
    text = body.decode()
    for length in range(len(text)):
        with pytest.raises(ValueError):  # noqa: PT011
            split_object(text[:length], LISTS)


@given(st.text(max_size=30) | st.text('{}[]",:\\u0d81 \n-.eE', max_size=30))
def test_split_object_of_any_text_agrees_with_a_strict_parser(text: str) -> None:
    """It accepts objects without duplicate keys, and raises only ValueError for other text."""
    try:
        found: Any = split_object(text, LISTS)
    except ValueError:
        found = None
    try:
        expected = json.loads(text, parse_int=str, parse_constant=reject_constant, object_pairs_hook=Pairs)
    except ValueError:
        expected = None
    assert (found is not None) == (isinstance(expected, Pairs) and not expected.repeat)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[{"first":1}],"pages":null,"data":[{"last":1}]}',
        b'{"data":[{"a":1},{"b":1}],"pages":null,"data":[{"a":1},{"b":1}]}',
        b'{"data":[{"a":1}],"data":[],"pages":null}',
        b'{"data":[],"data":[{"a":1}],"pages":null}',
        b'{"data":[],"data":[],"pages":null}',
        b'{"data":[{"a":1}],"pages":{"next":{"starting_after":"c"}},"pages":null}',
        b'{"data":[{"a":1}],"pages":{"next":{"starting_after":"c"},"next":null}}',
        b'{"data":[{"a":"\\ud800"}],"pages":{"next":{"starting_after":"c"}},"pages":null}',
        b'{"data":[{"a":1}],"contacts":[{"a":1}],"pages":null}',
        b'{"data":[{"a":1}],"contacts":[],"pages":null}',
    ],
)
def test_parse_of_envelope_with_two_lists_or_cursors_is_refused(body: bytes) -> None:
    """A parser would drop one of the duplicates, so such a page is malformed."""
    with pytest.raises(MalformedBody):
        parse(body, URL)


def test_parse_keeps_duplicate_keys_of_a_contact() -> None:
    """Duplicate keys are allowed inside a contact."""
    record = b'{"data":[1],"data":[2],"pages":null,"pages":1}'
    assert parse(b'{"data":[%b,%b],"pages":null}' % (record, record), URL).records == (record, record)


def test_split_object_does_not_split_values_other_than_arrays() -> None:
    """Only arrays are split into items."""
    assert split_object('{"data": {"a":1} ,"contacts":null}', LISTS) == {"data": b'{"a":1}', "contacts": b"null"}


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '{"a":1}x', '{"a":1,}', '{"a":[1,]}', "{1:2}", '{"a" 1}'])
def test_split_object_of_malformed_json_is_refused(text: str) -> None:
    """Text around, between or instead of an object's members is an error."""
    with pytest.raises(ValueError):  # noqa: PT011
        split_object(text, ("a",))


def test_split_object_with_too_deep_nesting_is_refused() -> None:
    """It raises ValueError, and not RecursionError."""
    with pytest.raises(ValueError, match="nested too deeply"):
        split_object('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", ())


def test_split_object_keeps_a_number_of_a_million_digits() -> None:
    """Numbers stay text, so that a million digits are split like any other value."""
    digits = "9" * 1_000_000
    assert split_object(f'{{"a":{digits}}}', ()) == {"a": digits.encode()}
