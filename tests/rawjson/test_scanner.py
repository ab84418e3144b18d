"""Records cut out of a page are the bytes that were put in, by the fast road and by the slow one alike."""

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
    """Spell JSON strings out of pieces."""
    return st.lists(pieces, max_size=5).map(lambda found: '"' + "".join(found) + '"')


def spread(opening: str, items: list[str], closing: str, gap: str) -> str:
    """Spell an object or array with white space between all tokens."""
    return opening + gap + f"{gap},{gap}".join(items) + gap + closing


def objects(keys: st.SearchStrategy[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Spell objects, duplicate keys and all."""
    members = st.lists(st.tuples(keys, values, gaps), max_size=4)
    return st.builds(
        lambda found, gap: spread("{", [f"{key}{g}:{g}{value}" for key, value, g in found], "}", gap), members, gaps
    )


def arrays(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Spell arrays."""
    return st.builds(lambda found, gap: spread("[", found, "]", gap), st.lists(items, max_size=3), gaps)


def contacts(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Spell contacts: any JSON objects."""
    leaves = st.one_of(numbers, texts, st.sampled_from(["null", "true", "false"]))
    values = st.recursive(leaves, lambda inner: arrays(inner) | objects(texts, inner), max_leaves=6)
    return objects(texts | st.sampled_from(['"data"', '"pages"', '"a"']), values)


ordinary = strings(plain_characters | escapes | json_lookalikes)
hostile = strings(plain_characters | escapes | json_lookalikes | lone_surrogates)


@st.composite
def pages(draw: st.DrawFn, texts: st.SearchStrategy[str] = hostile) -> tuple[list[bytes], bytes]:
    """Draw contacts, and a page that holds them: keys in any order, any white space."""
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
    """Parse strictly, leaving numbers as they are spelled."""
    return json.loads(body.decode(), parse_int=str, parse_float=str, parse_constant=reject_constant)


def is_json(body: bytes) -> bool:
    """Say what a strict parser says: UTF-8, JSON without NaN, not too deep."""
    try:
        loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def slow_records(body: bytes) -> tuple[bytes, ...] | None:
    """Cut a page by the slow road alone."""
    found = split_object(body.decode(), LISTS)
    records = found.get("data", found.get("contacts"))
    assert records is None or isinstance(records, tuple)
    return records


@given(pages())
def test_both_roads_give_the_bytes_that_were_put_in(page: tuple[list[bytes], bytes]) -> None:
    """Whatever a contact holds, its record is exactly the bytes of its object."""
    records, body = page
    assert list(parse(body, URL).records) == records
    assert list(slow_records(body) or ()) == records


@given(pages(ordinary))
def test_cursor_and_count_are_read_wherever_they_stand(page: tuple[list[bytes], bytes]) -> None:
    """Key order and white space do not matter to the cursor and the count."""
    _, body = page
    following = loads(body)["pages"]["next"]
    envelope = parse(body, URL)
    assert envelope.next_cursor == (following and following["starting_after"])
    assert envelope.total_count == 12


@given(pages(), st.data())
def test_a_mutated_page_is_judged_as_a_strict_parser_does(page: tuple[list[bytes], bytes], data: st.DataObject) -> None:
    """A page with a few bytes changed is JSON to both roads, or to neither and to no strict parser."""
    body = bytearray(page[1])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        removed = data.draw(st.integers(0, 3))
        body[at : at + removed] = data.draw(
            st.sampled_from(
                [b"", b",", b"}", b"]", b'"', b"\\", b"\x00", b"\xff", b"NaN", b"1", b"01", b"-", b".", b" "]
            )
        )
    check_judgement(bytes(body))


def check_judgement(body: bytes) -> None:
    """Compare both roads with a strict parser, also on what the records are."""
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
        assert not well_shaped(expected) or repeats(body)
    else:
        rows = expected["contacts"] if expected.get("data") is None else expected["data"]
        assert [loads(record) for record in accepted] == rows


def repeats(body: bytes) -> bool:
    """Return whether any object has a repeated key."""
    found: list[Pairs] = []
    json.loads(body.decode(), parse_int=str, object_pairs_hook=lambda pairs: found.append(Pairs(pairs)))
    return any(pairs.repeat for pairs in found)


def well_shaped(page: Any) -> bool:
    """Say whether JSON is beyond doubt a page of contacts."""
    if not isinstance(page, dict) or any(not isinstance(page.get(name, []), list) for name in LISTS):
        return False
    rows = page.get("data", page.get("contacts"))
    following = (page.get("pages") or {}).get("next") if isinstance(page.get("pages"), dict | None) else 0
    return (
        rows is not None
        and all(isinstance(row, dict) for row in rows)
        and (following is None or (isinstance(following, dict) and isinstance(following.get("starting_after"), str)))
    )


@examples(percent=15)
@given(pages())
def test_a_page_cut_at_any_byte_is_no_page(page: tuple[list[bytes], bytes]) -> None:
    """No beginning of a page is ever taken for a page, nor for an object."""
    body = page[1].rstrip()
    for length in range(len(body)):
        with pytest.raises(MalformedBody):
            parse(body[:length], URL)
    text = body.decode()
    for length in range(len(text)):
        with pytest.raises(ValueError):  # noqa: PT011
            split_object(text[:length], LISTS)


@given(st.text(max_size=30) | st.text('{}[]",:\\u0d81 \n-.eE', max_size=30))
def test_any_text_at_all_is_cut_or_refused(text: str) -> None:
    """Cutting takes the objects a strict parser takes, and raises nothing but ValueError for the rest."""
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
def test_what_comes_twice_in_an_envelope_is_refused(body: bytes) -> None:
    """A parser would drop one of two lists, or one of two cursors: such a page is not believed."""
    with pytest.raises(MalformedBody):
        parse(body, URL)


def test_what_comes_twice_in_a_contact_is_kept() -> None:
    """A contact's own repeated keys are its own business."""
    record = b'{"data":[1],"data":[2],"pages":null,"pages":1}'
    assert parse(b'{"data":[%b,%b],"pages":null}' % (record, record), URL).records == (record, record)


def test_a_listed_key_that_holds_no_array_stays_whole() -> None:
    """Only arrays are cut into items."""
    assert split_object('{"data": {"a":1} ,"contacts":null}', LISTS) == {"data": b'{"a":1}', "contacts": b"null"}


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '{"a":1}x', '{"a":1,}', '{"a":[1,]}', "{1:2}", '{"a" 1}'])
def test_what_is_no_object_is_refused(text: str) -> None:
    """Anything around, between or instead of an object's members is an error."""
    with pytest.raises(ValueError):  # noqa: PT011
        split_object(text, ("a",))


def test_nesting_beyond_the_stack_is_refused() -> None:
    """Brackets without end are a ValueError, not a RecursionError."""
    with pytest.raises(ValueError, match="nested too deeply"):
        split_object('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", ())


def test_a_long_number_costs_no_more_than_its_length() -> None:
    """Numbers stay text, so that a million digits are cut like any other value."""
    digits = "9" * 1_000_000
    assert split_object(f'{{"a":{digits}}}', ()) == {"a": digits.encode()}
