"""What becomes of a contact's fields: chosen, dropped, or made into pseudonyms. Everything else keeps its bytes."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial

from exporter.errors import ConfigError
from exporter.rawjson.objects import RawObject, decode_string, items_of, join_items, join_members
from exporter.text import escape_surrogates
from exporter.validation import check_kinds, texts_of

_MIN_KEY_BYTES = 16
_CHECK = b"intercom-exporter: which key is this?"
_CHECK_DIGITS = 16
_PARTS, _SMALL_BYTES = 4_096, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSelection:
    """Which fields of a contact are written, and how.

    A field is named by its path, keys with dots between, as in
    ``location.country``. A path that leads into a list means each of its items:
    ``tags.data.id``. A key may hold dots itself, as custom attributes do.

    Attributes:
        fields: what is written, in this order; all there is where it is empty.
        drop: what is left out.
        pseudonymise: what is replaced by a pseudonym: the hexadecimal
            HMAC-SHA-256 of a text's UTF-8, or of any other value's JSON. Null
            stays null, and below an object or a list each value gets its own.
        key: what the pseudonyms depend on, 16 bytes at least. The same key
            gives the same pseudonyms, in any export.

    Raises:
        ConfigError: a path is empty or named twice, or the key is missing or short.
    """

    fields: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    pseudonymise: tuple[str, ...] = ()
    key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        check_kinds({"key": self.key}, {"key": bytes})
        for name in ("fields", "drop", "pseudonymise"):
            paths = texts_of(name, getattr(self, name))
            object.__setattr__(self, name, paths)  # a list would not be hashable
            if not all(path.strip(".") == path != "" for path in paths):
                raise ConfigError(f"{name} holds a path without a key before or behind a dot", name)
            if len(set(paths)) != len(paths):
                raise ConfigError(f"{name} holds a path twice", name)
            if any(path != escape_surrogates(path) for path in paths):
                raise ConfigError(f"{name} holds a path that is not UTF-8", name)
        if self.pseudonymise and len(self.key) < _MIN_KEY_BYTES:
            raise ConfigError(f"key must have at least {_MIN_KEY_BYTES} bytes: pseudonyms depend on it", "key")

    def __bool__(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.fields or self.drop or self.pseudonymise)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path named."""
        return (*self.fields, *self.drop, *self.pseudonymise)

    @property
    def has_ids(self) -> bool:
        """Whether contacts keep their ids."""
        return "id" not in self.drop and (not self.fields or "id" in self.fields)

    @property
    def key_check(self) -> str | None:
        """Digits that differ for another key, and tell nothing of it; None where there are no pseudonyms."""
        return self._pseudonym(_CHECK)[:_CHECK_DIGITS] if self.pseudonymise else None

    def apply(self, record: bytes, matched: set[str]) -> bytes:
        """Apply the selection to one contact.

        Args:
            record: its JSON.
            matched: gets the paths that led somewhere.
        """
        if self.pseudonymise:
            record = _edit(record, self.pseudonymise, self._pseudonymise, matched)
        if self.drop:
            record = _edit(record, self.drop, _nothing, matched)
        return (_select(record, self.fields, matched) or b"{}") if self.fields else record

    def _pseudonymise(self, value: bytes) -> bytes:
        """Put a pseudonym in the place of each value."""
        match value[:1]:
            case b"{":
                members = RawObject.parse(value)
                return join_members(
                    members.with_value(position, self._pseudonymise(members.value(position)))
                    for position in range(len(members))
                )
            case b"[":
                return join_items(map(self._pseudonymise, items_of(value)))
            case b"n":  # null
                return value
            case b'"':
                return b'"%b"' % self._pseudonym(decode_string(value).encode("utf-8", "surrogatepass")).encode()
            case _:
                return b'"%b"' % self._pseudonym(value).encode()

    def _pseudonym(self, content: bytes) -> str:
        return hmac.digest(self.key, content, "sha256").hex()


EVERY_FIELD = FieldSelection()


def value_at(value: bytes, path: str) -> bytes:
    """Return the value that a path leads to, the last one of several; empty if there is none, or too deep for us.

    Where it leads through a list, it is the list of what is found in the items.
    """
    try:
        return _value_below(value, path)
    except (ValueError, RecursionError):
        return b""


def _value_below(value: bytes, path: str) -> bytes:
    if not path:
        return value
    if value.startswith(b"["):
        found = list(filter(None, (_value_below(item, path) for item in items_of(value))))
        return join_items(found) if found else b""
    if not value.startswith(b"{"):
        return b""
    members = RawObject.parse(value)
    for key, rest in split_path(path):
        if (inner := members.last(key)) is not None:
            return _value_below(inner, rest)
    return b""


def _nothing(_value: bytes) -> None:
    """Leave a value out."""


def _select(value: bytes, paths: tuple[str, ...], matched: set[str], parent: str = "") -> bytes | None:
    """Keep what paths name, in their order; None if that is nothing."""
    if value.startswith(b"["):
        items = (_select(item, paths, matched, parent) for item in items_of(value))
        return join_items(item for item in items if item is not None)
    if not value.startswith(b"{"):
        return None
    members, kept = RawObject.parse(value), []
    for key, rests in _steps(members, paths):
        for position in members.positions[key]:
            if "" in rests:
                matched.add(parent + key)
                matched.update(
                    f"{parent}{key}.{rest}" for rest in rests if rest and value_at(members.value(position), rest)
                )
                kept.append(members.member(position))
            elif (inner := _select(members.value(position), rests, matched, f"{parent}{key}.")) is not None:
                kept.append(members.with_value(position, inner))
    return join_members(kept) if kept else None


def _edit(
    value: bytes, paths: tuple[str, ...], change: Callable[[bytes], bytes | None], matched: set[str], parent: str = ""
) -> bytes:
    """Change the values that paths name, or leave out those that become None."""
    if value.startswith(b"["):
        each = _drop if change is _nothing else partial(_edit, change=change)
        return join_items([each(item, paths, matched=matched, parent=parent) for item in items_of(value)])
    if not value.startswith(b"{"):
        return value
    members = RawObject.parse(value)
    steps = _steps(members, paths)
    if not steps:
        return value
    pieces: dict[int, bytes | None] = {}
    for key, rests in steps:
        for position in members.positions[key]:
            if "" in rests:
                matched.add(parent + key)
                new = None if change is _nothing else change(members.value(position))
            elif change is _nothing:
                new = _drop(members.value(position), rests, matched, f"{parent}{key}.")
            else:
                new = _edit(members.value(position), rests, change, matched, f"{parent}{key}.")
            pieces[position] = None if new is None else members.with_value(position, new)
    return members.replace_members(pieces)


def _drop(value: bytes, paths: tuple[str, ...], matched: set[str], parent: str) -> bytes:
    """Leave something out of a part of a contact. Many have the same tags, or are in the same city."""
    if len(value) > _SMALL_BYTES:
        return _edit(value, paths, _nothing, matched, parent)
    result, led = _drop_cached(value, paths, parent)
    matched |= led
    return result


@lru_cache(_PARTS)
def _drop_cached(value: bytes, paths: tuple[str, ...], parent: str) -> tuple[bytes, frozenset[str]]:
    found: set[str] = set()
    return _edit(value, paths, _nothing, found, parent), frozenset(found)


def _steps(members: RawObject, paths: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Group paths by the key of the member that each leads to, with what is left of them: nothing, for all of it."""
    known: tuple[tuple[str, tuple[str, ...]], ...] | None = members.layout.path_cache.get(paths)
    if known is not None:
        return known
    steps: dict[str, tuple[str, ...]] = {}
    for path in paths:
        for key, rest in split_path(path):
            if key in members.positions:
                steps[key] = (*steps.get(key, ()), rest)
                break
    members.layout.path_cache[paths] = found = tuple(steps.items())
    return found


@cache
def split_path(path: str) -> tuple[tuple[str, str], ...]:
    """Split a path into a key and a rest in every possible way, the longest key first."""
    dots = [at for at, character in enumerate(path) if character == "."]
    return ((path, ""), *((path[:at], path[at + 1 :]) for at in reversed(dots)))
