"""HTTP responses of real servers: large headers, repeated lengths, and any division into pieces."""

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
    """Return a complete response with a page; put these lines before its Content-Length."""
    head = b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"Content-Length: %d" % len(PAGE), b"", b""])
    return head + PAGE


def response_with_head_of(size: int, line: bytes) -> bytes:
    """Return a response whose head has `size` bytes: as many lines as fit, and a last one that fills the rest."""
    fixed = len(response()) - len(PAGE) + len(b"X: \r\n")
    count = (size - fixed) // (len(line) + 2)
    last = b"X: " + b"x" * (size - fixed - count * (len(line) + 2))
    content = response(*[line] * count, last)
    assert len(content) - len(PAGE) == size
    return content


async def get(*pieces: bytes) -> tuple[exporter.Page, int]:
    """Request a page from a server that sends these pieces each time; return the page and the number of requests."""
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
    """A head of 64 KiB is accepted, whether it has one header or thousands."""
    page, requests = await get(response_with_head_of(MAX_HEAD_BYTES, line))
    assert (page.records, requests) == ((b'{"id":"1"}',), 1)


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
async def test_response_with_headers_over_the_limit_fails_without_retry(line: bytes) -> None:
    """One byte more is a contract error, and the client does not retry."""
    with pytest.raises(exporter.ContractError, match="response headers of more than 64 KiB") as caught:
        await get(response_with_head_of(MAX_HEAD_BYTES + 1, line))
    assert caught.value.__notes__ == ["1 requests"]


@pytest.mark.parametrize("end", ["\r\n\r\n", "\n\n", "\r\n\n"], ids=repr)
async def test_response_in_two_pieces_is_complete(end: str) -> None:
    """A response may be divided at any byte, also within interim responses and empty lines before it."""
    raw_response = b"\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(b"X-A: a").replace(
        b"\r\n\r\n", end.encode()
    )
    for at in range(1, len(raw_response)):
        page, requests = await get(raw_response[:at], raw_response[at:])
        assert (page.records, requests) == ((b'{"id":"1"}',), 1)


async def test_response_sent_byte_by_byte_is_complete() -> None:
    """Each byte may arrive alone."""
    raw_response = response(b"Content-Length: %d" % len(PAGE))
    page, requests = await get(*(raw_response[at : at + 1] for at in range(len(raw_response))))
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
async def test_response_with_equal_content_lengths_is_accepted(lines: list[bytes]) -> None:
    """A length that a server and a proxy both write, or a list of equal lengths, counts as one length."""
    page, requests = await get(response(*lines))
    assert (page.records, requests) == ((b'{"id":"1"}',), 1)


@pytest.mark.parametrize("lines", UNEQUAL.values(), ids=UNEQUAL)
async def test_response_with_different_or_invalid_lengths_is_refused(lines: list[bytes]) -> None:
    """If the lengths differ, the end of the body is unknown."""
    with pytest.raises(exporter.RetriesExhausted, match="sent a malformed response"):
        await get(response(*lines))


@pytest.mark.parametrize("filling", [b"\t", b" ", b"\r", b"1\t", b"content-length:"], ids=repr)
async def test_response_with_content_length_header_of_60_kb_is_refused(filling: bytes) -> None:
    """Parsing takes linear time: with quadratic time, this test would not end."""
    line = b"Content-Length: 1" + filling * (60_000 // len(filling)) + b"\x01"
    with pytest.raises(exporter.RetriesExhausted, match="sent a malformed response"):
        await get(response(line))


async def test_response_with_equal_but_wrong_lengths_is_refused() -> None:
    """The parser still compares the lengths with the body."""
    wrong = b"Content-Length: %d" % (len(PAGE) + 1)
    raw_response = b"HTTP/1.1 200 OK\r\n" + wrong + b"\r\n" + wrong + b"\r\n\r\n" + PAGE
    with pytest.raises(exporter.RetriesExhausted, match="closed it within a response"):
        await get(raw_response)


@pytest.mark.parametrize(
    ("start", "error", "message"),
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
async def test_error_for_bytes_that_are_not_http_describes_them(
    start: bytes, error: type[exporter.SourceError], message: str
) -> None:
    """The client retries after bytes that are not HTTP; TLS on a plain connection is a permanent error."""
    with pytest.raises(error, match=message) as caught:
        await get(start)
    assert caught.value.__notes__ == ["1 requests" if error is exporter.ApiError else "3 requests"]


@pytest.mark.parametrize(
    "piece",
    [b"X: " + b"x" * 60_000 + b"\r\n", b"X-A: a\r\n" * 8_000],
    ids=["large trailers", "many trailers"],
)
async def test_response_with_endless_trailers_fails(piece: bytes) -> None:
    """Trailers may not be larger than headers."""
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(PAGE), PAGE)
    with pytest.raises(exporter.RetriesExhausted, match="the connection failed"):
        await get(start, *[piece] * 60)


@pytest.mark.parametrize("status", [200, 201, 203, 207, 208, 226, 299])
async def test_success_status_with_a_complete_page_is_accepted(status: int) -> None:
    """A proxy that modifies a response sends 203; the page is still complete."""
    page, requests = await get(response(status=b"%d Fine" % status))
    assert (page.records, requests) == ((b'{"id":"1"}',), 1)


@pytest.mark.parametrize("status", [202, 205, 206])
async def test_status_202_205_or_206_is_a_contract_error(status: int) -> None:
    """They mean not ready, no content, or a part: their body is never accepted as a page."""
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
async def test_body_with_unusual_legal_encoding_is_accepted(body: bytes, encoding: bytes) -> None:
    """As curl does, the client accepts unusual but legal encodings of a complete page."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body))
    page, requests = await get(head + body)
    assert (page.records, requests) == ((b'{"id":"1"}',), 1)


async def test_refusal_with_byte_order_mark_keeps_its_error_code() -> None:
    """The parser finds an error's code after a byte-order mark."""
    body = b'\xef\xbb\xbf{"errors":[{"code":"token_revoked"}]}'
    with pytest.raises(exporter.CredentialsError, match="401 token_revoked"):
        await get(b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
