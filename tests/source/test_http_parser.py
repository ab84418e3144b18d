"""Responses as real servers send them: large heads, repeated lengths, in any pieces."""

import gzip
import zlib
from dataclasses import replace

import pytest

import exporter
from exporter.source.http_parser import MAX_HEAD_BYTES
from tests.support.clients import QUICK, client_of
from tests.support.server import RawServer, send

RETRY_POLICY = replace(QUICK, max_attempts=3)
PAGE = b'{"data":[{"id":"1"}],"pages":null}'


def response(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a complete response with a page; these lines stand before the one of its length."""
    head = b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"Content-Length: %d" % len(PAGE), b"", b""])
    return head + PAGE


def filled(size: int, line: bytes) -> bytes:
    """Return a response whose head has `size` bytes: as many lines as fit, and a last one that fills it up."""
    fixed = len(response()) - len(PAGE) + len(b"X: \r\n")
    count = (size - fixed) // (len(line) + 2)
    last = b"X: " + b"x" * (size - fixed - count * (len(line) + 2))
    filled = response(*[line] * count, last)
    assert len(filled) - len(PAGE) == size
    return filled


async def get(*pieces: bytes) -> tuple[exporter.Page, int]:
    """Ask for a page that a server sends in these pieces, each time; return it and how many requests that took."""
    async with RawServer(send(*pieces)) as server, client_of(server.base_url, RETRY_POLICY) as intercom:
        pages = intercom.pages()
        try:
            return await anext(pages), pages.traffic.requests
        except exporter.SourceError as error:
            error.add_note(f"{pages.traffic.requests} requests")
            raise


LINES = {
    "one large header": b"Set-Cookie: " + b"x" * 60_000,
    "headers above 8 kB": b"Content-Security-Policy: " + b"x" * 9_000,
    "many headers": b"X-A: a",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
async def test_response_with_headers_up_to_the_limit_is_accepted(line: bytes) -> None:
    """A head of 64 KiB passes, whether it is one header or thousands."""
    page, requests = await get(filled(MAX_HEAD_BYTES, line))
    assert (page.records, requests) == ((b'{"id":"1"}',), 1)


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
async def test_response_with_headers_beyond_the_limit_ends_at_once(line: bytes) -> None:
    """One byte more is a broken contract that says so; it is not tried again."""
    with pytest.raises(exporter.ContractError, match="response headers of more than 64 KiB") as caught:
        await get(filled(MAX_HEAD_BYTES + 1, line))
    assert caught.value.__notes__ == ["1 requests"]


@pytest.mark.parametrize("end", ["\r\n\r\n", "\n\n", "\r\n\n"], ids=repr)
async def test_response_in_two_pieces_is_whole(end: str) -> None:
    """Wherever a head is divided, interim responses and empty lines before it included, it arrives as one."""
    answer = b"\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(b"X-A: a").replace(
        b"\r\n\r\n", end.encode()
    )
    for at in range(1, len(answer)):
        page, requests = await get(answer[:at], answer[at:])
        assert (page.records, requests) == ((b'{"id":"1"}',), 1)


async def test_response_byte_by_byte_is_whole() -> None:
    """A head may drip."""
    answer = response(b"Content-Length: %d" % len(PAGE))
    page, requests = await get(*(answer[at : at + 1] for at in range(len(answer))))
    assert (page.records, requests) == ((b'{"id":"1"}',), 1)


LENGTH = b"%d" % len(PAGE)
EQUAL = {
    "twice": [b"Content-Length: " + LENGTH],
    "three times, spelled as servers do": [b"content-length:" + LENGTH, b"CONTENT-LENGTH:  " + LENGTH + b" "],
    "as a list": [b"Content-Length: " + LENGTH + b", " + LENGTH],
    "among others": [b"X-Content-Length: 9", b"Content-Length: " + LENGTH, b"X: content-length: 9"],
}
UNEQUAL = {
    "another one": [b"Content-Length: 9"],
    "a list with another one": [b"Content-Length: " + LENGTH + b", 9"],
    "another spelling of the number": [b"Content-Length: 0" + LENGTH],
    "nothing": [b"Content-Length:"],
    "letters": [b"Content-Length: many"],
}


@pytest.mark.parametrize("lines", EQUAL.values(), ids=EQUAL)
async def test_response_with_equal_lengths_is_accepted(lines: list[bytes]) -> None:
    """A length that a server and a proxy both write, or that is written as a list of equals, is one length."""
    page, requests = await get(response(*lines))
    assert (page.records, requests) == ((b'{"id":"1"}',), 1)


@pytest.mark.parametrize("lines", UNEQUAL.values(), ids=UNEQUAL)
async def test_response_with_unequal_lengths_is_refused(lines: list[bytes]) -> None:
    """Where lengths differ nobody knows where the body ends."""
    with pytest.raises(exporter.RetriesExhausted, match="sent a malformed response"):
        await get(response(*lines))


@pytest.mark.parametrize("filling", [b"\t", b" ", b"\r", b"1\t", b"content-length:"], ids=repr)
async def test_response_with_a_length_of_60_thousand_bytes_is_read_at_once(filling: bytes) -> None:
    """The time that a header takes grows with its length, not faster: at the square of it this test would not end."""
    line = b"Content-Length: 1" + filling * (60_000 // len(filling)) + b"\x01"
    with pytest.raises(exporter.RetriesExhausted, match="sent a malformed response"):
        await get(response(line))


async def test_response_with_equal_lengths_that_are_wrong_is_refused() -> None:
    """Lengths are still held against the body."""
    wrong = b"Content-Length: %d" % (len(PAGE) + 1)
    answer = b"HTTP/1.1 200 OK\r\n" + wrong + b"\r\n" + wrong + b"\r\n\r\n" + PAGE
    with pytest.raises(exporter.RetriesExhausted, match="closed it within a response"):
        await get(answer)


@pytest.mark.parametrize(
    ("begins", "error", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n", exporter.RetriesExhausted, "sent something that is not HTTP"),
        (b"RTSP/1.0 200 OK\r\n\r\n", exporter.RetriesExhausted, "sent something that is not HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", exporter.RetriesExhausted, "sent a malformed response"),
        (b"HTT", exporter.RetriesExhausted, "closed it without a response"),
        (b"\x15\x03\x03\0\x02\x02\x46", exporter.ApiError, "must begin with https://"),
        (b"\x16\x03\x03\0\x7a", exporter.ApiError, "must begin with https://"),
    ],
    ids=repr,
)
async def test_bytes_that_are_no_response_are_named(
    begins: bytes, error: type[exporter.SourceError], message: str
) -> None:
    """What is no HTTP may pass, TLS on a connection without it does not."""
    with pytest.raises(error, match=message) as caught:
        await get(begins)
    assert caught.value.__notes__ == ["1 requests" if error is exporter.ApiError else "3 requests"]


@pytest.mark.parametrize(
    "piece",
    [b"X: " + b"x" * 60_000 + b"\r\n", b"X-A: a\r\n" * 8_000],
    ids=["large trailers", "many trailers"],
)
async def test_trailers_without_an_end_are_cut_off(piece: bytes) -> None:
    """What follows a body costs no more than the headers before it may."""
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(PAGE), PAGE)
    with pytest.raises(exporter.RetriesExhausted, match="the connection failed"):
        await get(start, *[piece] * 60)


@pytest.mark.parametrize("status", [200, 201, 203, 207, 208, 226, 299])
async def test_success_with_a_page_is_a_page(status: int) -> None:
    """A proxy that changed something on the way says 203; the page is complete all the same."""
    page, requests = await get(response(status=b"%d Fine" % status))
    assert (page.records, requests) == ((b'{"id":"1"}',), 1)


@pytest.mark.parametrize("status", [202, 205, 206])
async def test_success_that_is_no_complete_page_is_tried_again(status: int) -> None:
    """Not ready yet, nothing, or a part: no page, whatever the body looks like."""
    with pytest.raises(exporter.ContractError, match=f"answered {status}"):
        await get(response(status=b"%d Not so fine" % status))


BODIES = {
    "mark": (b"\xef\xbb\xbf" + PAGE, b""),
    "x-gzip": (gzip.compress(PAGE), b"x-gzip"),
    "upper case": (gzip.compress(PAGE), b"GZIP"),
    "identity": (PAGE, b"identity"),
    "two members": (gzip.compress(PAGE[:9]) + gzip.compress(PAGE[9:]), b"gzip"),
    "twice": (gzip.compress(gzip.compress(PAGE)), b"gzip, gzip"),
    "twice, on two lines": (gzip.compress(gzip.compress(PAGE)), b"gzip\r\nContent-Encoding: gzip"),
    "mark within gzip": (gzip.compress(b"\xef\xbb\xbf" + PAGE), b"gzip"),
    "zlib": (zlib.compress(PAGE), b"deflate"),
}


@pytest.mark.parametrize(("body", "encoding"), BODIES.values(), ids=BODIES)
async def test_body_that_curl_would_take_is_taken(body: bytes, encoding: bytes) -> None:
    """Unusual but legal encodings of a complete page."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body))
    page, requests = await get(head + body)
    assert (page.records, requests) == ((b'{"id":"1"}',), 1)


async def test_refusal_with_a_mark_is_understood() -> None:
    """An error's code is found behind a byte-order mark too."""
    body = b'\xef\xbb\xbf{"errors":[{"code":"token_revoked"}]}'
    with pytest.raises(exporter.CredentialsError, match="401 token_revoked"):
        await get(b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
