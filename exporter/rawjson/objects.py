"""JSON as it stands: where the members of an object lie, so that one can be changed and the rest keeps its bytes."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate
from operator import add
from typing import Any

import msgspec
import orjson

from exporter.rawjson.scanner import cut_items, cut_members

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, orjson.JSONEncodeError)
_MANY = 256
_SHAPES = 256  # contacts of one workspace come in few sets of keys
_ORDINARY_BYTES = 16 * 1024  # the keys of what is larger are not kept: they could be of any length


class Layout:
    """What objects with the same keys in the same order have in common.

    Attributes:
        places: by key, which members have it, from 0; more than one where it is repeated.
        extras: bytes that each member takes besides its value: its key with its quotes, a colon, a comma.
        before: those of all members before each, and of the brace that begins the object.
        steps: for whoever looks up paths in such objects: what was found out already, by what was asked.
    """

    __slots__ = ("before", "extras", "places", "steps")

    def __init__(self, places: Mapping[str, tuple[int, ...]], extras: tuple[int, ...]) -> None:
        self.places = places
        self.extras = extras
        self.before = tuple(accumulate(extras, initial=1))
        self.steps: dict[Any, Any] = {}


class Members:
    """A JSON object without white space between its tokens, and where each of its members lies.

    Args:
        text: the object.
        layout: of its keys.
        sizes: length of each member's value.
    """

    __slots__ = ("_starts", "layout", "sizes", "text")

    def __init__(self, text: bytes, layout: Layout, sizes: list[int]) -> None:
        self.text = text
        self.layout = layout
        self.sizes = sizes
        self._starts: list[int] | None = None

    @classmethod
    def of(cls, value: bytes) -> "Members":
        """Find the members of an object. What stands between them, white space, is lost; nothing within them is.

        Raises:
            ValueError: it is not an object.
        """
        try:
            found = _object.decode(value)
            layout = (_layout if len(value) <= _ORDINARY_BYTES else _layout.__wrapped__)(tuple(found))
        except _REFUSED:  # a lone surrogate, for one
            return cls._slowly(value)
        sizes = list(map(len, found.values()))
        # The keys were decoded, and of repeated ones the last is left. Any other spelling than the one that is
        # counted here is longer: what is as long is the same.
        same = layout.before[-1] + sum(sizes) + (not sizes) == len(value)
        return cls(value, layout, sizes) if same else cls._slowly(value)

    @classmethod
    def _slowly(cls, value: bytes) -> "Members":
        members = cut_members(value.decode())
        found: dict[str, list[int]] = {}
        for place, (key, _) in enumerate(members):
            found.setdefault(text_of(key), []).append(place)
        places = {key: tuple(where) for key, where in found.items()}
        text = join_members(b"%b:%b" % member for member in members)
        layout = Layout(places, tuple(len(key) + 2 for key, _ in members))
        return cls(text, layout, [len(content) for _, content in members])

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def places(self) -> Mapping[str, tuple[int, ...]]:
        """By key, which members have it, from 0; more than one where it is repeated."""
        return self.layout.places

    def _start(self, place: int) -> int:
        """Return where a member begins, or where one more would."""
        if len(self.sizes) <= _MANY:
            return self.layout.before[place] + sum(self.sizes[:place])
        if self._starts is None:  # of many members somebody may want many
            self._starts = list(accumulate(map(add, self.sizes, self.layout.extras), initial=1))
        return self._starts[place]

    def member(self, place: int) -> bytes:
        """Return a member as it stands."""
        start = self._start(place)
        return self.text[start : start + self.layout.extras[place] - 1 + self.sizes[place]]

    def value(self, place: int) -> bytes:
        """Return a member's value as it stands."""
        start = self._start(place) + self.layout.extras[place] - 1
        return self.text[start : start + self.sizes[place]]

    def with_value(self, place: int, value: bytes) -> bytes:
        """Return a member with another value."""
        start = self._start(place)
        return self.text[start : start + self.layout.extras[place] - 1] + value

    def values(self, key: str) -> list[bytes]:
        """Return the values below a key: one, or none, or several where it is repeated."""
        return [self.value(place) for place in self.layout.places.get(key, ())]

    def last(self, key: str) -> bytes | None:
        """Return the value below a key, the last one where it is repeated, as parsers do; None without it."""
        places = self.layout.places.get(key)
        return self.value(places[-1]) if places else None

    def patched(self, pieces: Mapping[int, bytes | None], *more: bytes) -> bytes:
        """Put the object together again.

        Args:
            pieces: other members at some places, or None where there is to be none.
            more: members that come behind all of them.
        """
        kept, at = [], 0
        for place in sorted(pieces):
            if place > at:
                kept.append(self.text[self._start(at) : self._start(place) - 1])
            if (piece := pieces[place]) is not None:
                kept.append(piece)
            at = place + 1
        if at < len(self.sizes):
            kept.append(self.text[self._start(at) : -1])
        return b"{" + b",".join((*kept, *more)) + b"}"


@lru_cache(_SHAPES)
def _layout(keys: tuple[str, ...]) -> Layout:
    """Make the layout of objects that have each key once, spelled as orjson spells it."""
    extras = tuple(len(orjson.dumps(key)) + 2 for key in keys)
    return Layout({key: (place,) for place, key in enumerate(keys)}, extras)


def join_members(members: Iterable[bytes]) -> bytes:
    """Put an object together, without white space."""
    return b"{" + b",".join(members) + b"}"


def items_of(value: bytes) -> list[bytes]:
    """Take a JSON array apart.

    Raises:
        ValueError: it is not an array.
    """
    try:
        return list(map(bytes, _array.decode(value)))
    except _REFUSED:
        return cut_items(value.decode())


def join_items(items: Iterable[bytes]) -> bytes:
    """Put an array together, without white space."""
    return b"[" + b",".join(items) + b"]"


def text_of(string: bytes) -> str:
    """Decode a JSON string; a lone surrogate stays one."""
    try:
        return str(orjson.loads(string))
    except orjson.JSONDecodeError:
        return str(json.loads(string))


def text_or_digits(value: bytes) -> str:
    """Return a JSON string decoded, or the digits of a JSON number."""
    return text_of(value) if value.startswith(b'"') else value.decode()


def id_and_name(item: bytes) -> tuple[str, bytes] | None:
    """Return the id of an object, and the JSON of its name; None if it lacks one of them."""
    members = Members.of(item)
    ids, names = members.values("id"), members.values("name")
    return (text_or_digits(ids[-1]), names[-1]) if ids and names else None
