"""What leaves the socket, and what is made of each answer, on real connections."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import quote

import anyio
import pytest

import exporter

TOKEN = "dG9rOnRlc3Q="
QUICK = exporter.RetryPolicy(request_timeout_s=20, initial_backoff_s=0.001, page_budget_s=10, max_attempts=4)
StartApi = Callable[[Callable[..., Any]], AbstractAsyncContextManager[Any]]


def client_of(base_url: str, retry_policy: exporter.RetryPolicy = QUICK, **settings: Any) -> exporter.Intercom:
    """Give a client that is quick to try again."""
    return exporter.Intercom(TOKEN, base_url=base_url, retry_policy=retry_policy, **settings)


async def first_page(base_url: str, retry_policy: exporter.RetryPolicy = QUICK) -> exporter.Page:
    """Ask for one page."""
    async with client_of(base_url, retry_policy) as intercom:
        return await anext(intercom.pages())


async def test_a_request_says_who_asks_and_for_what(api: StartApi) -> None:
    """Token, version and encodings are in the headers, the page size in the query, of every request."""
    cursors = iter(["c2", "c3", None])
    async with api(lambda request: request.page(next(cursors))) as server:
        async with client_of(f"{server.base_url}/below/", api_version="2.9", per_page=7) as intercom:
            assert [page.number async for page in intercom.pages()] == [1, 2, 3]
    assert [request.target for request in server.requests] == [
        "/below/contacts?per_page=7",
        "/below/contacts?per_page=7&starting_after=c2",
        "/below/contacts?per_page=7&starting_after=c3",
    ]
    for request in server.requests:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["intercom-version"] == "2.9"
        assert request.headers["accept-encoding"] == "gzip, deflate"
        assert request.headers["accept"] == "application/json"
    assert server.connections == 1


@pytest.mark.parametrize(
    "cursor",
    ["a+b/c==\n", "日本 🙂", "a&per_page=1#x", "%2B%", "a b\tc", "?;:@$,'\"<>", "\x00\x7f", "../..", "e\u0301"],
)
async def test_a_cursor_arrives_as_it_was(api: StartApi, cursor: str) -> None:
    """Every character of a cursor that could mean something in a URL is percent-encoded."""
    async with api(lambda request: request.page(cursor if request.number == 1 else None)) as server:
        async with client_of(server.base_url) as intercom:
            assert [page.next_cursor async for page in intercom.pages()] == [cursor, None]
    target = server.requests[1].target
    assert target == f"/contacts?per_page=150&starting_after={quote(cursor, safe='')}"
    assert server.requests[1].query["starting_after"] == cursor


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304, 300])
async def test_no_redirect_is_followed(api: StartApi, status: int) -> None:
    """A redirect is an error, and where it leads to never sees a connection."""
    async with (
        api(lambda request: request.page()) as elsewhere,
        api(lambda request: request.reply(status, Location=f"{elsewhere.base_url}/contacts")) as server,
    ):
        with pytest.raises(exporter.ApiError, match="redirects are not followed") as caught:
            await first_page(server.base_url)
    assert caught.value.status == status
    assert (len(server.requests), elsewhere.connections) == (1, 0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, exporter.CredentialsError),
        (403, exporter.CredentialsError),
        *((status, exporter.ApiError) for status in (400, 402, 404, 405, 409, 410, 422, 451)),
    ],
)
async def test_a_refusal_ends_at_once(api: StartApi, status: int, kind: type[exporter.SourceError]) -> None:
    """What another attempt cannot mend is asked once, and says by its kind what to do."""
    async with api(lambda request: request.error(status, "some_code", "Some words", X_Request_Id="id-7")) as server:
        with pytest.raises(exporter.SourceError, match=f"{status} some_code: Some words") as caught:
            await first_page(server.base_url)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "some_code", "id-7")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 599])
async def test_a_passing_failure_is_tried_again(api: StartApi, status: int) -> None:
    """The same page is asked for again, and the failure is counted by its status."""
    async with api(lambda request: request.page() if request.number == 3 else request.reply(status)) as server:
        async with client_of(server.base_url) as intercom:
            pages = intercom.pages()
            assert (await anext(pages)).records == (b'{"id": "3-0"}',)
    assert pages.traffic.retries == {f"http_{status}": 2}
    assert pages.traffic.requests == len(server.requests) == 3
    assert {request.target for request in server.requests} == {"/contacts?per_page=150"}


async def test_a_failure_that_stays_exhausts_the_attempts(api: StartApi) -> None:
    """After the last attempt the error says how many there were and how long they waited."""
    async with api(lambda request: request.error(503, "unavailable", X_Request_Id=f"id-{request.number}")) as server:
        with pytest.raises(exporter.RetriesExhausted, match=r"503 unavailable.*gave up after 4 attempts") as caught:
            await first_page(server.base_url)
    assert (caught.value.attempts, caught.value.status, caught.value.request_id) == (4, 503, "id-4")
    assert 0 < caught.value.waited_s < 1
    assert len(server.requests) == 4


async def test_a_kept_connection_that_was_closed_is_a_retry_that_counts(api: StartApi) -> None:
    """No request is sent again behind our back: each one that the server sees is counted, and told of."""
    async with api(lambda r: None if r.number == 2 else r.page(f"c{r.number}")) as server:
        async with client_of(server.base_url) as intercom:
            pages = intercom.pages()
            await anext(pages)
            await anext(pages)
    assert len(server.requests) == pages.traffic.requests == 3
    assert pages.traffic.retries == {"network": 1}


async def test_a_wait_of_nothing_is_no_leave_to_hammer(api: StartApi) -> None:
    """A Retry-After of 0 is no advice: twenty attempts in an instant would outlast nothing."""
    waits: list[exporter.Event] = []
    async with api(lambda r: r.page() if r.number == 3 else r.reply(429, Retry_After="0")) as server:
        async with client_of(server.base_url) as intercom:
            pages = intercom.pages(observer=waits.append)
            await anext(pages)
    retries = [event for event in waits if isinstance(event, exporter.RetryScheduled)]
    assert len(retries) == 2
    assert all(event.wait_s > 0 for event in retries)
    assert pages.traffic.retries == {"http_429": 2}


@pytest.mark.parametrize("retry_after", ["11", "999999999999999999999999"])
async def test_a_wait_beyond_the_retry_budget_ends_at_once(api: StartApi, retry_after: str) -> None:
    """Nobody waits for a time that is longer than he would wait in all."""
    async with api(lambda request: request.reply(503, Retry_After=retry_after)) as server:
        with pytest.raises(
            exporter.RetriesExhausted, match=r"it asks to wait [19]+ s; gave up after 1 attempt "
        ) as caught:
            await first_page(server.base_url)
    assert (caught.value.attempts, caught.value.waited_s) == (1, 0.0)
    assert len(server.requests) == 1


async def test_a_used_up_window_is_waited_for(api: StartApi) -> None:
    """With nothing left of the announced window the next request waits for its end, and says so."""
    reset = {"X_RateLimit_Limit": "83", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1800000009"}
    date = "Fri, 15 Jan 2027 08:00:00 GMT"
    events: list[exporter.Event] = []

    def observe(event: exporter.Event) -> None:
        if isinstance(event, exporter.RateLimited):
            events.append(event)
            scope.cancel()

    async with api(lambda request: request.page("c2", Date=date, **reset)) as server:
        async with client_of(server.base_url) as intercom:
            pages = intercom.pages()
            with anyio.CancelScope() as scope:
                pages.traffic.observer = observe
                await anext(pages)
                await anext(pages)
    assert scope.cancelled_caught
    (event,) = events
    assert isinstance(event, exporter.RateLimited)
    assert event.window_limit == 83
    assert 8 < event.wait_s <= 9
    assert pages.traffic.rate_limit_wait_s == event.wait_s
    assert len(server.requests) == 1


async def test_until_the_first_answer_one_request_is_sent(api: StartApi) -> None:
    """Many listings that begin at once send one request, until its answer says how many may follow."""
    release = asyncio.Event()

    async def answer(request: Any) -> bytes:
        if request.number == 1:
            await release.wait()
        return bytes(request.page())

    async with api(answer) as server, client_of(server.base_url) as intercom, anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(anext, intercom.pages())
        while not server.requests:
            await anyio.lowlevel.checkpoint()
        for _ in range(200):
            await anyio.lowlevel.checkpoint()
        assert (len(server.requests), server.connections) == (1, 1)
        release.set()
    assert len(server.requests) == 8


@pytest.mark.parametrize("fate", ["cancelled", "failed"])
async def test_the_first_request_blocks_nobody_for_good(api: StartApi, fate: str) -> None:
    """When the first request ends without an answer, the others leave all the same."""
    arrived = asyncio.Event()

    async def answer(request: Any) -> bytes | None:
        if request.number > 1:
            return bytes(request.page())
        arrived.set()
        if fate == "cancelled":
            await asyncio.sleep(60)
        return None

    async with api(answer) as server, client_of(server.base_url) as intercom, anyio.create_task_group() as tasks:
        first = anyio.CancelScope()

        async def begin() -> None:
            with first:
                await anext(intercom.pages())

        tasks.start_soon(begin)
        await arrived.wait()
        tasks.start_soon(anext, intercom.pages())
        if fate == "cancelled":
            first.cancel()
    assert len(server.requests) >= 2


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
async def test_cancelling_does_not_wait_for_a_silent_server(raw_server: StartApi, begun: bytes) -> None:
    """A cancelled step ends although the server never answers, and closes its connection."""
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        arrived.set()
        await reader.read()
        gone.set()

    async with raw_server(begin) as base_url, client_of(base_url) as intercom:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, intercom.pages())
            await arrived.wait()
            tasks.cancel_scope.cancel()
        await gone.wait()


async def test_nothing_is_open_after_the_block(api: StartApi) -> None:
    """Leaving the block closes the connections of all its listings, finished or dropped."""
    async with api(lambda request: request.page("more" if request.number < 9 else None)) as server:
        async with client_of(server.base_url) as intercom:
            async for _ in intercom.pages():
                break
            async for _ in intercom.contacts():
                break
            assert server.open >= 1
        await server.all_closed.wait()
        with pytest.raises(exporter.ConfigError, match="inside its 'async with' block"):
            await anext(intercom.pages())


async def test_a_block_is_entered_once(api: StartApi) -> None:
    """Entering the block a second time is refused, and harms nothing."""
    async with api(lambda request: request.page()) as server, client_of(server.base_url) as intercom:
        with pytest.raises(exporter.ConfigError, match="open already"):
            async with intercom:
                pass
        await anext(intercom.pages())


@pytest.mark.parametrize("proxy", ["user:S3CRET@proxy:3128", "socks5://user:S3CRET@proxy:1080", "http://", "http://[x"])
async def test_an_unusable_proxy_is_a_matter_of_configuration(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that HTTP cannot go through is refused at once, and its password is not shown."""
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(exporter.ConfigError, match="proxy") as caught:
        async with exporter.Intercom(TOKEN):
            pass
    assert "S3CRET" not in str(caught.value)


async def test_the_environments_proxy_is_used(api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to other machines go through the proxy that the usual variables name, those to this one do not."""
    async with api(lambda request: request.page()) as proxy, api(lambda request: request.page()) as server:
        monkeypatch.setenv("http_proxy", proxy.base_url)
        async with exporter.Intercom(TOKEN, base_url="http://api.invalid", insecure_http=True) as intercom:
            await anext(intercom.pages())
        await first_page(server.base_url)
        assert [request.target for request in proxy.requests] == ["http://api.invalid/contacts?per_page=150"]
        assert len(server.requests) == 1
