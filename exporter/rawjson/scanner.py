"""Cut JSON with the standard library's scanner: slow, exact, and it takes all that is JSON.

The way out for what `msgspec` refuses although it is JSON, escapes of lone
surrogates, and for what it would not keep, keys that come twice. Nothing is converted on the way, so nothing
can be changed: a value is the slice between where it begins and where it ends.
"""

import json
from collections.abc import Container, Iterator
from typing import Any, Never

_WHITE_SPACE = " \t\n\r"


def split_object(text: str, lists: Container[str]) -> dict[str, bytes | tuple[bytes, ...]]:
    """Cut one JSON object into the raw bytes of its values.

    Args:
        text: the object, with nothing but white space around it.
        lists: keys whose arrays are cut further, into their items.

    Returns:
        Raw bytes by key; a tuple of them for a key in `lists` that holds an
        array.

    Raises:
        ValueError: it is not JSON, not an object, or has a key twice: whoever
            wrote that meant both, and a parser would drop one.
    """
    cutter = _Scanner(text)
    found: dict[str, bytes | tuple[bytes, ...]] = {}
    try:
        cutter.expect("{")
        for _ in cutter.items("}"):
            key = cutter.key()
            if key in found:
                raise ValueError("a key comes twice")
            cutter.expect(":")
            if key in lists and cutter.accept("["):
                found[key] = tuple(cutter.value() for _ in cutter.items("]"))
            else:
                found[key] = cutter.value()
        cutter.expect_end()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return found


def split_members(text: str) -> list[tuple[bytes, bytes]]:
    """Cut one JSON object into the raw bytes of its keys and values, in its own order, repeated keys included.

    Raises:
        ValueError: it is not JSON, or not an object.
    """
    cutter = _Scanner(text)
    members = []
    try:
        cutter.expect("{")
        for _ in cutter.items("}"):
            key = cutter.raw_key()
            cutter.expect(":")
            members.append((key, cutter.value()))
        cutter.expect_end()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return members


def split_items(text: str) -> list[bytes]:
    """Cut one JSON array into the raw bytes of its items.

    Raises:
        ValueError: it is not JSON, or not an array.
    """
    cutter = _Scanner(text)
    try:
        cutter.expect("[")
        items = [cutter.value() for _ in cutter.items("]")]
        cutter.expect_end()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return items


def reject_constant(literal: str) -> Never:
    """Refuse NaN and Infinity, which Python's parser takes and JSON does not have."""
    raise ValueError(f"{literal} is not JSON")


def reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of an object's pairs, each key once."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key comes twice")
    return members


class _Scanner:
    """A place in a JSON text, moving forward."""

    # Numbers stay text: their value does not matter here, and a long one would cost quadratic time.
    _decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=reject_constant)

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def accept(self, token: str) -> bool:
        """Step over white space and `token`, if it is the next thing."""
        text = self._text
        while text[self._at : self._at + 1] in _WHITE_SPACE and self._at < len(text):
            self._at += 1
        found = text.startswith(token, self._at)
        self._at += len(token) * found
        return found

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise ValueError(f"no {token!r} where one is due")

    def expect_end(self) -> None:
        self.accept("")
        if self._at != len(self._text):
            raise ValueError("something follows the end")

    def items(self, closing: str) -> Iterator[None]:
        """Stand before each item of an object or array in turn, up to `closing`."""
        if self.accept(closing):
            return
        while True:
            yield
            if self.accept(closing):
                return
            self.expect(",")

    def key(self) -> str:
        self._expect_key()
        return str(self._decode())

    def raw_key(self) -> bytes:
        """Return the next key as it stands, quotes and all."""
        self._expect_key()
        return self.value()

    def _expect_key(self) -> None:
        if not self.accept('"'):
            raise ValueError("no key where one is due")
        self._at -= 1

    def value(self) -> bytes:
        """Return the next value as it stands."""
        self.accept("")
        start = self._at
        self._decode()
        return self._text[start : self._at].encode()

    def _decode(self) -> Any:
        value, self._at = self._decoder.raw_decode(self._text, self._at)
        return value
