"""Prefetch: the client requests the next page before it parses the current one, and cancels a wrong request."""

import asyncio
import gc
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter
from exporter.source.envelope import peek_next_cursor
from exporter.source.loop_guard import LoopGuard
from tests.support.api import Api, Request
from tests.support.clients import client_of
from tests.support.waiting import until


def cursors_of(server: Api) -> list[str | None]:
    """List the cursors of the requests."""
    return [request.query.get("starting_after") for request in server.requests]


def prefetching_pages(intercom: exporter.Intercom, contacts: float = math.inf) -> Any:
    """Start a listing that prefetches while the caller needs this many contacts."""
    pages = intercom.pages()
    pages.contacts_needed = contacts
    return pages


async def test_prefetch_requests_one_page_ahead() -> None:
    """After each step, exactly one request is ahead while more contacts are needed."""
    async with (
        Api(lambda r: r.page(f"c{r.number}" if r.number < 4 else None)) as server,
        client_of(server.base_url) as intercom,
    ):
        pages = prefetching_pages(intercom)
        for number in (1, 2, 3):
            assert (await anext(pages)).records == (f'{{"id": "{number}-0"}}'.encode(),)
            await until(lambda number=number: len(server.requests) > number)  # type: ignore[misc]
            await asyncio.sleep(0.01)
            assert len(server.requests) == number + 1
        assert (await anext(pages)).next_cursor is None
        with pytest.raises(StopAsyncIteration):
            await anext(pages)
        assert cursors_of(server) == [None, "c1", "c2", "c3"]
        assert (pages.traffic.requests, pages.traffic.retries) == (4, {})
        assert server.connections == 1


@pytest.mark.parametrize(("limit", "requests"), [(1, 1), (149, 1), (150, 1), (151, 2), (300, 2), (301, 3)])
async def test_prefetch_with_a_limit_sends_no_extra_request(tmp_path: Path, limit: int, requests: int) -> None:
    """The client does not request pages beyond max_contacts."""
    async with (
        exporter.Sandbox(contacts=1_000) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom,
    ):
        summary = await exporter.export(intercom, tmp_path / "c.ndjson", max_contacts=limit)
        assert (summary.contacts, summary.requests, sandbox.requests) == (limit, requests, requests)


async def test_listing_without_prefetch_sends_one_request_per_step() -> None:
    """The client does not prefetch, because the caller did not set contacts_needed."""
    async with Api(lambda r: r.page(f"c{r.number}")) as server, client_of(server.base_url) as intercom:
        pages = intercom.pages()
        for number in (1, 2, 3):
            await anext(pages)
            await asyncio.sleep(0.01)
            assert len(server.requests) == number


async def test_prefetch_after_malformed_page_is_discarded() -> None:
    """A malformed page had a readable cursor: the client requests that page again, and then the next one."""
    broken = {1, 4}

    def respond(request: Request) -> bytes:
        if request.number in broken:
            return request.reply(200, '{"data":[{"id":"1"},{"id":],"pages":{"next":{"starting_after":"c"}}}')
        return request.page(None if request.query.get("starting_after") == "d" else "cd"[request.number > 3])

    async with Api(respond) as server, client_of(server.base_url) as intercom:
        pages = prefetching_pages(intercom)
        first = await anext(pages)
        second = await anext(pages)
        third = await anext(pages)
        assert [page.next_cursor for page in (first, second, third)] == ["c", "d", None]
        assert pages.traffic.retries["broken_body"] == 2
        assert [cursor for cursor in cursors_of(server) if cursor is None] == [None, None]


async def test_prefetch_with_wrong_cursor_is_discarded() -> None:
    """The client first mistakes a value in a contact for the cursor, and never uses the page of that value."""
    attributes = {"starting_after": "wrong"}

    def respond(request: Request) -> bytes:
        cursor = request.query.get("starting_after")
        if cursor == "wrong":
            return request.page("circle")
        following = {"next": {"starting_after": "right"}} if cursor is None else None
        contacts = [{"id": f"{cursor} {number}", "custom_attributes": attributes} for number in (1, 2)]
        return request.reply(200, json.dumps({"pages": following, "data": contacts}))

    async with Api(respond) as server, client_of(server.base_url) as intercom:
        pages = [page async for page in prefetching_pages(intercom)]
        assert [page.next_cursor for page in pages] == ["right", None]
        ids = [json.loads(record)["id"] for page in pages for record in page.records]
        assert ids == ["None 1", "None 2", "right 1", "right 2"]
        assert set(cursors_of(server)) == {None, "wrong", "right"}


@pytest.mark.parametrize(("status", "error"), [(401, exporter.CredentialsError), (404, exporter.CursorError)])
async def test_prefetched_refusal_is_raised_at_its_own_step(status: int, error: type[Exception]) -> None:
    """The listing yields the page before the refusal, then raises, then requests the refused page again."""

    def respond(request: Request) -> bytes:
        return request.error(status, "no") if request.number == 2 else request.page(f"c{request.number}")

    async with Api(respond) as server, client_of(server.base_url) as intercom:
        pages = prefetching_pages(intercom)
        assert (await anext(pages)).number == 1
        with pytest.raises(error):
            await anext(pages)
        assert (await anext(pages)).number == 2
        await until(lambda: len(server.requests) == 4)
        assert cursors_of(server) == [None, "c1", "c1", "c3"]


async def test_prefetched_failures_count_as_retries_of_their_page() -> None:
    """A prefetch is the page's first attempt: three 5xx halve the page size, as they do without prefetch."""

    def respond(request: Request) -> bytes:
        if request.number in (2, 3, 4):
            return request.error(503, "no")
        return request.page(None if request.number == 5 else "c")

    retry_policy = exporter.RetryPolicy(initial_backoff_s=0.001, max_attempts=5)
    async with Api(respond) as server, client_of(server.base_url, retry_policy=retry_policy) as intercom:
        pages = prefetching_pages(intercom)
        assert [page.number async for page in pages] == [1, 2]
        assert pages.traffic.retries == {"http_503": 3}
        assert cursors_of(server) == [None, "c", "c", "c", "c"]
        assert [request.query["per_page"] for request in server.requests] == ["150", "150", "150", "150", "75"]


async def test_prefetch_of_a_known_cursor_is_not_sent() -> None:
    """A cursor loop ends without a request for a page that was already read."""
    async with Api(lambda r: r.page("AB"[r.number % 2])) as server, client_of(server.base_url) as intercom:
        pages = prefetching_pages(intercom)
        with pytest.raises(exporter.ContractError, match="circle"):
            _ = [page async for page in pages]
        assert cursors_of(server) == [None, "B", "A"]


async def test_cancelled_step_cancels_its_request() -> None:
    """A cancelled step leaves no request behind; the next step requests the same page."""
    never = asyncio.Event()

    async def respond(request: Request) -> bytes:
        if request.number == 2:
            await never.wait()
        return request.page(f"c{request.number}" if request.number < 3 else None)

    async with Api(respond) as server, client_of(server.base_url) as intercom:
        pages = prefetching_pages(intercom)
        await anext(pages)
        await until(lambda: len(server.requests) == 2)
        with anyio.move_on_after(0.01):
            await anext(pages)
        assert (await anext(pages)).number == 2
        assert cursors_of(server) == [None, "c1", "c1"]


@pytest.mark.parametrize("ending", ["aclose", "dropped"])
async def test_listing_left_early_leaves_no_request(ending: str) -> None:
    """A request for a page that is no longer needed ends with the listing, or with the client."""
    never, before = asyncio.Event(), asyncio.all_tasks()

    async def respond(request: Request) -> bytes:
        if request.number == 2:
            await never.wait()
        return request.page("c")

    async with Api(respond) as server:
        async with client_of(server.base_url) as intercom:
            pages = prefetching_pages(intercom)
            await anext(pages)
            await until(lambda: len(server.requests) == 2)
            if ending == "aclose":
                await pages.aclose()
                assert not intercom.client._prefetched
            else:
                del pages
        assert not intercom.client._prefetched
        never.set()  # only now the server notices that the connection is closed
        with anyio.fail_after(10):
            await server.all_closed.wait()
    assert asyncio.all_tasks() <= before


async def test_waiting_step_raises_when_the_client_closes() -> None:
    """If another task closes the client, the waiting step raises ConfigError and is not cancelled."""
    never = asyncio.Event()

    async def respond(request: Request) -> bytes:
        if request.number == 2:
            await never.wait()
        return request.page("c")

    async with Api(respond) as server:
        async with client_of(server.base_url) as intercom:
            pages = prefetching_pages(intercom)
            await anext(pages)
            step = asyncio.create_task(anext(pages))
            await until(lambda: len(server.requests) == 2)
        with pytest.raises(exporter.ConfigError, match="closed"):
            await step


@pytest.mark.parametrize(
    ("body", "cursor"),
    [
        (b'{"data":[],"pages":{"next":{"page":2,"starting_after":"WzE+/=\\n"},"per_page":2}}', "WzE+/=\n"),
        (b'{"pages":{"next":{"starting_after" : "early"}},"data":[' + b" " * 9_000 + b"]}", "early"),
        (b'{"a":"\\"starting_after\\":\\"no\\""}', None),
        (b'{"starting_after":null}', None),
        (b'{"starting_after":""}', None),
        (b'{"starting_after":"cut', None),
        (b'{"starting_after":"\\ud800"}', None),
        (b'{"starting_after":"\\x"}', None),
        (b'{"starting_after":"\xff"}', None),
        (b"", None),
    ],
)
def test_peek_next_cursor_returns_the_cursor_or_none(body: bytes, cursor: str | None) -> None:
    """The cursor is after the list or before it; a cursor that cannot be sent is None."""
    assert peek_next_cursor(body) == cursor


@given(st.binary(max_size=3_000), st.sampled_from([b'"starting_after":', b'"starting_after":"', b""]))
def test_peek_next_cursor_of_any_bytes_never_fails(noise: bytes, key: bytes) -> None:
    """For any bytes, it returns text or None."""
    found = peek_next_cursor(noise + key + noise)
    assert found is None or found.encode()


def test_guard_has_seen_does_not_record_the_cursor() -> None:
    """A cursor that was only checked does not count as seen."""
    guard = LoopGuard("a")
    assert [guard.has_seen("a"), guard.has_seen("b"), guard.has_seen("b")] == [True, False, False]
    guard.record_cursor("b", 1)
    assert guard.has_seen("b")


@pytest.mark.slow
async def test_prefetch_failures_keep_no_page_in_memory() -> None:
    """An error does not keep the frames that raised it in memory, even without garbage collection."""
    faults, retry_policy = ["truncate=2"], exporter.RetryPolicy(initial_backoff_s=0.001)
    async with (
        exporter.Sandbox(contacts=4_500, faults=faults, gzip=False) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom,
    ):
        async for page in prefetching_pages(intercom):  # a first run: the sandbox fills its caches
            del page
        pages = prefetching_pages(intercom)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            async for page in pages:
                del page
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
            gc.enable()
        assert sum(pages.traffic.retries.values()) > 20
        assert kept < 8_000_000  # 30 MB, if the failures kept their pages


async def test_step_waiting_for_the_window_sends_nothing_after_close() -> None:
    """The step raises ConfigError, and no request is sent or counted after the close."""
    async with exporter.Sandbox(contacts=600, rate_limit=2) as sandbox:
        intercom = exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=150, reserve_percent=0)
        waiting, outcome = anyio.Event(), list[BaseException]()

        async def step() -> None:
            pages = intercom.pages(observer=lambda _: waiting.set())
            try:
                async for page in pages:
                    del page
            except exporter.ConfigError as error:
                outcome.append(error)
            assert pages.traffic.requests == sandbox.requests

        async with anyio.create_task_group() as tasks:
            async with intercom:
                tasks.start_soon(step)
                await waiting.wait()
    assert "closed" in str(outcome[0])
