"""Responses that are truncated, damaged, endless or not HTTP at all are never accepted as a page."""

import pytest

import exporter
from exporter.source import body
from tests.support.api import Api
from tests.support.clients import client_of, first_page
from tests.support.responses import gzip_response, response
from tests.support.server import End, RawServer, send

CHUNK = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
PAGE = b'{"data":[{"id":"1"}],"pages":null}'


async def test_pages_after_lost_connection_are_retried() -> None:
    """A connection that closes without a response is a transient network failure."""
    async with Api(lambda request: request.page() if request.number == 3 else None) as server:
        async with client_of(server.base_url) as intercom:
            pages = intercom.pages()
            await anext(pages)
    assert pages.traffic.retries == {"network": 2}
    assert len(server.requests) == 3


async def test_pages_from_closed_port_exhaust_the_attempts() -> None:
    """A refused connection is a transient failure too, and has no status."""
    async with RawServer(send()) as server:
        pass
    with pytest.raises(exporter.RetriesExhausted, match="the connection failed") as caught:
        await first_page(server.base_url)
    assert (caught.value.status, caught.value.attempts) == (None, 4)


def exception_chain(error: BaseException | None) -> list[str]:
    """List the types of an error and of all its causes: aiohttp's errors contain the request, and so the token."""
    names = []
    while error is not None:
        names.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    return names


SECRET = b'{"email":"secret@example.com"}'


@pytest.mark.parametrize(
    "raw_response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[{},%b" % SECRET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n" % SECRET,
        b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % SECRET,
        b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % SECRET,
        SECRET,
    ],
)
async def test_error_about_malformed_http_quotes_no_contact(raw_response: bytes) -> None:
    """No message, cause or event about malformed HTTP contains a contact or the request."""
    events: list[exporter.Event] = []

    retry_policy = exporter.RetryPolicy(request_timeout_s=5, initial_backoff_s=0.001, max_attempts=3)
    async with RawServer(send(raw_response)) as server, client_of(server.base_url, retry_policy) as intercom:
        pages = intercom.pages(observer=events.append)
        with pytest.raises(exporter.SourceError) as caught:
            await anext(pages)
    assert "secret" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {events}"
    assert set(exception_chain(caught.value)) <= {"RetriesExhausted", "ContractError", "Transient", "MalformedBody"}


@pytest.mark.parametrize(
    ("head", "error", "status"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 100", exporter.CredentialsError, 401),
        (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n9", exporter.CredentialsError, 403),
        (b"HTTP/1.1 404 No\r\nContent-Encoding: gzip\r\nContent-Length: 2", exporter.ApiError, 404),
        (b"HTTP/1.1 502 No\r\nContent-Length: 100", exporter.RetriesExhausted, 502),
    ],
)
async def test_refusal_with_malformed_body_is_classified_by_its_status(
    head: bytes, error: type[exporter.SourceError], status: int
) -> None:
    """The status of a refusal decides, even if its body is truncated or malformed."""
    retry_policy = exporter.RetryPolicy(request_timeout_s=5, initial_backoff_s=0.001, max_attempts=2)
    async with RawServer(send(head + b"\r\n\r\n{}")) as server, client_of(server.base_url, retry_policy) as intercom:
        pages = intercom.pages()
        with pytest.raises(error) as caught:
            await anext(pages)
    assert caught.value.status == status
    assert set(pages.traffic.retries) <= {"http_502"}


@pytest.mark.parametrize("partial", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
async def test_pages_from_silent_server_time_out(partial: bytes) -> None:
    """The timeout covers the complete response."""
    retry_policy = exporter.RetryPolicy(request_timeout_s=0.05, initial_backoff_s=0.001, max_attempts=2)
    async with RawServer(send(partial, end="stall")) as server, client_of(server.base_url, retry_policy) as intercom:
        pages = intercom.pages()
        with pytest.raises(exporter.RetriesExhausted, match=r"no complete response within 0\.05 s") as caught:
            await anext(pages)
    assert exception_chain(caught.value) == ["RetriesExhausted", "Transient"]
    assert pages.traffic.retries == {"timeout": 1}


MALFORMED_PAGES = {
    "empty": response(b""),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "html": response(b"<html></html>"),
    "cut inside an honest length": response(PAGE[:-1]),
    "another shape": response(b'{"data":5}'),
    "an error envelope": response(b'{"type":"error.list","errors":[]}'),
    "accepted": response(PAGE, status="202 Accepted"),
    "closed early": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PAGE[:-1],
    "gzip cut": gzip_response(PAGE, -9),
    "gzip without its check": gzip_response(PAGE, -8),
    "another encoding": response(PAGE, "Content-Encoding: br"),
    "not gzip": response(PAGE, "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("raw_response", MALFORMED_PAGES.values(), ids=MALFORMED_PAGES)
async def test_persistent_malformed_page_is_a_contract_error_after_retries(raw_response: bytes) -> None:
    """The client retries a 200 without a valid page, and raises ContractError if no attempt succeeds."""
    async with RawServer(send(raw_response)) as server, client_of(server.base_url) as intercom:
        pages = intercom.pages()
        with pytest.raises(exporter.ContractError, match="gave up after 4 attempts"):
            await anext(pages)
    assert pages.traffic.requests == 4
    assert pages.traffic.retries == {"broken_body": 3}


@pytest.mark.parametrize(
    "raw_response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + PAGE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n22\r\n" + PAGE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + PAGE,
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + PAGE,
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"\x00\xff\r\n\r\n",
    ],
    ids=["short", "cut chunks", "bad chunks", "bad length", "another protocol", "noise"],
)
async def test_response_with_malformed_framing_is_retried_as_network_failure(raw_response: bytes) -> None:
    """A response that is not HTTP, or is truncated, is retried and never accepted as a page."""
    async with RawServer(send(raw_response)) as server, client_of(server.base_url) as intercom:
        pages = intercom.pages()
        with pytest.raises(exporter.RetriesExhausted, match="the connection failed"):
            await anext(pages)
    assert pages.traffic.retries == {"network": 3}


@pytest.mark.parametrize("end", ["close", "half-close", "reset"])
async def test_response_truncated_by_the_server_is_retried_as_network_failure(end: End) -> None:
    """However the server ends the connection, the client requests the page again, each time on a new connection."""
    partial = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + PAGE
    async with RawServer(send(partial, end=end)) as server, client_of(server.base_url) as intercom:
        pages = intercom.pages()
        with pytest.raises(exporter.RetriesExhausted, match="the connection failed"):
            await anext(pages)
    assert pages.traffic.retries == {"network": 3}
    assert server.connections == server.received.count(b"GET /contacts?per_page=") == 4


async def test_endless_body_is_a_contract_error_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body larger than the limit is a contract error, which the client detects while it reads."""
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 1 << 20)

    async with (
        RawServer(send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", endless=CHUNK)) as server,
        client_of(server.base_url) as intercom,
    ):
        pages = intercom.pages()
        with pytest.raises(exporter.ContractError, match="more than 1 MiB"):
            await anext(pages)
    assert pages.traffic.requests == 1


async def test_refusal_with_endless_body_is_classified_by_its_status() -> None:
    """The client reads no more of an error's body than a message needs."""
    async with RawServer(
        send(b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n", endless=CHUNK)
    ) as server:
        with pytest.raises(exporter.CredentialsError):
            await first_page(server.base_url)
