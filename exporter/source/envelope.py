"""The body of a page -> records, next cursor, total count. Pure, and tolerant where the API is.

Records are sliced out of the page without decoding them: `msgspec.Raw` finds where
each one begins and ends. Pages that msgspec refuses although they are JSON are
sliced by `exporter.rawjson.scanner`.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import msgspec

from exporter.rawjson.scanner import reject_constant, reject_duplicates, split_object
from exporter.rawjson.utf8 import first_bad_byte

_MAX_CURSOR_CHARACTERS = 1 << 21
_LARGE_BYTES = 1 << 20
_MAX_COMMAS = 500_000  # each item becomes an object: this limits the memory that a small response can take
CONTACTS = ("data", "contacts")  # 1.x names the list after what is in it
_PEEKED_BYTES = 2048  # the envelope before or after the list of contacts is shorter
_CURSOR = re.compile(rb'"starting_after"\s*:\s*("(?:[^"\\]|\\.)+")')
_first_byte = itemgetter(0)
_MAX_CONTACTS = 2**53 - 1  # the largest integer that every JSON reader keeps


class MalformedBody(ValueError):  # noqa: N818 - the caller decides whether it is an error
    """The body is not a page of contacts: truncated, not UTF-8, not JSON, or of another shape.

    Attributes:
        cause: the cause that a retry reports.
    """

    cause = "broken_body"

    def detail(self, status: int) -> str:
        """Return the sentence that a retry and an error report."""
        return f"the API answered {status} with a broken page ({self})"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed page.

    Attributes:
        records: raw JSON bytes of each contact, in order.
        next_cursor: cursor of the next page, None on the last page. Versions 1.x page by
            URL: then it is that URL, with only the parameters that name the page.
        total_count: contacts in the workspace, None if the page has no count.
        plain: False when the fast parser refused the page.
    """

    records: tuple[bytes, ...]
    next_cursor: str | None
    total_count: int | None
    plain: bool = True


@cache
def _decoder(keys: tuple[str, ...]) -> "msgspec.json.Decoder[Any]":
    """Make a decoder of objects with lists under these keys; it does not decode their items."""
    lists = msgspec.defstruct("Lists", [(key, list[msgspec.Raw] | None, None) for key in keys])
    return msgspec.json.Decoder(lists)


def parse(body: bytes, listing_url: str, keys: tuple[str, ...] = CONTACTS) -> Envelope:
    """Read one page of contacts, or of another list.

    Args:
        body: the whole body, decompressed.
        listing_url: URL of the listing; a ``next`` that is a URL must
            stay on it.
        keys: keys that the list can have; exactly one is present.

    Raises:
        MalformedBody: it is not a well-formed page. The message names the
            fault and never quotes the page.
    """
    if len(body) > _LARGE_BYTES and body.count(b",") > _MAX_COMMAS:
        raise MalformedBody("of more parts than any page of contacts has")
    _check_utf8(body)  # msgspec.Raw does not check it
    quickly = _split_fast(body, keys)
    records, rest = quickly or _split_slow(body, keys)
    if bytes(map(_first_byte, records)) != b"{" * len(records):
        raise MalformedBody("the list holds something that is not an object")
    total_count = rest.get("total_count")
    counted = type(total_count) is int and 0 <= total_count <= _MAX_CONTACTS
    cursor = _next_cursor(rest.get("pages"), listing_url)
    return Envelope(records, cursor, total_count if counted else None, plain=quickly is not None or not records)


def peek_next_cursor(body: bytes) -> str | None:
    """Find what looks like the next cursor of a page, without parsing its contacts.

    A guess that saves time; only `parse` returns the real cursor.
    """
    for piece in (body[-_PEEKED_BYTES:], body[:_PEEKED_BYTES]):
        for quoted in reversed(_CURSOR.findall(piece)):
            with suppress(ValueError):
                return _checked_cursor(json.loads(quoted))
    return None


def _split_fast(body: bytes, keys: tuple[str, ...]) -> tuple[tuple[bytes, ...], dict[str, Any]] | None:
    """Slice a page as the API writes it: one list, with a bare comma between its items.

    The page without the items is a small document. It is parsed strictly, so that
    a repeated key cannot hide half of the contacts.

    Returns:
        The records and the rest of the envelope; None if the page is written
        in another way, which may still be valid.
    """
    try:
        lists = _decoder(keys).decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    records = tuple(map(bytes, next(filter(None, (getattr(lists, key) for key in keys)), ())))
    if not records:
        return None
    start = body.find(records[0])
    end = body.rfind(records[-1]) + len(records[-1])
    if end - start != sum(map(len, records)) + len(records) - 1:
        return None
    rest = _read(body[:start] + body[end:])
    return records, _with_one_list(rest, keys)


def _split_slow(body: bytes, keys: tuple[str, ...]) -> tuple[tuple[bytes, ...], dict[str, Any]]:
    try:
        found = split_object(body.decode(), keys)
    except ValueError as exc:
        raise MalformedBody(f"not JSON, or truncated: {_reason(exc)}") from None
    rest: dict[str, Any] = {}
    records: tuple[bytes, ...] = ()
    for key, value in found.items():
        if isinstance(value, tuple):
            rest[key], records = [], value
        else:
            rest[key] = _read(value)
    return records, _with_one_list(rest, keys)


def _with_one_list(rest: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Check that the envelope has one list."""
    lists = [rest[key] for key in keys if rest.get(key) is not None]
    if lists != [[]]:  # the items have been removed
        raise MalformedBody(f"two lists of {keys[-1]} in it" if len(lists) > 1 else f"no list of {keys[-1]} in it")
    return rest


def _read(document: bytes) -> Any:
    """Decode a small part of a page, strictly."""
    try:
        return json.loads(document, object_pairs_hook=reject_duplicates, parse_constant=reject_constant)
    except (ValueError, RecursionError) as exc:
        reason = _reason(exc) if isinstance(exc, ValueError) else "nested too deeply"
        raise MalformedBody(f"its envelope cannot be read: {reason}") from None


def _check_utf8(body: bytes) -> None:
    bad = first_bad_byte(body)
    if bad is not None:
        raise MalformedBody(f"not UTF-8 at byte {bad}")


def _reason(exc: ValueError) -> str:
    """Return the message of a parser's error, without the document that `json.JSONDecodeError` holds."""
    return exc.msg if isinstance(exc, json.JSONDecodeError) else str(exc)


def _next_cursor(pages: Any, listing_url: str) -> str | None:
    """Find the next cursor in ``pages``; None for each of the four shapes of a last page.

    Observed on last pages: no ``next``, ``next: null``, a ``next`` whose
    ``starting_after`` is null, and ``pages: null``.
    """
    if pages is None:
        return None
    if not isinstance(pages, dict):
        raise MalformedBody("'pages' is not an object")
    following = pages.get("next")
    if isinstance(following, str):
        return _cursor_of_url(following, listing_url)
    if isinstance(following, dict):
        following = following.get("starting_after")
        if type(following) is int:
            following = str(following)
        if isinstance(following, str):
            return _checked_cursor(following) or None
    if following is not None:
        raise MalformedBody("'pages.next' is neither an object, a URL nor null")
    return None


def _cursor_of_url(url: str, listing_url: str) -> str | None:
    """Return the cursor in a ``next`` URL, or the URL itself if it pages by number.

    Only its query is used, with the URL of our own listing: the token must not be sent
    to a URL that a body names.
    """
    if not url:
        return None
    try:
        target = urlsplit(urljoin(listing_url, _checked_cursor(url)))
        query = parse_qs(target.query)
    except ValueError:
        raise MalformedBody("'pages.next' is not a usable URL") from None
    if target._replace(query="", fragment="").geturl() != listing_url:
        raise MalformedBody("'pages.next' leads away from the listing")
    if "starting_after" in query:
        return query["starting_after"][-1]
    if "page" in query:
        return f"{listing_url}?page={query['page'][-1]}"
    raise MalformedBody("'pages.next' names neither a cursor nor a page")


def _checked_cursor(text: str) -> str:
    if not is_sendable(text):
        raise MalformedBody("the cursor is not Unicode text")
    if len(text) > _MAX_CURSOR_CHARACTERS:
        raise MalformedBody("the cursor is too long for a request")
    return text


def is_sendable(text: str) -> bool:
    """Return whether a request can carry a cursor: a cursor with a lone surrogate has no UTF-8."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
