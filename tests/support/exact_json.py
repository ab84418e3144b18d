"""JSON read so that nothing of it is lost: numbers as they are spelled, repeated keys."""

import json
from typing import Any


class Number(str):
    """A number as it is spelled."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object's members, repeated keys included."""

    __slots__ = ()

    @property
    def repeat(self) -> bool:
        """Whether a key is repeated."""
        return len(dict(self)) != len(self)


def spelled(text: str) -> Any:
    """Read JSON, and keep what a dict and a float would lose."""
    return json.loads(text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number)
