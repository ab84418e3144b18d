"""Hostile contacts, which break naive exporters: valid JSON that changes when it is decoded and encoded again.

One contact in a thousand is hostile. Each kind is a function that turns the JSON
of an ordinary contact into that of a hostile one, which is still one valid object.
"""

import json
import re
from collections.abc import Callable

EVERY = 1000
FIRST_INDEX = 7
"""Contacts 7, 1007, 2007, … are hostile."""

_PI = "3.141592653589793238462643"  # 25 digits: more than a double can hold
_OWNER = re.compile(rb'("owner_id":)[^,]+')
_ATTRIBUTES_START = b'"custom_attributes":{'


def is_hostile(index: int) -> bool:
    """Return whether the contact with an index is hostile."""
    return index % EVERY == FIRST_INDEX


def kind_of(index: int) -> str:
    """Return the name of the kind of the hostile contact with an index."""
    return KINDS[index // EVERY % len(KINDS)].__name__.removeprefix("_")


def make_hostile(record: bytes, index: int) -> bytes:
    """Return the hostile form of a contact.

    Args:
        record: compact JSON of the ordinary contact.
        index: index of the contact; it determines the kind.
    """
    return KINDS[index // EVERY % len(KINDS)](record)


def _big_integers(record: bytes) -> bytes:
    return _insert(record, f'"wei":{"9" * 30},"u64+1":{2**64},"-u64":{-(2**64)},"iban":{10**29 + 1}')


def _number_spellings(record: bytes) -> bytes:
    numbers = '"price":1.10,"rate":1E5,"delta":-0,"zero":-0.0,"tiny":1e-400,"exp":2E+03,"pi":'
    return _insert(record, numbers + _PI)


def _duplicate_keys(record: bytes) -> bytes:
    with_attributes = _insert(record, '"tier":"gold","tier":"silver","tier":null,"":1,"":2')
    return with_attributes[:-1] + b',"referrer":"second","referrer":"third"}'


def _line_separators(record: bytes) -> bytes:
    return _insert(record, '"address":"1 Main St\u2028Floor 2\u2029Galway\u0085","\u2028":"\ufeff\u200f\x7f"')


def _escapes(record: bytes) -> bytes:
    links = r'"nul":"a\u0000b","url":"https:\/\/example.com\/",'
    return _insert(record, links + r'"\u0041":"\u0041\u00e9\ud83d\ude00\b\f\r\n"')


def _json_lookalike(record: bytes) -> bytes:
    text = '{"data":[{"id":"fake"}],"pages":null}'
    payload, tail = json.dumps(text), json.dumps("}],]" + text)
    return _insert(record, f'"payload":{payload},"tail":{tail},' + r'"\"data\":[":"\\\""')


def _gaps(record: bytes) -> bytes:
    # JSON escapes line breaks inside strings, so all of these are between tokens.
    indented = json.dumps(json.loads(record), ensure_ascii=False, indent=1, separators=(" ,", "\t: "))
    lines = indented.split("\n")
    return "".join(line + ("\n", "\r\n", "\r")[n % 3] for n, line in enumerate(lines[:-1])).encode() + b"}"


def _lone_surrogate(record: bytes) -> bytes:
    return _insert(record, r'"cut emoji":"\ud800","low":"\udc00 first","pair":"\ude00\ud83d","\udfff":1')


def _deep_nesting(record: bytes) -> bytes:
    return _insert(record, '"tree":' + "[" * 50 + '{"a":' * 50 + "null" + "}" * 50 + "]" * 50)


def _long_text(record: bytes) -> bytes:
    return _insert(record, '"transcript":"' + r"Größe \"XL\" 日本語 🙂 \\ " * 600 + '"')


def _names_by_case(record: bytes) -> bytes:
    # The same word in three spellings makes three attributes.
    return _insert(record, '"size":"L","Size":"XL","SIZE":3')


def _text_for_a_number(record: bytes) -> bytes:
    # An integer in some contacts and a string in others, as users of the API report.
    return _OWNER.sub(rb'\1"814860"', record, count=1)


KINDS: tuple[Callable[[bytes], bytes], ...] = (
    _big_integers,
    _number_spellings,
    _duplicate_keys,
    _line_separators,
    _escapes,
    _json_lookalike,
    _gaps,
    # Contact 7007, then one contact in 12,000: because of it, fast parsers refuse the complete page.
    _lone_surrogate,
    _deep_nesting,
    _long_text,
    # Most programs can load these two, but not programs that expect one type per field.
    _names_by_case,
    _text_for_a_number,
)


def _insert(record: bytes, members: str) -> bytes:
    """Insert members, as JSON text, at the beginning of the custom attributes."""
    return record.replace(_ATTRIBUTES_START, _ATTRIBUTES_START + members.encode() + b",", 1)
