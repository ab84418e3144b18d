"""The client's requests, and how it handles each response, on real connections."""

import asyncio
from urllib.parse import quote

import anyio
import pytest

import exporter
from tests.support.api import Api, Request
from tests.support.clients import TOKEN, client_of, first_page
from tests.support.server import RawServer, read_head


async def test_requests_carry_token_version_and_page_size() -> None:
    """Every request has token, version and encodings in its headers, and the page size in its query."""
    cursors = iter(["c2", "c3", None])
    async with Api(lambda request: request.page(next(cursors))) as server:
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
async def test_cursor_with_special_characters_arrives_unchanged(cursor: str) -> None:
    """Every character of a cursor that could mean something in a URL is percent-encoded."""
    async with Api(lambda request: request.page(cursor if request.number == 1 else None)) as server:
        async with client_of(server.base_url) as intercom:
            assert [page.next_cursor async for page in intercom.pages()] == [cursor, None]
    target = server.requests[1].target
    assert target == f"/contacts?per_page=150&starting_after={quote(cursor, safe='')}"
    assert server.requests[1].query["starting_after"] == cursor


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304, 300])
async def test_redirect_is_an_error_and_not_followed(status: int) -> None:
    """A redirect is an error, and the client does not connect to its target."""
    async with (
        Api(lambda request: request.page()) as elsewhere,
        Api(lambda request: request.reply(status, Location=f"{elsewhere.base_url}/contacts")) as server,
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
async def test_permanent_refusal_is_not_retried(status: int, kind: type[exporter.SourceError]) -> None:
    """The client sends a request that cannot succeed once, and the type of the error says what to do."""
    async with Api(lambda request: request.error(status, "some_code", "Some words", X_Request_Id="id-7")) as server:
        with pytest.raises(exporter.SourceError, match=f"{status} some_code: Some words") as caught:
            await first_page(server.base_url)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "some_code", "id-7")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 599])
async def test_transient_failure_is_retried_and_counted(status: int) -> None:
    """The client requests the same page again, and counts the failure by its status."""
    async with Api(lambda request: request.page() if request.number == 3 else request.reply(status)) as server:
        async with client_of(server.base_url) as intercom:
            pages = intercom.pages()
            assert (await anext(pages)).records == (b'{"id": "3-0"}',)
    assert pages.traffic.retries == {f"http_{status}": 2}
    assert pages.traffic.requests == len(server.requests) == 3
    assert {request.target for request in server.requests} == {"/contacts?per_page=150"}


async def test_persistent_failure_exhausts_the_attempts() -> None:
    """After the last attempt, the error reports the number of attempts and the time waited."""
    async with Api(lambda request: request.error(503, "unavailable", X_Request_Id=f"id-{request.number}")) as server:
        with pytest.raises(exporter.RetriesExhausted, match=r"503 unavailable.*gave up after 4 attempts") as caught:
            await first_page(server.base_url)
    assert (caught.value.attempts, caught.value.status, caught.value.request_id) == (4, 503, "id-4")
    assert 0 < caught.value.waited_s < 1
    assert len(server.requests) == 4


async def test_request_on_closed_keep_alive_connection_is_a_counted_retry() -> None:
    """Aiohttp repeats no request by itself: each request that the server receives is counted and reported."""
    async with Api(lambda r: None if r.number == 2 else r.page(f"c{r.number}")) as server:
        async with client_of(server.base_url) as intercom:
            pages = intercom.pages()
            await anext(pages)
            await anext(pages)
    assert len(server.requests) == pages.traffic.requests == 3
    assert pages.traffic.retries == {"network": 1}


async def test_retry_after_of_zero_still_backs_off() -> None:
    """The client ignores a Retry-After of 0: attempts without a wait would all meet the same failure."""
    waits: list[exporter.Event] = []
    async with Api(lambda r: r.page() if r.number == 3 else r.reply(429, Retry_After="0")) as server:
        async with client_of(server.base_url) as intercom:
            pages = intercom.pages(observer=waits.append)
            await anext(pages)
    retries = [event for event in waits if isinstance(event, exporter.RetryScheduled)]
    assert len(retries) == 2
    assert all(event.wait_s > 0 for event in retries)
    assert pages.traffic.retries == {"http_429": 2}


@pytest.mark.parametrize("retry_after", ["11", "999999999999999999999999"])
async def test_retry_after_longer_than_the_budget_fails_at_once(retry_after: str) -> None:
    """The client does not start a wait that is longer than the retry budget."""
    async with Api(lambda request: request.reply(503, Retry_After=retry_after)) as server:
        with pytest.raises(
            exporter.RetriesExhausted, match=r"it asks to wait [19]+ s; gave up after 1 attempt "
        ) as caught:
            await first_page(server.base_url)
    assert (caught.value.attempts, caught.value.waited_s) == (1, 0.0)
    assert len(server.requests) == 1


async def test_request_in_exhausted_window_waits_for_its_end() -> None:
    """If the announced window has no requests left, the next request waits for its end and reports the wait."""
    reset = {"X_RateLimit_Limit": "83", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1800000009"}
    date = "Fri, 15 Jan 2027 08:00:00 GMT"
    events: list[exporter.Event] = []

    def observe(event: exporter.Event) -> None:
        if isinstance(event, exporter.RateLimited):
            events.append(event)
            scope.cancel()

    async with Api(lambda request: request.page("c2", Date=date, **reset)) as server:
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


async def test_listings_started_together_send_one_request_until_its_response() -> None:
    """Listings that start at the same time send one request; its response says how many may follow."""
    release = asyncio.Event()

    async def respond(request: Request) -> bytes:
        if request.number == 1:
            await release.wait()
        return request.page()

    async with Api(respond) as server, client_of(server.base_url) as intercom, anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(anext, intercom.pages())
        while not server.requests:
            await anyio.lowlevel.checkpoint()
        for _ in range(200):
            await anyio.lowlevel.checkpoint()
        assert (len(server.requests), server.connections) == (1, 1)
        release.set()
    assert len(server.requests) == 8


@pytest.mark.parametrize("outcome", ["cancelled", "failed"])
async def test_first_request_without_response_does_not_block_the_others(outcome: str) -> None:
    """If the first request ends without a response, the client still sends the others."""
    arrived = asyncio.Event()

    async def respond(request: Request) -> bytes | None:
        if request.number > 1:
            return request.page()
        arrived.set()
        if outcome == "cancelled":
            await asyncio.sleep(60)
        return None

    async with Api(respond) as server, client_of(server.base_url) as intercom, anyio.create_task_group() as tasks:
        first = anyio.CancelScope()

        async def begin() -> None:
            with first:
                await anext(intercom.pages())

        tasks.start_soon(begin)
        await arrived.wait()
        tasks.start_soon(anext, intercom.pages())
        if outcome == "cancelled":
            first.cancel()
    assert len(server.requests) >= 2


@pytest.mark.parametrize("partial", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
async def test_cancelled_step_does_not_wait_for_a_silent_server(partial: bytes) -> None:
    """A cancelled step ends even if the server never responds, and closes its connection."""
    arrived = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(partial)
        arrived.set()
        await reader.read()

    async with RawServer(stall) as server, client_of(server.base_url) as intercom:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, intercom.pages())
            await arrived.wait()
            tasks.cancel_scope.cancel()
        await server.all_closed.wait()


async def test_client_block_closes_all_connections() -> None:
    """Leaving the block closes the connections of all its listings, finished or abandoned."""
    async with Api(lambda request: request.page("more" if request.number < 9 else None)) as server:
        async with client_of(server.base_url) as intercom:
            async for _ in intercom.pages():
                break
            async for _ in intercom.contacts():
                break
            assert server.open >= 1
        await server.all_closed.wait()
        with pytest.raises(exporter.ConfigError, match="inside its 'async with' block"):
            await anext(intercom.pages())


async def test_client_block_entered_twice_is_refused() -> None:
    """Entering the block a second time is refused, and the client stays usable."""
    async with Api(lambda request: request.page()) as server, client_of(server.base_url) as intercom:
        with pytest.raises(exporter.ConfigError, match="open already"):
            async with intercom:
                pass
        await anext(intercom.pages())


@pytest.mark.parametrize("proxy", ["user:S3CRET@proxy:3128", "socks5://user:S3CRET@proxy:1080", "http://", "http://[x"])
async def test_unusable_proxy_is_a_config_error(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that HTTP cannot use is refused at once, and the message does not contain its password."""
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(exporter.ConfigError, match="proxy") as caught:
        async with exporter.Intercom(TOKEN):
            pass
    assert "S3CRET" not in str(caught.value)


async def test_proxy_from_the_environment_is_used_for_other_machines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to other machines use the proxy from the environment variables; requests to this machine do not."""
    async with Api(lambda request: request.page()) as proxy, Api(lambda request: request.page()) as server:
        monkeypatch.setenv("http_proxy", proxy.base_url)
        async with exporter.Intercom(TOKEN, base_url="http://api.invalid", insecure_http=True) as intercom:
            await anext(intercom.pages())
        await first_page(server.base_url)
        assert [request.target for request in proxy.requests] == ["http://api.invalid/contacts?per_page=150"]
        assert len(server.requests) == 1
