"""Normalization of contacts for strict JSON parsers."""

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.rawjson.normalization import MAX_DEPTH, is_irregular, normalize
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.hostile import KINDS
from tests.support.exact_json import Number, Pairs, spelled

REPLACEMENT = "\ufffd"


def corrected(value: Any, corrections: Counter[str]) -> Any:
    """Correct a value that `spelled` returned, in the simplest way."""
    match value:
        case Pairs():
            members: dict[str, Any] = {}
            for key, inner in value:
                name = corrected(key, corrections)
                corrections["duplicate_key"] += name in members
                members[name] = corrected(inner, corrections)
            return members
        case list():
            return [corrected(item, corrections) for item in value]
        case Number():
            return corrected_number(value, corrections)
        case str():
            clean = "".join(REPLACEMENT if "\ud800" <= letter <= "\udfff" else letter for letter in value)
            corrections["lone_surrogate"] += clean != value
            return clean
    return value


def corrected_number(number: Number, corrections: Counter[str]) -> int | float | str:
    """Return a number that parsers keep as a number, any other one as text."""
    if not set(number) & set(".eE"):
        if -(2**63) <= int(number) < 2**63:
            return int(number)
        corrections["large_integer"] += 1
    elif abs(float(number)) != float("inf") and Decimal(str(float(number))) == Decimal(number):
        return float(number)
    else:
        corrections["lossy_number"] += 1
    return str(number)


SPACE = st.sampled_from(["", "", "", " ", "\n", "\t\r\n "])
LETTER = st.one_of(
    st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=32),
    st.sampled_from(
        ["\\n", '\\"', "\\\\", "\\/", "\\u0000", "\\u00e9", "\\u0041", "\\ud83d\\ude00", "\\ud800", "\\uDC00"]
    ),
    st.sampled_from(["[", "]", "{", "}", ":", ",", "9" * 20, ":9999999999999999999,"]),
)
STRING = st.lists(LETTER, max_size=6).map(lambda letters: '"' + "".join(letters) + '"')
NUMBER = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.integers(-(2**65), 2**65).map(str),
    st.sampled_from([str(2**63), str(2**63 - 1), str(-(2**63)), str(-(2**63) - 1), "-0", "1e-400", "1e400", "0e9"]),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
LEAF = st.one_of(STRING, NUMBER, st.sampled_from(["true", "false", "null"]))


def joined(opening: str, items: list[str], closing: str, space: str) -> str:
    """Render an object or a list."""
    return space.join((opening, f"{space},{space}".join(items), closing))


VALUE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.builds(joined, st.just("["), st.lists(inner, max_size=4), st.just("]"), SPACE),
        st.builds(
            joined,
            st.just("{"),
            st.lists(st.builds("{}:{}".format, st.one_of(st.sampled_from(['"a"', '"b"']), STRING), inner), max_size=4),
            st.just("}"),
            SPACE,
        ),
    ),
    max_leaves=20,
)


def normalized(record: str | bytes) -> tuple[Any, dict[str, int]]:
    """Normalize JSON, check that the result is strict, and return its value and the corrections."""
    corrections: Counter[str] = Counter()
    content = record.encode() if isinstance(record, str) else record
    text = normalize(content, corrections)
    assert is_irregular(content) == bool(corrections)
    assert b"\n" not in text
    again: Counter[str] = Counter()
    assert normalize(text, again) == text
    assert not again
    json.loads(
        text, object_pairs_hook=lambda pairs: pytest.fail("a duplicate key") if len(dict(pairs)) != len(pairs) else 0
    )
    return orjson.loads(text), dict(corrections)


@given(VALUE)
def test_normalize_any_json_is_strict_and_counts_corrections(record: str) -> None:
    """Values that need no correction stay equal; the others are corrected, and counted exactly."""
    expected: Counter[str] = Counter()
    value = corrected(spelled(record), expected)
    assert normalized(record) == (value, {kind: count for kind, count in expected.items() if count})


@given(st.integers(1, 300), st.sampled_from(["[", '{"a":']))
def test_normalize_deep_json_keeps_levels_up_to_the_limit(levels: int, opening: str) -> None:
    """A value that is nested deeper becomes text with its JSON."""
    closing = "]" if opening == "[" else "}"
    deep = '{"x":[1,{"y":[]}],"deep":' + opening * levels + '""' + closing * levels + "}"
    value, corrections = normalized(deep)
    found, depth = value["deep"], 1
    while isinstance(found, dict | list):
        found, depth = found[0] if isinstance(found, list) else found["a"], depth + 1
    assert depth == min(levels + 1, MAX_DEPTH)
    assert corrections == ({} if levels < MAX_DEPTH else {"deep_nesting": 1})
    assert found == (
        "" if levels < MAX_DEPTH else opening * (levels + 1 - MAX_DEPTH) + '""' + closing * (levels + 1 - MAX_DEPTH)
    )


def test_normalize_ignores_brackets_in_texts() -> None:
    """Brackets in texts do not count as nesting, and do not hide real nesting."""
    many = json.dumps({"a": ["]"] * 200, "b": [[]] * 200, "c": "[" * 200})
    assert normalized(many) == (json.loads(many), {})
    hidden = '["]",' * 200 + '""' + ',"["]' * 200
    assert normalized(hidden)[1] == {"deep_nesting": 1}


@pytest.mark.parametrize(
    ("record", "value", "corrections"),
    [
        ('{"a":1,"b":2,"a":3}', {"a": 3, "b": 2}, {"duplicate_key": 1}),
        ('{"a":1,"\\u0061":2,"a":3}', {"a": 3}, {"duplicate_key": 2}),
        ('{"\\ud800":1,"\\udfff":2}', {REPLACEMENT: 2}, {"lone_surrogate": 2, "duplicate_key": 1}),
        (f"[{'9' * 30}]", ["9" * 30], {"large_integer": 1}),
        ("[9223372036854775807,9223372036854775808]", [2**63 - 1, str(2**63)], {"large_integer": 1}),
        ("[1.10,1E5,2E+03,0.1]", [1.1, 100_000.0, 2000.0, 0.1], {}),
        (
            "[3.141592653589793238462643,1e-400,1e999]",
            ["3.141592653589793238462643", "1e-400", "1e999"],
            {"lossy_number": 3},
        ),
        ('["\\ud83d\\ude00","cut \\ud83d"]', ["\U0001f600", f"cut {REPLACEMENT}"], {"lone_surrogate": 1}),
        ('{"nul":"a\\u0000b"}', {"nul": "a\0b"}, {}),
    ],
)
def test_normalize_corrects_each_kind(record: str, value: Any, corrections: dict[str, int]) -> None:
    """One example of each kind of correction, and of values that only look like one."""
    assert normalized(record) == (value, corrections)


def test_normalize_of_ordinary_contacts_keeps_their_values() -> None:
    """Ordinary contacts keep their values, with any escapes."""
    for record in Workspace(1_000, hostile=False).records(0, 1_000):
        assert json.loads(normalize(record, Counter())) == json.loads(record)


def test_normalize_of_hostile_contacts_makes_them_strict() -> None:
    """Strict parsers accept the result for every kind of hostile contact."""
    workspace = Workspace(1_000 * len(KINDS), hostile=True)
    for index in range(7, len(workspace), 1_000):
        normalized(workspace.record(index))
