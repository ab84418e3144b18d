"""Normalize contacts for strict JSON readers: no repeated keys, valid Unicode, numbers that keep their digits.

jq, DuckDB, pandas, polars and pyarrow refuse some valid JSON, or change it silently.
`normalize` decodes and encodes a contact; it corrects and counts everything that
such a reader would refuse or change.
"""

import json
import math
import re
from collections import Counter
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

import orjson

Records: TypeAlias = Literal["exact", "normalized"]
RECORDS: tuple[str, ...] = get_args(Records)
"""How contacts are written: byte by byte as sent, or normalized."""

Corrections = Counter[str]
"""By kind, how often something was corrected.

``duplicate_key``: members of an object left out, since a later one has the same key. ``lone_surrogate``: texts in which
halves of surrogate pairs became U+FFFD. ``large_integer``: integers beyond signed 64 bits that became text.
``lossy_number``: numbers that a double cannot hold that became text. ``deep_nesting``: values nested deeper than
`MAX_DEPTH` that became text.
"""

NAMES = {
    "deep_nesting": "values nested too deeply",
    "duplicate_key": "duplicate keys",
    "large_integer": "integers beyond 64 bits",
    "lone_surrogate": "texts with lone surrogates",
    "lossy_number": "numbers that a double cannot hold",
}
"""Names of the kinds for messages."""

MAX_DEPTH = 120
"""Maximum depth of nested objects and lists, the contact included: DuckDB reads 126."""

_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_MAX_INTEGER_CHARACTERS = 20
_LONG, _DIGITS_ALIKE = b"0" * 19, bytes.maketrans(b"123456789", b"0" * 9)
_DIGITS = re.compile(rb"[0-9]+")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ESCAPES = re.compile(
    rb"\\(?:u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4})*|[^u])"
)  # a pattern that begins with a literal byte is fast
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]|[^\s{}\[\],:"]+', re.DOTALL)
_BEFORE_NUMBERS = (b"", b":", b",", b"[")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_KEPT, _MAX_KEPT_BYTES = 4_096, 60
_LITERALS = {b"true": True, b"false": False, b"null": None}
_SURROGATE = re.compile("[\ud800-\udfff]")


def normalize(record: bytes, corrections: Corrections) -> bytes:
    """Return a contact that every strict reader accepts, on one line and without white space.

    Everything else keeps its meaning: the same keys in the same order, the same
    texts, the same numbers. Of a repeated key the last value stays, at the place
    of the first.

    Args:
        record: JSON of the contact.
        corrections: counts the corrections.
    """
    text = _encoded(record)
    if text is None or not _is_shallow(text):
        return orjson.dumps(_Reader(record, corrections).read())
    if _is_proven(record, text):
        return text
    return orjson.dumps(_decoded(record, corrections))


def is_irregular(record: bytes) -> bool:
    """Return whether `normalize` would correct anything in a contact."""
    text = _encoded(record)
    if text is None:
        return True
    if _is_shallow(text) and _is_proven(record, text):
        return False
    corrections = Corrections()
    normalize(record, corrections)
    return bool(corrections)


def _encoded(record: bytes) -> bytes | None:
    """Decode a contact and encode it; return None where strict readers refuse it."""
    try:
        return orjson.dumps(orjson.loads(record))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # a lone surrogate, for one
        return None


def _is_proven(record: bytes, text: bytes) -> bool:
    """Return whether a quick check proves that a contact needs no correction.

    Args:
        record: JSON of the contact.
        text: the same, decoded and encoded.
    """
    return _is_same(record, text) and not _has_long_integer(text)


def _is_same(record: bytes, text: bytes) -> bool:
    """Return whether decoding and encoding lost nothing: both texts are equal, except for escapes."""
    if text == record:
        return True
    return (b"\\u" in record or b"\\/" in record) and _ESCAPES.sub(_unescaped, record) == text


def _unescaped(escapes: re.Match[bytes]) -> bytes:
    found = escapes[0]
    return (_unescape if len(found) <= _MAX_KEPT_BYTES else _unescape.__wrapped__)(found)


@lru_cache(_KEPT)
def _unescape(escapes: bytes) -> bytes:
    """Write characters as orjson does."""
    return orjson.dumps(orjson.loads(b'"%b"' % escapes))[1:-1]


def _has_long_integer(text: bytes) -> bool:
    """Return whether the text may hold an integer beyond 64 bits; digits inside a string count too."""
    alike, end = text.translate(_DIGITS_ALIKE), 0
    while (start := alike.find(_LONG, end)) >= 0:
        end = _end_of_digits(text, start)
        start -= text[start - 1 : start] == b"-"
        if text[max(start - 1, 0) : start] in _BEFORE_NUMBERS and not _fits(text[start:end]):
            return True
    return False


def _end_of_digits(text: bytes, start: int) -> int:
    found = _DIGITS.match(text, start)
    return found.end() if found else start


def _is_shallow(text: bytes) -> bool:
    """Return whether no value is nested too deeply: remove brackets from the innermost to the outermost."""
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return True
    brackets = _STRING.sub(b"", text).translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH // 2):  # each round removes one or two levels
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return True
    return False


def _decoded(record: bytes, corrections: Corrections) -> Any:
    """Decode a contact without lone surrogates that is not nested too deeply, and correct the rest."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            corrections["duplicate_key"] += len(pairs) - len(found)
        return found

    def integer(text: str) -> int | str:
        return _integer(text, corrections)

    def number(text: str) -> float | str:
        return _float(text, corrections)

    return json.loads(record, object_pairs_hook=members, parse_int=integer, parse_float=number)


def _integer(text: str, corrections: Corrections) -> int | str:
    if _fits(text):
        return int(text)
    corrections["large_integer"] += 1
    return text


def _fits(digits: str | bytes) -> bool:
    return len(digits) <= _MAX_INTEGER_CHARACTERS and _MIN_INTEGER <= int(digits) <= _MAX_INTEGER


def _float(text: str, corrections: Corrections) -> float | str:
    number = float(text)
    if _holds(number, text):
        return number
    corrections["lossy_number"] += 1
    return text


class _Reader:
    """Reads JSON token by token, nested to any depth, and corrects what strict readers refuse.

    Args:
        record: the JSON, which is known to be valid.
        corrections: counts the corrections.
    """

    def __init__(self, record: bytes, corrections: Corrections) -> None:
        self._record = record
        self._corrections = corrections
        self._result: Any = None
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []  # of each open object, the key whose value comes next
        self._depth = 0
        self._deep_start = 0

    def read(self) -> Any:
        """Return the value."""
        for token in _TOKEN.finditer(self._record):
            first = token[0][:1]
            if first in b"{[":
                self._enter(first == b"{", token.start())
            elif first in b"}]":
                self._leave(token.end())
            elif self._depth > MAX_DEPTH:
                continue
            elif first == b'"':
                self._take_text(self._text(token[0]))
            else:
                self._take(_LITERALS[token[0]] if first in b"tfn" else self._number(token[0].decode()))
        return self._result

    def _enter(self, is_object: bool, start: int) -> None:
        self._depth += 1
        if self._depth <= MAX_DEPTH:
            self._open.append({} if is_object else [])
            self._keys.append(None)
        elif self._depth == MAX_DEPTH + 1:
            self._deep_start = start

    def _leave(self, end: int) -> None:
        self._depth -= 1
        if self._depth < MAX_DEPTH:
            self._keys.pop()
            self._take(self._open.pop())
        elif self._depth == MAX_DEPTH:
            self._corrections["deep_nesting"] += 1
            self._take(self._replaced(self._record[self._deep_start : end].decode()))

    def _take_text(self, text: str) -> None:
        """Add a string: the next key of an object, or a value."""
        if self._open and isinstance(self._open[-1], dict) and self._keys[-1] is None:
            self._keys[-1] = text
        else:
            self._take(text)

    def _take(self, value: Any) -> None:
        if not self._open:
            self._result = value
            return
        container = self._open[-1]
        if isinstance(container, list):
            container.append(value)
            return
        key, self._keys[-1] = self._keys[-1] or "", None
        if key in container:
            self._corrections["duplicate_key"] += 1
        container[key] = value

    def _text(self, token: bytes) -> str:
        try:
            return str(orjson.loads(token))
        except orjson.JSONDecodeError:
            self._corrections["lone_surrogate"] += 1
            return self._replaced(json.loads(token))

    @staticmethod
    def _replaced(text: str) -> str:
        return _SURROGATE.sub("\ufffd", text)

    def _number(self, text: str) -> int | float | str:
        is_integer = not any(mark in text for mark in ".eE")
        return _integer(text, self._corrections) if is_integer else _float(text, self._corrections)


def _holds(number: float, text: str) -> bool:
    """Return whether a double holds all digits of a number: its shortest text has the same value."""
    if not math.isfinite(number):
        return False
    if not number:
        return not re.split("[eE]", text)[0].strip("-0.")
    return Decimal(repr(number)) == Decimal(text)
