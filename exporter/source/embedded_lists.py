"""The lists in a contact: find the truncated ones, and insert complete ones. Pure; everything else keeps its bytes.

Facts about the API: a contact embeds at most ten of its tags, notes and companies,
with ``has_more``; it does not embed subscriptions and segments. A list may be null.
Its ``total_count`` was observed to be wrong: it is not changed.
"""

import re
from collections.abc import Mapping, Sequence

import orjson

from exporter.rawjson.objects import RawObject, items_of, join_items, text_or_digits

EMBEDDED = ("tags", "notes", "companies")
"""The lists that a contact embeds."""

_HAS_MORE = re.compile(rb'"has_more"\s*:\s*true')


def id_of(record: bytes) -> str:
    """Return a contact's id; empty if it has none that can be part of a path."""
    values = RawObject.parse(record).values("id")
    contact_id = text_or_digits(values[-1]) if values else ""
    return contact_id if contact_id.isascii() and contact_id.isalnum() else ""


def truncated_lists(record: bytes) -> list[str]:
    """Return the names of a contact's truncated lists, which the API marks with `has_more`."""
    if not _HAS_MORE.search(record):  # most contacts have none, and need no parsing
        return []
    members = RawObject.parse(record)
    return [name for name in EMBEDDED if any(map(_is_truncated, members.values(name)))]


def _is_truncated(value: bytes) -> bool:
    return value.startswith(b"{") and b"true" in RawObject.parse(value).values("has_more")


def with_full_list(record: bytes, name: str, items: Sequence[bytes]) -> bytes:
    """Return a contact with a complete list: it replaces the embedded one, or follows the last member."""
    members = RawObject.parse(record)
    pieces: dict[int, bytes | None] = {}
    for position in members.positions.get(name, ()):
        value = members.value(position)
        full = _fill_list(value, items) if value.startswith(b"{") else _new_list(record, name, items)
        pieces[position] = members.with_value(position, full)
    more = [] if pieces else [b'"%b":%b' % (name.encode(), _new_list(record, name, items))]
    return members.replace_members(pieces, *more)


def _fill_list(value: bytes, items: Sequence[bytes]) -> bytes:
    """Return an embedded list with all its items."""
    members = RawObject.parse(value)
    pieces: dict[int, bytes | None] = {}
    more = []
    for key, content in (("data", join_items(items)), ("has_more", b"false")):
        positions = members.positions.get(key, ())
        pieces |= {position: members.with_value(position, content) for position in positions}
        more += [] if positions else [b'"%b":%b' % (key.encode(), content)]
    return members.replace_members(pieces, *more)


def _new_list(record: bytes, name: str, items: Sequence[bytes]) -> bytes:
    """Return a new list, in the form of the API's embedded lists."""
    url = orjson.dumps(f"/contacts/{id_of(record)}/{name}")
    return b'{"type":"list","data":%b,"url":%b,"total_count":%d,"has_more":false}' % (
        join_items(items),
        url,
        len(items),
    )


def with_tag_names(record: bytes, names: Mapping[str, bytes]) -> bytes:
    """Return a contact with names added to the tags that have none.

    Args:
        record: the contact.
        names: each tag's name as JSON, by the tag's id.
    """
    members = RawObject.parse(record)
    pieces: dict[int, bytes | None] = {}
    for position in members.positions.get("tags", ()):
        value = members.value(position)
        named = _with_names(value, names) if value.startswith(b"{") else value
        if named != value:
            pieces[position] = members.with_value(position, named)
    return members.replace_members(pieces) if pieces else record


def _with_names(value: bytes, names: Mapping[str, bytes]) -> bytes:
    members = RawObject.parse(value)
    pieces: dict[int, bytes | None] = {}
    for position in members.positions.get("data", ()):
        tags = members.value(position)
        if tags.startswith(b"["):
            pieces[position] = members.with_value(
                position, join_items([_with_name(tag, names) for tag in items_of(tags)])
            )
    return members.replace_members(pieces)


def _with_name(tag: bytes, names: Mapping[str, bytes]) -> bytes:
    if not tag.startswith(b"{"):
        return tag
    members = RawObject.parse(tag)
    ids = members.values("id")
    name = names.get(text_or_digits(ids[-1])) if ids and not members.values("name") else None
    return tag if name is None else members.replace_members({}, b'"name":%b' % name)
