"""The lists in a contact: which are incomplete, and how complete ones are put in. Pure; all else keeps its bytes.

Facts about the API: tags, notes and companies are embedded, ten at most, with
``has_more``; subscriptions and segments are not. A list may be null. Its
``total_count`` was seen to be wrong: it stays what it was.
"""

import re
from collections.abc import Mapping, Sequence

import orjson

from exporter.rawjson.objects import Members, items_of, join_items, text_or_digits

EMBEDDED = ("tags", "notes", "companies")
"""The lists that a contact embeds."""

_HAS_MORE = re.compile(rb'"has_more"\s*:\s*true')


def id_of(record: bytes) -> str:
    """Return a contact's id; empty if it has none that could be a part of a path."""
    values = Members.of(record).values("id")
    contact_id = text_or_digits(values[-1]) if values else ""
    return contact_id if contact_id.isascii() and contact_id.isalnum() else ""


def says_more(record: bytes) -> list[str]:
    """Return the embedded lists of a contact that say that they are not whole."""
    if not _HAS_MORE.search(record):  # most contacts have none, and are not taken apart
        return []
    members = Members.of(record)
    return [name for name in EMBEDDED if any(map(_is_cut, members.values(name)))]


def _is_cut(value: bytes) -> bool:
    return value.startswith(b"{") and b"true" in Members.of(value).values("has_more")


def completed(record: bytes, name: str, items: Sequence[bytes]) -> bytes:
    """Put a whole list into a contact: in the place of the one that it has, else behind its last member."""
    members = Members.of(record)
    pieces: dict[int, bytes | None] = {}
    for place in members.places.get(name, ()):
        value = members.value(place)
        whole = _whole(value, items) if value.startswith(b"{") else _made(record, name, items)
        pieces[place] = members.with_value(place, whole)
    more = [] if pieces else [b'"%b":%b' % (name.encode(), _made(record, name, items))]
    return members.patched(pieces, *more)


def _whole(value: bytes, items: Sequence[bytes]) -> bytes:
    """Complete an embedded list."""
    members = Members.of(value)
    pieces: dict[int, bytes | None] = {}
    more = []
    for key, content in (("data", join_items(items)), ("has_more", b"false")):
        places = members.places.get(key, ())
        pieces |= {place: members.with_value(place, content) for place in places}
        more += [] if places else [b'"%b":%b' % (key.encode(), content)]
    return members.patched(pieces, *more)


def _made(record: bytes, name: str, items: Sequence[bytes]) -> bytes:
    """Make a list like those that the API embeds."""
    url = orjson.dumps(f"/contacts/{id_of(record)}/{name}")
    return b'{"type":"list","data":%b,"url":%b,"total_count":%d,"has_more":false}' % (
        join_items(items),
        url,
        len(items),
    )


def with_tag_names(record: bytes, names: Mapping[str, bytes]) -> bytes:
    """Give the tags of a contact their names, where they have none and it is known.

    Args:
        record: the contact.
        names: JSON of the names, by the tags' ids.
    """
    members = Members.of(record)
    pieces: dict[int, bytes | None] = {}
    for place in members.places.get("tags", ()):
        value = members.value(place)
        named = _named_list(value, names) if value.startswith(b"{") else value
        if named != value:
            pieces[place] = members.with_value(place, named)
    return members.patched(pieces) if pieces else record


def _named_list(value: bytes, names: Mapping[str, bytes]) -> bytes:
    members = Members.of(value)
    pieces: dict[int, bytes | None] = {}
    for place in members.places.get("data", ()):
        tags = members.value(place)
        if tags.startswith(b"["):
            pieces[place] = members.with_value(place, join_items([_named(tag, names) for tag in items_of(tags)]))
    return members.patched(pieces)


def _named(tag: bytes, names: Mapping[str, bytes]) -> bytes:
    if not tag.startswith(b"{"):
        return tag
    members = Members.of(tag)
    ids = members.values("id")
    name = names.get(text_or_digits(ids[-1])) if ids and not members.values("name") else None
    return tag if name is None else members.patched({}, b'"name":%b' % name)
