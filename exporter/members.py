"""JSON as it stands: where the members of an object lie, so that one can be changed and the rest keeps its bytes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import add

import msgspec
import orjson

from exporter.cutting import cut_items, cut_members

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, orjson.JSONEncodeError)
_SHAPES = 256  # contacts of one workspace come in few sets of keys
_ORDINARY_BYTES = 16 * 1024  # the keys of what is larger are not kept: they could be of any length


@dataclass(frozen=True, slots=True)
class Members:
    """A JSON object without white space between its tokens, and where each of its members lies.

    Attributes:
        text: the object.
        places: by key, which members have it, from 0; more than one where it is repeated.
        extras: bytes that each member takes besides its value: its key with its quotes, a colon, a comma.
        starts: where each member begins, and where one more would.
    """

    text: bytes
    places: Mapping[str, tuple[int, ...]]
    extras: tuple[int, ...]
    starts: list[int]

    @classmethod
    def of(cls, value: bytes) -> "Members":
        """Find the members of an object. What stands between them, white space, is lost; nothing within them is.

        Raises:
            ValueError: it is not an object.
        """
        try:
            found = _object.decode(value)
            keys = tuple(found)
            places, extras = _keys(keys) if len(value) <= _ORDINARY_BYTES else _keys.__wrapped__(keys)
        except _REFUSED:  # a lone surrogate, for one
            return cls._slowly(value)
        starts = list(accumulate(map(add, map(len, found.values()), extras), initial=1))
        # The keys were decoded, and of repeated ones the last is left. Any other spelling than the one that is
        # counted here is longer: what is as long is the same.
        same = starts[-1] + (not found) == len(value)
        return cls(value, places, extras, starts) if same else cls._slowly(value)

    @classmethod
    def _slowly(cls, value: bytes) -> "Members":
        members = cut_members(value.decode())
        places: dict[str, tuple[int, ...]] = {}
        for place, (key, _) in enumerate(members):
            name = text_of(key)
            places[name] = (*places.get(name, ()), place)
        starts = list(accumulate((len(key) + len(content) + 2 for key, content in members), initial=1))
        text = join_members(b"%b:%b" % member for member in members)
        return cls(text, places, tuple(len(key) + 2 for key, _ in members), starts)

    def __len__(self) -> int:
        return len(self.extras)

    def member(self, place: int) -> bytes:
        """Return a member as it stands."""
        return self.text[self.starts[place] : self.starts[place + 1] - 1]

    def value(self, place: int) -> bytes:
        """Return a member's value as it stands."""
        return self.text[self.starts[place] + self.extras[place] - 1 : self.starts[place + 1] - 1]

    def with_value(self, place: int, value: bytes) -> bytes:
        """Return a member with another value."""
        return self.text[self.starts[place] : self.starts[place] + self.extras[place] - 1] + value

    def values(self, key: str) -> list[bytes]:
        """Return the values below a key: one, or none, or several where it is repeated."""
        return [self.value(place) for place in self.places.get(key, ())]

    def patched(self, pieces: Mapping[int, bytes | None], *more: bytes) -> bytes:
        """Put the object together again.

        Args:
            pieces: other members at some places, or None where there is to be none.
            more: members that come behind all of them.
        """
        kept, at = [], 0
        for place in sorted(pieces):
            if place > at:
                kept.append(self.text[self.starts[at] : self.starts[place] - 1])
            if (piece := pieces[place]) is not None:
                kept.append(piece)
            at = place + 1
        if at < len(self):
            kept.append(self.text[self.starts[at] : -1])
        return b"{" + b",".join((*kept, *more)) + b"}"


@lru_cache(_SHAPES)
def _keys(keys: tuple[str, ...]) -> tuple[dict[str, tuple[int, ...]], tuple[int, ...]]:
    """Return where each key stands, and what it takes with a colon and a comma."""
    return {key: (place,) for place, key in enumerate(keys)}, tuple(len(orjson.dumps(key)) + 2 for key in keys)


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
