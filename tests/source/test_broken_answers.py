"""Answers that are cut, damaged, endless or no HTTP at all are never taken for a page."""

import asyncio
import gzip
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

import exporter
from exporter.source import body

TOKEN = "dG9rOnRlc3Q="
QUICK = exporter.RetryPolicy(request_timeout_s=20, initial_backoff_s=0.001, page_budget_s=10, max_attempts=4)
StartApi = Callable[[Callable[..., Any]], AbstractAsyncContextManager[Any]]
PAGE = b'{"data":[{"id":"1"}],"pages":null}'


def client_of(base_url: str, retry_policy: exporter.RetryPolicy = QUICK) -> exporter.Intercom:
    """Give a client that is quick to try again."""
    return exporter.Intercom(TOKEN, base_url=base_url, retry_policy=retry_policy)


async def first_page(base_url: str) -> exporter.Page:
    """Ask for one page."""
    async with client_of(base_url) as intercom:
        return await anext(intercom.pages())


async def test_a_lost_connection_is_tried_again(api: StartApi) -> None:
    """A connection that closes without an answer is a passing failure of the network."""
    async with api(lambda request: request.page() if request.number == 3 else None) as server:
        async with client_of(server.base_url) as intercom:
            pages = intercom.pages()
            await anext(pages)
    assert pages.traffic.retries == {"network": 2}
    assert len(server.requests) == 3


async def test_nobody_listening_exhausts_the_attempts() -> None:
    """A refused connection is a passing failure too, and has no status."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    with pytest.raises(exporter.RetriesExhausted, match="the connection failed") as caught:
        await first_page(f"http://127.0.0.1:{port}")
    assert (caught.value.status, caught.value.attempts) == (None, 4)


def chain_of(error: BaseException | None) -> list[str]:
    """Name an error and all it came from: those of aiohttp carry the request, and so the token."""
    names = []
    while error is not None:
        names.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    return names


SECRET = b'{"email":"secret@example.com"}'


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[{},%b" % SECRET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n" % SECRET,
        b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % SECRET,
        b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % SECRET,
        SECRET,
    ],
)
async def test_what_is_no_http_is_not_quoted(raw_server: StartApi, answer: bytes) -> None:
    """An answer that breaks HTTP fails without its contacts, and without the request, in any message or cause."""
    said: list[exporter.Event] = []

    async def begin(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    retry_policy = exporter.RetryPolicy(request_timeout_s=5, initial_backoff_s=0.001, max_attempts=3)
    async with raw_server(begin) as base_url, client_of(base_url, retry_policy) as intercom:
        pages = intercom.pages(observer=said.append)
        with pytest.raises(exporter.SourceError) as caught:
            await anext(pages)
    assert "secret" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {said}"
    assert set(chain_of(caught.value)) <= {"RetriesExhausted", "ContractError", "Transient", "MalformedBody"}


@pytest.mark.parametrize(
    ("head", "error", "status"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 100", exporter.CredentialsError, 401),
        (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n9", exporter.CredentialsError, 403),
        (b"HTTP/1.1 404 No\r\nContent-Encoding: gzip\r\nContent-Length: 2", exporter.ApiError, 404),
        (b"HTTP/1.1 502 No\r\nContent-Length: 100", exporter.RetriesExhausted, 502),
    ],
)
async def test_a_refusal_counts_whatever_its_body(
    raw_server: StartApi, head: bytes, error: type[exporter.SourceError], status: int
) -> None:
    """The status of a refusal is believed although its body is cut or nonsense."""

    async def begin(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head + b"\r\n\r\n{}")

    retry_policy = exporter.RetryPolicy(request_timeout_s=5, initial_backoff_s=0.001, max_attempts=2)
    async with raw_server(begin) as base_url, client_of(base_url, retry_policy) as intercom:
        pages = intercom.pages()
        with pytest.raises(error) as caught:
            await anext(pages)
    assert caught.value.status == status
    assert set(pages.traffic.retries) <= {"http_502"}


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
async def test_a_silent_server_times_out(raw_server: StartApi, begun: bytes) -> None:
    """The time-out covers the answer to its last byte."""

    async def begin(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await asyncio.sleep(60)

    retry_policy = exporter.RetryPolicy(request_timeout_s=0.05, initial_backoff_s=0.001, max_attempts=2)
    async with raw_server(begin) as base_url, client_of(base_url, retry_policy) as intercom:
        pages = intercom.pages()
        with pytest.raises(exporter.RetriesExhausted, match=r"no whole answer within 0\.05 s") as caught:
            await anext(pages)
    assert chain_of(caught.value) == ["RetriesExhausted", "Transient"]
    assert pages.traffic.retries == {"timeout": 1}


def zipped(content: bytes, cut: int | None = None) -> bytes:
    """Give a gzip answer with a correct length, its body cut."""
    packed = gzip.compress(content, mtime=0)[:cut]
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    return head.encode() + packed


def plain(content: bytes, status: str = "200 OK") -> bytes:
    """Give an answer with a correct length."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


BROKEN = {
    "empty": plain(b""),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "html": plain(b"<html></html>"),
    "cut inside an honest length": plain(PAGE[:-1]),
    "another shape": plain(b'{"data":5}'),
    "an error envelope": plain(b'{"type":"error.list","errors":[]}'),
    "accepted": plain(PAGE, "202 Accepted"),
    "closed early": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PAGE[:-1],
    "gzip cut": zipped(PAGE, -9),
    "gzip without its check": zipped(PAGE, -8),
    "another encoding": plain(PAGE).replace(b"OK\r\n", b"OK\r\nContent-Encoding: br\r\n"),
    "not gzip": plain(PAGE).replace(b"OK\r\n", b"OK\r\nContent-Encoding: gzip\r\n"),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_a_broken_page_is_retried_then_a_broken_contract(raw_server: StartApi, answer: bytes) -> None:
    """A 200 that is no page may pass; one that stays is reported as the API's fault."""

    async def reply(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with raw_server(reply) as base_url, client_of(base_url) as intercom:
        pages = intercom.pages()
        with pytest.raises(exporter.ContractError, match="gave up after 4 attempts"):
            await anext(pages)
    assert pages.traffic.requests == 4
    assert pages.traffic.retries == {"broken_body": 3}


@pytest.mark.parametrize(
    "answer",
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
async def test_broken_framing_is_a_failure_of_the_network(raw_server: StartApi, answer: bytes) -> None:
    """What is not HTTP, or ends before it said, is tried again and never taken for a page."""

    async def reply(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with raw_server(reply) as base_url, client_of(base_url) as intercom:
        pages = intercom.pages()
        with pytest.raises(exporter.RetriesExhausted, match="the connection failed"):
            await anext(pages)
    assert pages.traffic.retries == {"network": 3}


async def test_an_endless_body_is_cut_off(raw_server: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body over the limit is a broken contract, found while it is read."""
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 1 << 20)

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    async with raw_server(pour) as base_url, client_of(base_url) as intercom:
        pages = intercom.pages()
        with pytest.raises(exporter.ContractError, match="more than 1 MiB"):
            await anext(pages)
    assert pages.traffic.requests == 1


async def test_an_endless_refusal_is_judged_by_its_beginning(raw_server: StartApi) -> None:
    """Of an error's body no more is read than a message could need."""

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    async with raw_server(pour) as base_url:
        with pytest.raises(exporter.CredentialsError):
            await first_page(base_url)
