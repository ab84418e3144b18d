"""What a page's JSON says: the shapes seen in the wild, and those that nobody may send."""

import json
import traceback
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.source.envelope import Envelope, MalformedBody, parse

URL = "https://api.intercom.io/contacts"
NAME = "grace hopper".title()  # so that it does not stand in this file, which a traceback quotes


def page(**fields: Any) -> bytes:
    """Give a page of one contact, with some fields set."""
    return json.dumps({"type": "list", "data": [{"id": "1"}], "total_count": 1, "pages": None} | fields).encode()


def next_of(following: Any, listing_url: str = URL) -> str | None:
    """Give the cursor read from a ``pages.next``."""
    return parse(page(pages={"type": "pages", "next": following, "per_page": 50}), listing_url).next_cursor


def test_a_page_gives_records_cursor_and_count() -> None:
    """The documented envelope is read whole."""
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
def test_each_shape_of_a_last_page_ends_the_listing(pages: Any) -> None:
    """A missing cursor, however it is missing, is the end."""
    assert parse(page(pages=pages), URL).next_cursor is None


def test_a_page_without_pages_is_the_last() -> None:
    """An envelope that says nothing of paging ends the listing."""
    assert parse(b'{"data":[]}', URL) == Envelope((), None, None)


def test_an_empty_page_with_a_cursor_goes_on() -> None:
    """Only the cursor decides whether there is more."""
    body = page(data=[], pages={"next": {"starting_after": "c2"}})
    assert parse(body, URL) == Envelope((), "c2", 1)


@pytest.mark.parametrize(("data", "contacts", "records"), [(None, [{}], 1), ([], None, 0), ([{}, {}], None, 2)])
def test_records_may_stand_under_contacts(data: Any, contacts: Any, records: int) -> None:
    """Version 1.x names the list after what is in it."""
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
def test_anything_else_is_a_broken_body(body: bytes) -> None:
    """Whatever cannot be a page is MalformedBody, never another exception."""
    with pytest.raises(MalformedBody):
        parse(body, URL)


@pytest.mark.parametrize("end", ["}]", ',"n":NaN}]}', "\x00}]}", '}],"pages":[]}', '},"NAME"]}', '}],"data":"NAME"}'])
def test_the_fault_is_named_without_the_contact(end: str) -> None:
    """A traceback of a broken page shows nothing of the contacts in it."""
    with pytest.raises(MalformedBody) as caught:
        parse(f'{{"data":[{{"name":"{NAME}"{end.replace("NAME", NAME)}'.encode(), URL)
    assert NAME not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("count", "read"),
    [
        (0, 0),
        (2**53 - 1, 2**53 - 1),
        (2**53, None),  # no checkpoint takes more: what is written down must be readable again
        (2**63, None),
        (-1, None),
        (None, None),
        ("7", None),
        (7.0, None),
        (True, None),
        ([], None),
    ],
)
def test_only_a_count_is_a_count(count: Any, read: int | None) -> None:
    """A count that cannot be one is as good as none: it is no proof of anything."""
    assert parse(page(total_count=count), URL).total_count == read


@pytest.mark.parametrize(
    ("cursor", "read"), [("c", "c"), ("+/=\n", "+/=\n"), ("日本", "日本"), (1700000000, "1700000000")]
)
def test_a_cursor_is_text_or_an_integer(cursor: Any, read: str) -> None:
    """Cursors are kept to the character; integers become their digits."""
    assert next_of({"starting_after": cursor}) == read


@pytest.mark.parametrize("cursor", [1.5, True, [], {}, ["c"], "\ud800", "a\udfff"])
def test_a_cursor_that_no_request_could_carry_is_refused(cursor: Any) -> None:
    """Another type, or half of a character, is a fault of the page."""
    with pytest.raises(MalformedBody):
        next_of({"starting_after": cursor})


@pytest.mark.parametrize("pages", [[], "x", 1, True, {"next": 5}, {"next": []}, {"next": True}])
def test_pages_of_another_shape_are_refused(pages: Any) -> None:
    """An end of the listing is only believed in one of its known shapes."""
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
def test_a_next_url_that_pages_by_number_is_reduced_to_the_page(url: str) -> None:
    """Absolute or relative, all that is kept of it is the page's number, on our own listing."""
    assert next_of(url) == f"{URL}?page=3"


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_cursor_in_a_next_url_is_unquoted(cursor: str) -> None:
    """A cursor comes out of a URL as it went in, whatever it holds."""
    assert next_of(f"{URL}?per_page=150&starting_after={quote(cursor, safe='')}") == cursor
    assert next_of({"starting_after": cursor}) == cursor


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
def test_a_next_url_that_leads_elsewhere_is_refused(url: str) -> None:
    """The token never follows a URL out of a body, and one that names no page is no end either."""
    with pytest.raises(MalformedBody):
        next_of(url)


def test_the_listing_may_live_below_a_path_and_a_port() -> None:
    """A base URL with a port and a path is a listing like any other."""
    url = "http://127.0.0.1:8080/intercom/contacts"
    assert next_of(f"{url}?page=2", url) == f"{url}?page=2"
    assert next_of("?page=2", url) == f"{url}?page=2"
    with pytest.raises(MalformedBody):
        next_of("/contacts?page=2", url)
