"""Contacts that break exporters: legal JSON that a round trip through objects would change.

One contact in a thousand is hostile. Each kind takes the bytes of an ordinary
contact and returns those of a hostile one, still one valid JSON object.
"""

import json
import re
from collections.abc import Callable

EVERY = 1000
PLACE = 7
"""Contacts 7, 1007, 2007, … are hostile."""

_PI = "3.141592653589793238462643"  # 25 digits: more than a double holds
_OWNER = re.compile(rb'("owner_id":)[^,]+')
_OPENING = b'"custom_attributes":{'


def is_hostile(index: int) -> bool:
    """Tell whether contact number ``index`` is one of the hostile ones."""
    return index % EVERY == PLACE


def kind_of(index: int) -> str:
    """Name what is wrong with hostile contact number ``index``."""
    return KINDS[index // EVERY % len(KINDS)].__name__.removeprefix("_")


def make_hostile(record: bytes, index: int) -> bytes:
    """Return the hostile form of contact number ``index``.

    Args:
        record: the ordinary contact, compact JSON.
        index: its number; picks the kind.
    """
    return KINDS[index // EVERY % len(KINDS)](record)


def _big_integers(record: bytes) -> bytes:
    return _insert(record, f'"wei":{"9" * 30},"u64+1":{2**64},"-u64":{-(2**64)},"iban":{10**29 + 1}')


def _number_spellings(record: bytes) -> bytes:
    numbers = '"price":1.10,"rate":1E5,"delta":-0,"zero":-0.0,"tiny":1e-400,"exp":2E+03,"pi":'
    return _insert(record, numbers + _PI)


def _duplicate_keys(record: bytes) -> bytes:
    again = _insert(record, '"tier":"gold","tier":"silver","tier":null,"":1,"":2')
    return again[:-1] + b',"referrer":"second","referrer":"third"}'


def _line_separators(record: bytes) -> bytes:
    return _insert(record, '"address":"1 Main St\u2028Floor 2\u2029Galway\u0085","\u2028":"\ufeff\u200f\x7f"')


def _escapes(record: bytes) -> bytes:
    links = r'"nul":"a\u0000b","url":"https:\/\/example.com\/",'
    return _insert(record, links + r'"\u0041":"\u0041\u00e9\ud83d\ude00\b\f\r\n"')


def _json_lookalike(record: bytes) -> bytes:
    text = '{"data":[{"id":"fake"}],"pages":null}'
    whole, tail = json.dumps(text), json.dumps("}],]" + text)
    return _insert(record, f'"payload":{whole},"tail":{tail},' + r'"\"data\":[":"\\\""')


def _gaps(record: bytes) -> bytes:
    # Line ends inside a string are escaped, so these are all between tokens.
    spread = json.dumps(json.loads(record), ensure_ascii=False, indent=1, separators=(" ,", "\t: "))
    lines = spread.split("\n")
    return "".join(line + ("\n", "\r\n", "\r")[n % 3] for n, line in enumerate(lines[:-1])).encode() + b"}"


def _lone_surrogate(record: bytes) -> bytes:
    return _insert(record, r'"cut emoji":"\ud800","low":"\udc00 first","pair":"\ude00\ud83d","\udfff":1')


def _deep_nesting(record: bytes) -> bytes:
    return _insert(record, '"tree":' + "[" * 50 + '{"a":' * 50 + "null" + "}" * 50 + "]" * 50)


def _long_text(record: bytes) -> bytes:
    return _insert(record, '"transcript":"' + r"Größe \"XL\" 日本語 🙂 \\ " * 600 + '"')


def _names_by_case(record: bytes) -> bytes:
    # The same word in three spellings is three attributes.
    return _insert(record, '"size":"L","Size":"XL","SIZE":3')


def _text_for_a_number(record: bytes) -> bytes:
    # An integer on some rows and a string on others, as users of the API report.
    return _OWNER.sub(rb'\1"814860"', record, count=1)


KINDS: tuple[Callable[[bytes], bytes], ...] = (
    _big_integers,
    _number_spellings,
    _duplicate_keys,
    _line_separators,
    _escapes,
    _json_lookalike,
    _gaps,
    # Contact 7007, and then one in twelve thousand: fast parsers refuse a whole page for it.
    _lone_surrogate,
    _deep_nesting,
    _long_text,
    # These two load in most programs, but not in those that take one type for each field.
    _names_by_case,
    _text_for_a_number,
)


def _insert(record: bytes, members: str) -> bytes:
    """Put members, spelled as they are, at the head of the custom attributes."""
    return record.replace(_OPENING, _OPENING + members.encode() + b",", 1)
