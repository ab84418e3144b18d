"""Contacts as typed objects, as deep as the schema: what columns with types are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from exporter.formats.columns import CUSTOM
from exporter.formats.drift import TYPES
from exporter.formats.schema import BY_PATH
from exporter.rawjson.objects import RawObject, decode_string, items_of
from exporter.text import escape_surrogates


@dataclass(slots=True)
class ColumnNode:
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
    children: list["ColumnNode"] = field(default_factory=list)
    type: Any = None

    def decoder(self) -> "msgspec.json.Decoder[Any]":
        """Make what decodes a contact into a `msgspec.Struct` of its children, but for paths.

        It raises where anything is of another type; `decode_lenient` does not.
        """
        return msgspec.json.Decoder(self.type)


def build_tree(columns: Sequence[str]) -> ColumnNode:
    """Arrange columns as a contact has them, the first ones first.

    Args:
        columns: the paths of the fields; an object or list that nothing is known of within it is a path.
    """
    top = ColumnNode("", "object")
    for path in columns:
        if path not in BY_PATH or (BY_PATH[path].type in ("object", "list") and path != CUSTOM):
            top.children.append(ColumnNode(path, "json"))
            continue
        node, keys = top, path.split(".")
        for depth, key in enumerate(keys, 1):
            known = {child.name: child for child in node.children if child.kind != "json"}
            if key not in known:
                known[key] = ColumnNode(key, _kind_of(".".join(keys[:depth])))
                node.children.append(known[key])
            node = known[key]
    _assign_types(top)
    return top


def _kind_of(path: str) -> str:
    if path == CUSTOM:
        return "map"
    return "union" if BY_PATH[path].alternative_types else BY_PATH[path].type


def _assign_types(node: ColumnNode) -> None:
    """Give a node the type that `msgspec` knows it by, and its children theirs."""
    for child in node.children:
        _assign_types(child)
    match node.kind:
        case "object" | "list":
            members = [
                (f"member_{number}", child.type | None, msgspec.field(name=child.name, default=None))
                for number, child in enumerate(node.children)
                if child.kind != "json"
            ]
            item = msgspec.defstruct("Object", members, gc=False)
            node.type = item if node.kind == "object" else list[item | None]  # type: ignore[valid-type]
        case "map":
            node.type = dict[str, msgspec.Raw]
        case "union":
            node.type = int | str
        case "json":
            node.type = msgspec.Raw
        case _:
            node.type = TYPES[node.kind]


def decode_lenient(value: bytes, node: ColumnNode) -> Any:
    """Decode as the decoder does, with nothing where something is of another type."""
    try:
        match node.kind:
            case "object":
                return _object(value, node, node.type)
            case "list":
                item = ColumnNode(node.name, "object", node.children, node.type.__args__[0].__args__[0])
                return [decode_lenient(one, item) for one in items_of(value)]
            case "map":
                members = RawObject.parse(value)
                return {escape_surrogates(key): members.value(places[-1]) for key, places in members.positions.items()}
            case "string" if value.startswith(b'"'):
                return escape_surrogates(decode_string(value))
            case _:
                return msgspec.json.decode(value, type=node.type)
    except (ValueError, RecursionError):
        return None


def _object(value: bytes, node: ColumnNode, kind: Any) -> Any:
    members = RawObject.parse(value)
    children = [child for child in node.children if child.kind != "json"]
    found = [members.last(child.name) for child in children]
    return kind(
        *(None if value is None else decode_lenient(value, child) for value, child in zip(found, children, strict=True))
    )


def text(value: bytes) -> str | None:
    """Give a value as text: a string's own, else its JSON; nothing for null or nothing."""
    if value.startswith(b'"'):
        return value[1:-1].decode() if b"\\" not in value else escape_surrogates(decode_string(value))
    return None if value in (b"", b"null") else value.decode()
