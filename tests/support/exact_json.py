"""JSON that is parsed without loss: numbers keep their spelling, and objects keep duplicate keys."""

import json
from typing import Any


class Number(str):
    """A number as it is spelled."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object's members, including duplicate keys."""

    __slots__ = ()

    @property
    def repeat(self) -> bool:
        """Whether there is a duplicate key."""
        return len(dict(self)) != len(self)


def spelled(text: str) -> Any:
    """Parse JSON, and keep what a dict and a float would lose."""
    return json.loads(text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number)
