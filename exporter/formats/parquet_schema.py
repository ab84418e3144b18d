"""The typed columns of a Parquet file, as a tree that follows the schema, and decoding of contacts into it."""

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
    """A column, or a part of a column.

    Attributes:
        name: name of the member; for kind ``json``, the complete path.
        kind: the schema's type: ``string``, ``integer``, ``boolean``,
            ``timestamp``, ``object`` or ``list`` (of objects); ``union`` for
            text or a number, ``map`` for custom attributes, ``json`` for the
            JSON of any value, at a path that the schema does not have.
        children: members of an object, or of a list's items.
        type: type for decoding with `msgspec`.
    """

    name: str
    kind: str
    children: list["ColumnNode"] = field(default_factory=list)
    type: Any = None

    def decoder(self) -> "msgspec.json.Decoder[Any]":
        """Return a decoder of contacts into a `msgspec.Struct` with the children, except those of kind ``json``.

        The decoder raises an error for a value of another type; `decode_lenient` does not.
        """
        return msgspec.json.Decoder(self.type)


def build_tree(columns: Sequence[str]) -> ColumnNode:
    """Return columns as a tree that follows the structure of a contact, in the order of the columns.

    Args:
        columns: paths of fields. An object or list without known fields below it is of kind ``json``.
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
    """Set the type of a node and of all nodes below it."""
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
    """Decode a value same as the decoder does, with None for each value of another type."""
    try:
        match node.kind:
            case "object":
                return _object(value, node, node.type)
            case "list":
                item = ColumnNode(node.name, "object", node.children, node.type.__args__[0].__args__[0])
                return [decode_lenient(one, item) for one in items_of(value)]
            case "map":
                members = RawObject.parse(value)
                return {
                    escape_surrogates(key): members.value(positions[-1]) for key, positions in members.positions.items()
                }
            case "string" if value.startswith(b'"'):
                return escape_surrogates(decode_string(value))
            case _:
                return msgspec.json.decode(value, type=node.type)
    except (ValueError, RecursionError):
        return None


def _object(value: bytes, node: ColumnNode, kind: Any) -> Any:
    members = RawObject.parse(value)
    children = [child for child in node.children if child.kind != "json"]
    values = [members.last(child.name) for child in children]
    pairs = zip(values, children, strict=True)
    return kind(*(None if inner is None else decode_lenient(inner, child) for inner, child in pairs))


def text(value: bytes) -> str | None:
    """Return a value as text: the text of a string, else its JSON; None for null or an empty value."""
    if value.startswith(b'"'):
        return value[1:-1].decode() if b"\\" not in value else escape_surrogates(decode_string(value))
    return None if value in (b"", b"null") else value.decode()
