"""Slice JSON with the scanner of the standard library: slow and exact; it accepts all valid JSON.

It is for JSON that `msgspec` refuses, such as escapes of lone surrogates, or does
not keep, such as repeated keys. It converts nothing, so it changes nothing: a value
is the slice from its first to its last byte.
"""

import json
from collections.abc import Container, Iterator
from typing import Any, Never

_WHITE_SPACE = " \t\n\r"


def split_object(text: str, lists: Container[str]) -> dict[str, bytes | tuple[bytes, ...]]:
    """Slice a JSON object into the raw bytes of its values.

    Args:
        text: the object; white space around it is allowed.
        lists: keys whose arrays are sliced into their items.

    Returns:
        Raw bytes by key; a tuple of them for a key in `lists` that holds an
        array.

    Raises:
        ValueError: it is not JSON, is not an object, or has a repeated key,
            of which a parser would drop one value.
    """
    scanner = _Scanner(text)
    found: dict[str, bytes | tuple[bytes, ...]] = {}
    try:
        scanner.expect("{")
        for _ in scanner.items("}"):
            key = scanner.key()
            if key in found:
                raise ValueError("a key is repeated")
            scanner.expect(":")
            if key in lists and scanner.accept("["):
                found[key] = tuple(scanner.value() for _ in scanner.items("]"))
            else:
                found[key] = scanner.value()
        scanner.expect_end()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return found


def split_members(text: str) -> list[tuple[bytes, bytes]]:
    """Slice a JSON object into the raw bytes of its keys and values, in order, repeated keys included.

    Raises:
        ValueError: it is not JSON, or not an object.
    """
    scanner = _Scanner(text)
    members = []
    try:
        scanner.expect("{")
        for _ in scanner.items("}"):
            key = scanner.raw_key()
            scanner.expect(":")
            members.append((key, scanner.value()))
        scanner.expect_end()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return members


def split_items(text: str) -> list[bytes]:
    """Slice a JSON array into the raw bytes of its items.

    Raises:
        ValueError: it is not JSON, or not an array.
    """
    scanner = _Scanner(text)
    try:
        scanner.expect("[")
        items = [scanner.value() for _ in scanner.items("]")]
        scanner.expect_end()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return items


def reject_constant(literal: str) -> Never:
    """Refuse NaN and Infinity, which Python's parser accepts and JSON does not have."""
    raise ValueError(f"{literal} is not JSON")


def reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of an object as a dict.

    Raises:
        ValueError: a key is repeated.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is repeated")
    return members


class _Scanner:
    """A place in a JSON text, moving forward."""

    # Numbers stay text: their value does not matter here, and a long one would cost quadratic time.
    _decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=reject_constant)

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def accept(self, token: str) -> bool:
        """Skip white space, and `token` if it follows; return whether it did."""
        text = self._text
        while text[self._at : self._at + 1] in _WHITE_SPACE and self._at < len(text):
            self._at += 1
        found = text.startswith(token, self._at)
        self._at += len(token) * found
        return found

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise ValueError(f"no {token!r} where it is expected")

    def expect_end(self) -> None:
        self.accept("")
        if self._at != len(self._text):
            raise ValueError("text follows the end")

    def items(self, closing: str) -> Iterator[None]:
        """Yield before each item of an object or array, up to `closing`."""
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
        """Return the bytes of the next key, with its quotes."""
        self._expect_key()
        return self.value()

    def _expect_key(self) -> None:
        if not self.accept('"'):
            raise ValueError("no key where one is expected")
        self._at -= 1

    def value(self) -> bytes:
        """Return the bytes of the next value."""
        self.accept("")
        start = self._at
        self._decode()
        return self._text[start : self._at].encode()

    def _decode(self) -> Any:
        value, self._at = self._decoder.raw_decode(self._text, self._at)
        return value
