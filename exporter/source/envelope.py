"""The bytes of a response -> records, next cursor, total count. Pure, and tolerant where the API is.

Records are cut out of the page undecoded: `msgspec.Raw` finds where each one
begins and ends, and what it refuses although it is JSON goes to `cutting`.
"""

import codecs
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import msgspec

from exporter.source.cutting import cut_object, refuse_constant

_NULL = msgspec.Raw(b"null")
_PIECE_BYTES = 64 * 1024
_LISTS = ("data", "contacts")  # 1.x names the list after what is in it


class BrokenBody(ValueError):  # noqa: N818 - a finding about the body, judged by who asked for it
    """The body is not a page of contacts: cut, not UTF-8, not JSON, or of another shape."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a page's JSON says.

    Attributes:
        records: raw JSON bytes of each contact, in order.
        next_cursor: where the next page begins, None when this is the last.
            Versions 1.x page by URL: then it is that URL, reduced to what
            names the page.
        total_count: contacts in the workspace, None when not said.
    """

    records: tuple[bytes, ...]
    next_cursor: str | None
    total_count: int | None


class _Fields(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    contacts: list[msgspec.Raw] | None = None
    pages: msgspec.Raw = _NULL
    total_count: msgspec.Raw = _NULL


_decoder = msgspec.json.Decoder(_Fields)


def parse(body: bytes, listing_url: str) -> Envelope:
    """Read one page of contacts.

    Args:
        body: the whole response, decompressed.
        listing_url: the listing's own address; a ``next`` that is a URL must
            stay on it.

    Raises:
        BrokenBody: anything but a well-formed page. The message names the
            fault and never quotes the page.
    """
    _check_utf8(body)  # Raw lets anything through
    try:
        fields = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        fields = _cut(body.decode())
    if fields.data is not None and fields.contacts is not None:
        raise BrokenBody("two lists of contacts in it")
    records = fields.contacts if fields.data is None else fields.data
    if records is None:
        raise BrokenBody("no list of contacts in it")
    cut = tuple(map(bytes, records))
    if not all(record.startswith(b"{") for record in cut):
        raise BrokenBody("the list holds something that is not a contact")
    total_count = _decode(fields.total_count)
    return Envelope(
        cut,
        _next_cursor(_decode(fields.pages), listing_url),
        total_count if type(total_count) is int else None,
    )


def _check_utf8(body: bytes) -> None:
    """Refuse what is not UTF-8, a piece at a time.

    One emoji would make the text of a whole page four bytes a character: that
    costs four times as long as texts that stay in the processor's cache.
    """
    view, at = memoryview(body), 0
    while at < len(body):
        piece = view[at : at + _PIECE_BYTES]
        try:
            at += codecs.utf_8_decode(piece, "strict", at + len(piece) == len(body))[1]
        except UnicodeDecodeError as exc:
            raise BrokenBody(f"not UTF-8 at byte {at + exc.start}") from None


def _cut(text: str) -> _Fields:
    try:
        found = cut_object(text, _LISTS)
    except ValueError as exc:
        raise BrokenBody(f"not JSON, or cut short: {_reason(exc)}") from None
    fields = _Fields()
    for key, value in found.items():
        if isinstance(value, tuple):
            setattr(fields, key, [*map(msgspec.Raw, value)])
        elif key in ("pages", "total_count"):
            setattr(fields, key, msgspec.Raw(value))
        elif key in _LISTS and value != b"null":
            raise BrokenBody("its list of contacts is not a list")
    return fields


def _reason(exc: ValueError) -> str:
    """Say why, without the document that `json.JSONDecodeError` carries along."""
    return exc.msg if isinstance(exc, json.JSONDecodeError) else str(exc)


def _decode(raw: msgspec.Raw) -> Any:
    try:
        return json.loads(bytes(raw), parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise BrokenBody("'pages' or 'total_count' cannot be read") from None


def _next_cursor(pages: Any, listing_url: str) -> str | None:
    """Find the next cursor in ``pages``; each of the four shapes of a last page gives None.

    Seen on last pages: no ``next``, ``next: null``, a ``next`` whose
    ``starting_after`` is null, and ``pages: null``.
    """
    if pages is None:
        return None
    if not isinstance(pages, dict):
        raise BrokenBody("'pages' is not an object")
    following = pages.get("next")
    if isinstance(following, str):
        return _cursor_of_url(following, listing_url)
    if isinstance(following, dict):
        following = following.get("starting_after")
        if type(following) is int:
            following = str(following)
        if isinstance(following, str):
            return _sendable(following) or None
    if following is not None:
        raise BrokenBody("'pages.next' is neither an object, a URL nor null")
    return None


def _cursor_of_url(url: str, listing_url: str) -> str | None:
    """Take the cursor out of a ``next`` URL, or the URL itself where it pages by number.

    No more than its query is ever used, and on our own listing: the token must
    not follow a URL out of a body.
    """
    if not url:
        return None
    try:
        target = urlsplit(urljoin(listing_url, _sendable(url)))
        query = parse_qs(target.query)
    except ValueError:
        raise BrokenBody("'pages.next' is not a usable URL") from None
    if target._replace(query="", fragment="").geturl() != listing_url:
        raise BrokenBody("'pages.next' leads away from the listing")
    if "starting_after" in query:
        return query["starting_after"][-1]
    if "page" in query:
        return f"{listing_url}?page={query['page'][-1]}"
    raise BrokenBody("'pages.next' names neither a cursor nor a page")


def _sendable(text: str) -> str:
    if not is_sendable(text):
        raise BrokenBody("the cursor is not Unicode text")
    return text


def is_sendable(text: str) -> bool:
    """Whether a request can carry a cursor: one with a lone surrogate has no UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
