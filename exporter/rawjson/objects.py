"""Raw JSON objects: find the members, replace some, and keep the bytes of the others."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate
from operator import add
from typing import Any

import msgspec
import orjson

from exporter.rawjson.scanner import split_items, split_members

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, orjson.JSONEncodeError)
_MANY = 256
_SHAPES = 256  # contacts of one workspace come in few sets of keys
_ORDINARY_BYTES = 16 * 1024  # keys of larger objects are not cached: they can have any length


class ObjectLayout:
    """The layout that all objects with the same keys in the same order share.

    Attributes:
        positions: for each key, the positions of its members, from 0; several if the key is repeated.
        overheads: for each member, the bytes besides its value: the key with its quotes, a colon, a comma.
        offsets: for each member, the overheads of all members before it, and of the opening brace.
        path_cache: results of looking up paths in such objects, by the paths.
    """

    __slots__ = ("offsets", "overheads", "path_cache", "positions")

    def __init__(self, positions: Mapping[str, tuple[int, ...]], overheads: tuple[int, ...]) -> None:
        self.positions = positions
        self.overheads = overheads
        self.offsets = tuple(accumulate(overheads, initial=1))
        self.path_cache: dict[Any, Any] = {}


class RawObject:
    """A JSON object without white space between its tokens, and the position of each member.

    Args:
        text: the object.
        layout: the layout of its keys.
        sizes: length of each member's value.
    """

    __slots__ = ("_starts", "layout", "sizes", "text")

    def __init__(self, text: bytes, layout: ObjectLayout, sizes: list[int]) -> None:
        self.text = text
        self.layout = layout
        self.sizes = sizes
        self._starts: list[int] | None = None

    @classmethod
    def parse(cls, value: bytes) -> "RawObject":
        """Find the members of an object. White space between them is removed; the values keep their bytes.

        Raises:
            ValueError: it is not an object.
        """
        try:
            found = _object.decode(value)
            layout = (_layout if len(value) <= _ORDINARY_BYTES else _layout.__wrapped__)(tuple(found))
        except _REFUSED:  # a lone surrogate, for one
            return cls._parse_slow(value)
        sizes = list(map(len, found.values()))
        # Decoding drops all but the last of repeated keys, and the spelling of keys. The layout assumes the shortest
        # spelling, each key once and no white space: only an object written like that has this length.
        same = layout.offsets[-1] + sum(sizes) + (not sizes) == len(value)
        return cls(value, layout, sizes) if same else cls._parse_slow(value)

    @classmethod
    def _parse_slow(cls, value: bytes) -> "RawObject":
        members = split_members(value.decode())
        found: dict[str, list[int]] = {}
        for position, (key, _) in enumerate(members):
            found.setdefault(decode_string(key), []).append(position)
        positions = {key: tuple(where) for key, where in found.items()}
        text = join_members(b"%b:%b" % member for member in members)
        layout = ObjectLayout(positions, tuple(len(key) + 2 for key, _ in members))
        return cls(text, layout, [len(content) for _, content in members])

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def positions(self) -> Mapping[str, tuple[int, ...]]:
        """By key, the positions of its members, from 0; several if the key is repeated."""
        return self.layout.positions

    def _start(self, position: int) -> int:
        """Return the offset of a member, or the offset for one more."""
        if len(self.sizes) <= _MANY:
            return self.layout.offsets[position] + sum(self.sizes[:position])
        if self._starts is None:  # summing for each of many members would take quadratic time
            self._starts = list(accumulate(map(add, self.sizes, self.layout.overheads), initial=1))
        return self._starts[position]

    def member(self, position: int) -> bytes:
        """Return the bytes of a member: its key and its value."""
        start = self._start(position)
        return self.text[start : start + self.layout.overheads[position] - 1 + self.sizes[position]]

    def value(self, position: int) -> bytes:
        """Return the bytes of a member's value."""
        start = self._start(position) + self.layout.overheads[position] - 1
        return self.text[start : start + self.sizes[position]]

    def with_value(self, position: int, value: bytes) -> bytes:
        """Return a member with another value."""
        start = self._start(position)
        return self.text[start : start + self.layout.overheads[position] - 1] + value

    def values(self, key: str) -> list[bytes]:
        """Return the values of a key: one, none, or several if the key is repeated."""
        return [self.value(position) for position in self.layout.positions.get(key, ())]

    def last(self, key: str) -> bytes | None:
        """Return the value of a key, the last one if it is repeated, as parsers do; None without the key."""
        positions = self.layout.positions.get(key)
        return self.value(positions[-1]) if positions else None

    def replace_members(self, pieces: Mapping[int, bytes | None], *more: bytes) -> bytes:
        """Return the object with some members replaced or removed.

        Args:
            pieces: the new member by position; None removes the member.
            more: members to append.
        """
        kept, at = [], 0
        for position in sorted(pieces):
            if position > at:
                kept.append(self.text[self._start(at) : self._start(position) - 1])
            if (piece := pieces[position]) is not None:
                kept.append(piece)
            at = position + 1
        if at < len(self.sizes):
            kept.append(self.text[self._start(at) : -1])
        return b"{" + b",".join((*kept, *more)) + b"}"


@lru_cache(_SHAPES)
def _layout(keys: tuple[str, ...]) -> ObjectLayout:
    """Return the layout of objects that have each key once, spelled as orjson spells it."""
    extras = tuple(len(orjson.dumps(key)) + 2 for key in keys)
    return ObjectLayout({key: (position,) for position, key in enumerate(keys)}, extras)


def join_members(members: Iterable[bytes]) -> bytes:
    """Return an object with these members, without white space."""
    return b"{" + b",".join(members) + b"}"


def items_of(value: bytes) -> list[bytes]:
    """Split a JSON array into the bytes of its items.

    Raises:
        ValueError: it is not an array.
    """
    try:
        return list(map(bytes, _array.decode(value)))
    except _REFUSED:
        return split_items(value.decode())


def join_items(items: Iterable[bytes]) -> bytes:
    """Return an array of these items, without white space."""
    return b"[" + b",".join(items) + b"]"


def decode_string(string: bytes) -> str:
    """Decode a JSON string; it may hold lone surrogates."""
    try:
        return str(orjson.loads(string))
    except orjson.JSONDecodeError:
        return str(json.loads(string))


def text_or_digits(value: bytes) -> str:
    """Return a JSON string decoded, or the digits of a JSON number."""
    return decode_string(value) if value.startswith(b'"') else value.decode()


def id_and_name(item: bytes) -> tuple[str, bytes] | None:
    """Return the id of an object and the JSON of its name; None if one is missing."""
    members = RawObject.parse(item)
    ids, names = members.values("id"), members.values("name")
    return (text_or_digits(ids[-1]), names[-1]) if ids and names else None
