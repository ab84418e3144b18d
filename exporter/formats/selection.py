"""Field selection: select, drop or pseudonymise fields of a contact. All other bytes stay unchanged."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial

from exporter.errors import ConfigError
from exporter.rawjson.objects import RawObject, decode_string, items_of, join_items, join_members
from exporter.text import escape_surrogates
from exporter.validation import check_kinds, texts_of

_MIN_KEY_BYTES = 16
_KEY_CHECK_TEXT = b"intercom-exporter: which key is this?"
_KEY_CHECK_DIGITS = 16
_CACHED_VALUES, _MAX_CACHED_BYTES = 4_096, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSelection:
    """The selection of contact fields that an export writes.

    A path names a field: its keys, separated by dots, as in
    ``location.country``. A path into a list refers to each of the list's items:
    ``tags.data.id``. A key can contain dots, as the names of custom attributes do.

    Attributes:
        fields: paths of the fields to write, in this order; all fields if empty.
        drop: paths of the fields to omit.
        pseudonymise: paths of the fields to replace with a pseudonym: the
            hexadecimal HMAC-SHA-256 of a text's UTF-8, or of any other value's
            JSON. Null stays null. Each value in an object or a list gets its
            own pseudonym.
        key: secret key of the pseudonyms, at least 16 bytes. The same key
            results in the same pseudonyms, in any export.

    Raises:
        ConfigError: a path is invalid or duplicate, or the key is missing or too short.
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
                raise ConfigError(f"{name} contains an invalid path: it is empty, or begins or ends with a dot", name)
            if len(set(paths)) != len(paths):
                raise ConfigError(f"{name} contains a duplicate path", name)
            if any(path != escape_surrogates(path) for path in paths):
                raise ConfigError(f"{name} contains a path that is not valid UTF-8", name)
        if self.pseudonymise and len(self.key) < _MIN_KEY_BYTES:
            raise ConfigError(f"key must have at least {_MIN_KEY_BYTES} bytes: pseudonyms depend on it", "key")

    def __bool__(self) -> bool:
        """Return whether the selection changes any contact."""
        return bool(self.fields or self.drop or self.pseudonymise)

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths of the selection."""
        return (*self.fields, *self.drop, *self.pseudonymise)

    @property
    def has_ids(self) -> bool:
        """Whether contacts keep their unchanged ids."""
        return "id" not in self.drop and (not self.fields or "id" in self.fields)

    @property
    def key_check(self) -> str | None:
        """Digits that identify the key without revealing it; None without pseudonyms."""
        return self._pseudonym(_KEY_CHECK_TEXT)[:_KEY_CHECK_DIGITS] if self.pseudonymise else None

    def apply(self, record: bytes, matched: set[str]) -> bytes:
        """Apply the selection to one contact.

        Args:
            record: JSON of the contact.
            matched: set of the paths that exist in a contact; this function adds to it.
        """
        if self.pseudonymise:
            record = _edit(record, self.pseudonymise, self._pseudonymise, matched)
        if self.drop:
            record = _edit(record, self.drop, _remove, matched)
        return (_select(record, self.fields, matched) or b"{}") if self.fields else record

    def _pseudonymise(self, value: bytes) -> bytes:
        """Replace each value with its pseudonym."""
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
    """Return the value at a path; empty if there is no such value, or if it is nested too deeply.

    Of duplicate keys the last value counts. For a path through a list, the
    result is the list of the values in the items.
    """
    try:
        return _value_below(value, path)
    except (ValueError, RecursionError):
        return b""


def _value_below(value: bytes, path: str) -> bytes:
    if not path:
        return value
    if value.startswith(b"["):
        values = list(filter(None, (_value_below(item, path) for item in items_of(value))))
        return join_items(values) if values else b""
    if not value.startswith(b"{"):
        return b""
    members = RawObject.parse(value)
    for key, path_below in split_path(path):
        if (inner := members.last(key)) is not None:
            return _value_below(inner, path_below)
    return b""


def _remove(_value: bytes) -> None:
    """Replace a value with None, which omits it."""


def _select(value: bytes, paths: tuple[str, ...], matched: set[str], parent: str = "") -> bytes | None:
    """Keep the values at some paths, in the order of the paths; return None if there are none."""
    if value.startswith(b"["):
        items = (_select(item, paths, matched, parent) for item in items_of(value))
        return join_items(item for item in items if item is not None)
    if not value.startswith(b"{"):
        return None
    members, kept = RawObject.parse(value), []
    for key, paths_below in _steps(members, paths):
        for position in members.positions[key]:
            if "" in paths_below:
                matched.add(parent + key)
                matched.update(
                    f"{parent}{key}.{path}" for path in paths_below if path and value_at(members.value(position), path)
                )
                kept.append(members.member(position))
            elif (inner := _select(members.value(position), paths_below, matched, f"{parent}{key}.")) is not None:
                kept.append(members.with_value(position, inner))
    return join_members(kept) if kept else None


def _edit(
    value: bytes, paths: tuple[str, ...], change: Callable[[bytes], bytes | None], matched: set[str], parent: str = ""
) -> bytes:
    """Change the values at some paths; omit values that `change` replaces with None."""
    if value.startswith(b"["):
        edit = _drop if change is _remove else partial(_edit, change=change)
        return join_items([edit(item, paths, matched=matched, parent=parent) for item in items_of(value)])
    if not value.startswith(b"{"):
        return value
    members = RawObject.parse(value)
    steps = _steps(members, paths)
    if not steps:
        return value
    changed: dict[int, bytes | None] = {}
    for key, paths_below in steps:
        for position in members.positions[key]:
            if "" in paths_below:
                matched.add(parent + key)
                new = None if change is _remove else change(members.value(position))
            elif change is _remove:
                new = _drop(members.value(position), paths_below, matched, f"{parent}{key}.")
            else:
                new = _edit(members.value(position), paths_below, change, matched, f"{parent}{key}.")
            changed[position] = None if new is None else members.with_value(position, new)
    return members.replace_members(changed)


def _drop(value: bytes, paths: tuple[str, ...], matched: set[str], parent: str) -> bytes:
    """Omit the values at some paths from a part of a contact.

    The results for small parts are cached: many contacts have the same tags or the same location.
    """
    if len(value) > _MAX_CACHED_BYTES:
        return _edit(value, paths, _remove, matched, parent)
    result, matched_here = _drop_cached(value, paths, parent)
    matched |= matched_here
    return result


@lru_cache(_CACHED_VALUES)
def _drop_cached(value: bytes, paths: tuple[str, ...], parent: str) -> tuple[bytes, frozenset[str]]:
    matched: set[str] = set()
    return _edit(value, paths, _remove, matched, parent), frozenset(matched)


def _steps(members: RawObject, paths: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Group paths by their first key that is a member, with the paths below it; an empty path is the complete value."""
    cached: tuple[tuple[str, tuple[str, ...]], ...] | None = members.layout.path_cache.get(paths)
    if cached is not None:
        return cached
    steps: dict[str, tuple[str, ...]] = {}
    for path in paths:
        for key, path_below in split_path(path):
            if key in members.positions:
                steps[key] = (*steps.get(key, ()), path_below)
                break
    members.layout.path_cache[paths] = grouped = tuple(steps.items())
    return grouped


@cache
def split_path(path: str) -> tuple[tuple[str, str], ...]:
    """Return every split of a path into a key and the path below it, the longest key first."""
    dots = [at for at, character in enumerate(path) if character == "."]
    return ((path, ""), *((path[:at], path[at + 1 :]) for at in reversed(dots)))
