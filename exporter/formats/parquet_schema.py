"""Contacts as typed objects, as deep as the schema: what columns with types are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from exporter.formats.columns import CUSTOM
from exporter.formats.drift import TYPES
from exporter.formats.schema import BY_PATH
from exporter.rawjson.objects import Members, items_of, text_of
from exporter.text import legible


@dataclass(slots=True)
class Node:
    """A column, or a part of one.

    Attributes:
        name: of the member that it is; of what the schema does not have, its path.
        kind: the schema's type: ``string``, ``integer``, ``boolean``,
            ``timestamp``, ``object`` or ``list`` (of objects); ``either`` for
            text or a number, ``map`` for custom attributes, ``path`` for
            whatever is at the end of a path that the schema does not have.
        children: the members of an object, or of a list's items.
    """

    name: str
    kind: str
    children: list["Node"] = field(default_factory=list)
    type: Any = None

    def decoder(self) -> "msgspec.json.Decoder[Any]":
        """Make what decodes a contact into a `msgspec.Struct` of its children, but for paths.

        It raises where anything is of another type; `fitted` does not.
        """
        return msgspec.json.Decoder(self.type)


def tree_of(columns: Sequence[str]) -> Node:
    """Arrange columns as a contact has them, the first ones first.

    Args:
        columns: the paths of the fields; an object or list that nothing is known of within it is a path.
    """
    top = Node("", "object")
    for path in columns:
        if path not in BY_PATH or (BY_PATH[path].type in ("object", "list") and path != CUSTOM):
            top.children.append(Node(path, "path"))
            continue
        node, keys = top, path.split(".")
        for depth, key in enumerate(keys, 1):
            known = {child.name: child for child in node.children if child.kind != "path"}
            if key not in known:
                known[key] = Node(key, _kind_of(".".join(keys[:depth])))
                node.children.append(known[key])
            node = known[key]
    _give_types(top)
    return top


def _kind_of(path: str) -> str:
    if path == CUSTOM:
        return "map"
    return "either" if BY_PATH[path].also else BY_PATH[path].type


def _give_types(node: Node) -> None:
    """Give a node the type that `msgspec` knows it by, and its children theirs."""
    for child in node.children:
        _give_types(child)
    match node.kind:
        case "object" | "list":
            members = [
                (f"member_{number}", child.type | None, msgspec.field(name=child.name, default=None))
                for number, child in enumerate(node.children)
                if child.kind != "path"
            ]
            item = msgspec.defstruct("Object", members, gc=False)
            node.type = item if node.kind == "object" else list[item | None]  # type: ignore[valid-type]
        case "map":
            node.type = dict[str, msgspec.Raw]
        case "either":
            node.type = int | str
        case "path":
            node.type = msgspec.Raw
        case _:
            node.type = TYPES[node.kind]


def fitted(value: bytes, node: Node) -> Any:
    """Decode as the decoder does, with nothing where something is of another type."""
    try:
        match node.kind:
            case "object":
                return _object(value, node, node.type)
            case "list":
                item = Node(node.name, "object", node.children, node.type.__args__[0].__args__[0])
                return [fitted(one, item) for one in items_of(value)]
            case "map":
                members = Members.of(value)
                return {legible(key): members.value(places[-1]) for key, places in members.places.items()}
            case "string" if value.startswith(b'"'):
                return legible(text_of(value))
            case _:
                return msgspec.json.decode(value, type=node.type)
    except (ValueError, RecursionError):
        return None


def _object(value: bytes, node: Node, kind: Any) -> Any:
    members = Members.of(value)
    children = [child for child in node.children if child.kind != "path"]
    found = [members.last(child.name) for child in children]
    return kind(
        *(None if value is None else fitted(value, child) for value, child in zip(found, children, strict=True))
    )


def text(value: bytes) -> str | None:
    """Give a value as text: a string's own, else its JSON; nothing for null or nothing."""
    if value.startswith(b'"'):
        return value[1:-1].decode() if b"\\" not in value else legible(text_of(value))
    return None if value in (b"", b"null") else value.decode()
