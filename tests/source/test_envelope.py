"""Parsing of a page's JSON: the shapes that the API sends, and those that the parser refuses."""

import json
import traceback
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.source.envelope import Envelope, MalformedBody, parse

URL = "https://api.intercom.io/contacts"
NAME = "grace hopper".title()  # built at run time: a traceback quotes this file


def page(**fields: Any) -> bytes:
    """Return a page of one contact, with some fields set."""
    return json.dumps({"type": "list", "data": [{"id": "1"}], "total_count": 1, "pages": None} | fields).encode()


def next_cursor_of(following: Any, listing_url: str = URL) -> str | None:
    """Return the cursor that is parsed from a ``pages.next``."""
    return parse(page(pages={"type": "pages", "next": following, "per_page": 50}), listing_url).next_cursor


def test_parse_returns_records_cursor_and_count() -> None:
    """It reads every member of the documented envelope."""
    body = (
        b'{"type":"list","data":[{"id":"1"},{"id": "2"}],"total_count":300,"pages":{"type":"pages","page":1,'
        b'"next":{"page":2,"starting_after":"WzE+/=\\n"},"per_page":2,"total_pages":150}}'
    )
    assert parse(body, URL) == Envelope((b'{"id":"1"}', b'{"id": "2"}'), "WzE+/=\n", 300)


@pytest.mark.parametrize(
    "pages",
    [
        {"type": "pages", "page": 1, "per_page": 50, "total_pages": 1},
        {"type": "pages", "next": None},
        {"type": "pages", "next": {"page": 2, "starting_after": None}},
        {"type": "pages", "next": {"page": 2}},
        {"type": "pages", "next": {"page": 2, "starting_after": ""}},
        {"type": "pages", "next": ""},
        {},
        None,
    ],
)
def test_parse_of_last_page_returns_no_cursor(pages: Any) -> None:
    """A missing cursor ends the listing, in each of its shapes."""
    assert parse(page(pages=pages), URL).next_cursor is None


def test_parse_without_pages_returns_no_cursor() -> None:
    """An envelope without paging information ends the listing."""
    assert parse(b'{"data":[]}', URL) == Envelope((), None, None)


def test_parse_of_empty_page_keeps_its_cursor() -> None:
    """Only the cursor decides whether another page follows."""
    body = page(data=[], pages={"next": {"starting_after": "c2"}})
    assert parse(body, URL) == Envelope((), "c2", 1)


@pytest.mark.parametrize(("data", "contacts", "records"), [(None, [{}], 1), ([], None, 0), ([{}, {}], None, 2)])
def test_parse_accepts_records_under_the_contacts_key(data: Any, contacts: Any, records: int) -> None:
    """API versions 1.x name the list ``contacts``."""
    assert len(parse(page(data=data, contacts=contacts), URL).records) == records
    assert parse(b'{"contacts":[{"id":"9"}]}', URL).records == (b'{"id":"9"}',)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"{}",
        b'{"data":null}',
        b'{"data":{}}',
        b'{"data":"[]"}',
        b'{"data":[1]}',
        b'{"data":[null]}',
        b'{"data":[[]]}',
        b'{"data":[{}],"contacts":1}',
        b'{"data":[],"contacts":[{}]}',
        b'{"contacts":[{}],"data":[{}],"x":"\\ud800"}',
        b'{"errors":[]}',
        b"<!DOCTYPE html><html></html>",
        b"\xef\xbb\xbf" + page(),
        page().decode().encode("utf-16"),
        b'{"data":[{"name":"\xff"}]}',
        b'{"data":[{"name":"\xed\xa0\x80"}]}',
        b'{"data":[{"name":"a\nb"}]}',
        b'{"data":[{"n":NaN}]}',
        b'{"data":[{"n":-Infinity}]}',
        b'{"data":[],"total_count":NaN}',
        b'{"data":[],"pages":Infinity}',
        b'{"data":[{"n":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}]}",
        b'{"data":[],"pages":{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}}",
        b'{"data":[],"total_count":' + b"9" * 5_000 + b"}",
        b'{"data":[],"pages":{"next":{"starting_after":' + b"9" * 5_000 + b"}}}",
        page() + b"x",
        page() + page(),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_parse_of_invalid_page_raises_malformed_body(body: bytes) -> None:
    """A body that is not a page raises MalformedBody, never another exception."""
    with pytest.raises(MalformedBody):
        parse(body, URL)


@pytest.mark.parametrize("end", ["}]", ',"n":NaN}]}', "\x00}]}", '}],"pages":[]}', '},"NAME"]}', '}],"data":"NAME"}'])
def test_parse_error_does_not_quote_the_contact(end: str) -> None:
    """A traceback about a malformed page shows no data of its contacts."""
    with pytest.raises(MalformedBody) as caught:
        parse(f'{{"data":[{{"name":"{NAME}"{end.replace("NAME", NAME)}'.encode(), URL)
    assert NAME not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("count", "read"),
    [
        (0, 0),
        (2**53 - 1, 2**53 - 1),
        (2**53, None),  # more than a checkpoint can store
        (2**63, None),
        (-1, None),
        (None, None),
        ("7", None),
        (7.0, None),
        (True, None),
        ([], None),
    ],
)
def test_parse_ignores_an_invalid_total_count(count: Any, read: int | None) -> None:
    """An invalid count is treated as a missing one."""
    assert parse(page(total_count=count), URL).total_count == read


@pytest.mark.parametrize(
    ("cursor", "read"), [("c", "c"), ("+/=\n", "+/=\n"), ("日本", "日本"), (1700000000, "1700000000")]
)
def test_parse_accepts_text_and_integer_cursors(cursor: Any, read: str) -> None:
    """Text cursors stay unchanged; integers become their digits."""
    assert next_cursor_of({"starting_after": cursor}) == read


@pytest.mark.parametrize("cursor", [1.5, True, [], {}, ["c"], "\ud800", "a\udfff"])
def test_parse_refuses_a_cursor_that_cannot_be_sent(cursor: Any) -> None:
    """A cursor of another type, or with a lone surrogate, makes the page malformed."""
    with pytest.raises(MalformedBody):
        next_cursor_of({"starting_after": cursor})


@pytest.mark.parametrize("pages", [[], "x", 1, True, {"next": 5}, {"next": []}, {"next": True}])
def test_parse_refuses_unknown_shapes_of_pages(pages: Any) -> None:
    """The listing ends only with one of the known shapes."""
    with pytest.raises(MalformedBody):
        parse(page(pages=pages), URL)


@pytest.mark.parametrize(
    "url",
    [
        f"{URL}?per_page=50&page=3",
        f"{URL}?page=3#top",
        "/contacts?page=3",
        "contacts?page=3",
        "?page=3",
        "//api.intercom.io/contacts?page=3",
    ],
)
def test_parse_of_next_url_keeps_only_the_page_number(url: str) -> None:
    """Whether the URL is absolute or relative, only its page number is kept, on the listing's own URL."""
    assert next_cursor_of(url) == f"{URL}?page=3"


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_parse_decodes_the_cursor_in_a_next_url(cursor: str) -> None:
    """Any cursor in a URL is percent-decoded to the original text."""
    assert next_cursor_of(f"{URL}?per_page=150&starting_after={quote(cursor, safe='')}") == cursor
    assert next_cursor_of({"starting_after": cursor}) == cursor


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/contacts?page=2",
        "//evil.example/contacts?page=2",
        "http://api.intercom.io/contacts?page=2",
        "https://api.intercom.io:8443/contacts?page=2",
        "https://api.intercom.io.evil.example/contacts?page=2",
        "https://api.intercom.io@evil.example/contacts?page=2",
        "https://user:password@api.intercom.io/contacts?page=2",
        "https://api.intercom.io/users?page=2",
        "https://api.intercom.io/contacts/../users?page=2",
        "https://api.intercom.io/contacts/?page=2",
        "https://api.intercom.io/contacts;x?page=2",
        "users?page=2",
        "ftp://api.intercom.io/contacts?page=2",
        "file:///contacts?page=2",
        "javascript:alert(1)",
        "https://[::1/contacts?page=2",
        "https://api.intercom.io:port/contacts?page=2",
        URL,
        f"{URL}?per_page=50",
        f"{URL}?starting_after=",
        f"{URL}?page=2&x=\ud800",
    ],
)
def test_parse_refuses_a_next_url_outside_the_listing(url: str) -> None:
    """The client never sends the token to another URL from a body; a URL without a page is refused too."""
    with pytest.raises(MalformedBody):
        next_cursor_of(url)


def test_parse_of_next_url_supports_base_url_with_path_and_port() -> None:
    """A base URL with a port and a path works like any other."""
    url = "http://127.0.0.1:8080/intercom/contacts"
    assert next_cursor_of(f"{url}?page=2", url) == f"{url}?page=2"
    assert next_cursor_of("?page=2", url) == f"{url}?page=2"
    with pytest.raises(MalformedBody):
        next_cursor_of("/contacts?page=2", url)
