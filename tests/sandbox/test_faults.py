"""Faults of the sandbox: their syntax, their schedule, and what the client sees."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from exporter.errors import ConfigError
from exporter.sandbox import Fault, Sandbox
from exporter.sandbox.faults import NAMES, FaultPlan
from tests.support.sandboxes import session_of


def faults_at(faults: str | list[str] | Mapping[str, int], pages: list[int]) -> list[str | None]:
    """Return the name of the fault of each of several requests."""
    plan = FaultPlan.of(faults)
    return [fault.name if fault else None for fault in map(plan.next_fault, pages)]


@pytest.mark.parametrize("name", [*NAMES, "http_404", "http_599"])
def test_fault_parse_accepts_every_name_and_schedule(name: str) -> None:
    """Each name may have each of the three schedules."""
    once = None if name == "cursor_loop" else 1
    assert Fault.parse(f"{name}=7") == Fault(name, every=7, times=once)
    assert Fault.parse(f"{name}@3") == Fault(name, page=3, times=once)
    assert Fault.parse(f"{name}@3x4") == Fault(name, page=3, times=4)


@pytest.mark.parametrize(
    "text",
    [
        *("", "reset", "reset=", "reset=0", "reset@0", "reset@1x0", "reset=-1", "reset=1.5", "reset=x", "reset@1x"),
        *("http_200=1", "http_600=1", "http_=1", "typo=1", "reset=1 ", "reset=٣", "reset=1@2", "Reset=1"),
    ],
)
def test_fault_with_malformed_text_is_refused(text: str) -> None:
    """It is a configuration error that lists the known faults."""
    with pytest.raises(ConfigError, match="html_200, slow, cursor_loop") as caught:
        Fault.parse(text)
    assert repr(text) in str(caught.value)


def test_fault_with_interval_applies_to_every_nth_request() -> None:
    """NAME=EVERY depends on the number of the request, and not on its page."""
    assert faults_at("reset=3", [1, 1, 1, 2, 3, 4, 4]) == [None, None, "reset", None, None, "reset", None]


def test_fault_at_page_applies_to_the_first_requests_for_it() -> None:
    """NAME@PAGE applies once, NAME@PAGExTIMES that many times."""
    assert faults_at(["slow@2"], [1, 2, 2, 3, 2]) == [None, "slow", None, None, None]
    assert faults_at(["slow@2x2"], [2, 2, 2]) == ["slow", "slow", None]


def test_cursor_loop_fault_applies_to_every_request_for_its_page() -> None:
    """A cursor loop is a property of the page."""
    assert faults_at(["cursor_loop@2"], [2, 2, 2]) == ["cursor_loop"] * 3


def test_fault_at_page_takes_precedence_over_an_interval() -> None:
    """The more precise fault applies, and each fault at a page still gets its turn."""
    assert faults_at(["reset=1", "empty_200@2", "slow@2"], [1, 2, 2, 2]) == ["reset", "empty_200", "slow", "reset"]


def test_fault_plan_accepts_a_mapping_of_intervals() -> None:
    """The value is the interval in requests."""
    assert faults_at({"http_503": 2, "reset": 3}, [1] * 6) == [None, "http_503", "reset", "http_503", None, "http_503"]


@asynccontextmanager
async def listing(fault: str, **options: Any) -> AsyncIterator[tuple[Sandbox, aiohttp.ClientSession]]:
    """Serve 30 contacts with a fault; yield the sandbox and a session with the token that repeats no request."""
    async with session_of(30, keeps_alive=False, hostile=False, faults=[fault], **options) as served:
        yield served


async def raw_first_page(sandbox: Sandbox, accept: str = "identity") -> bytes:
    """Request the first page on a plain socket, and read until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.base_url.rpartition(":")[2]))
    writer.write(
        f"GET /contacts?per_page=10 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {sandbox.token}\r\nAccept-Encoding: {accept}\r\n\r\n".encode()
    )
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "client_error"), (401, "unauthorized"), (403, "forbidden"), (404, "not_found"), (500, "server_error")],
)
async def test_fault_with_an_api_status_has_the_error_envelope(status: int, code: str) -> None:
    """4xx and 500 have the API's error envelope."""
    async with listing(f"http_{status}@1") as (_, session):
        async with session.get("/contacts") as response:
            assert response.status == status
            envelope = await response.json()
        assert envelope["type"] == "error.list"
        assert envelope["request_id"] == response.headers["X-Request-Id"]
        assert envelope["errors"][0]["code"] == code
        async with session.get("/contacts") as response:
            assert response.status == 200


@pytest.mark.parametrize("status", [502, 503, 504, 599])
async def test_fault_with_a_gateway_status_is_an_html_page(status: int) -> None:
    """The other 5xx are a small HTML page."""
    async with listing(f"http_{status}=1") as (_, session), session.get("/contacts") as response:
        assert (response.status, response.content_type) == (status, "text/html")
        assert str(status) in await response.text()


async def test_fault_429_announces_an_empty_window_without_retry_after() -> None:
    """The window ends within a second, and the request does not count as rate limited."""
    async with listing("http_429@1", clock=lambda: 1_700_000_003.5) as (sandbox, session):
        async with session.get("/contacts") as response:
            assert response.status == 429
            assert (await response.json())["errors"][0]["code"] == "rate_limit_exceeded"
        assert response.headers["X-RateLimit-Remaining"] == "0"
        assert response.headers["X-RateLimit-Reset"] == "1700000004"
        assert "Retry-After" not in response.headers
        assert sandbox.rate_limited_requests == 0
        assert sandbox.requests == 1


async def test_fault_reset_resets_the_connection() -> None:
    """The connection is reset, not closed."""
    async with Sandbox(30, faults=["reset@1"]) as sandbox:
        with pytest.raises(ConnectionResetError):
            await raw_first_page(sandbox)
        assert (await raw_first_page(sandbox)).startswith(b"HTTP/1.1 200")
        assert sandbox.requests == 2


@pytest.mark.parametrize("accept", ["identity", "gzip"])
async def test_fault_truncate_alternates_between_two_kinds(accept: str) -> None:
    """First the length is correct and the body is truncated; the second time, both are half."""
    async with Sandbox(30, faults=["truncate@1x2"]) as sandbox:
        responses = [await raw_first_page(sandbox, accept) for _ in range(3)]
    lengths, bodies = [], []
    for response in responses:
        head, _, body = response.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert (b"Content-Encoding: gzip" in head) == (accept == "gzip")
        lengths.append(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))
        bodies.append(body)
    full_body = bodies[2]
    assert bodies[0] == bodies[1] == full_body[: len(full_body) // 2]
    assert lengths == [len(full_body), len(full_body) // 2, len(full_body)]
    assert json.loads(gzip.decompress(full_body) if accept == "gzip" else full_body)["total_count"] == 30


async def test_fault_empty_200_announces_json_and_has_no_body() -> None:
    """The status and the content type are those of a page."""
    async with listing("empty_200=1") as (_, session), session.get("/contacts") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert await response.read() == b""


async def test_fault_html_200_is_a_web_page() -> None:
    """A maintenance page has the status of a success."""
    async with listing("html_200=1") as (_, session), session.get("/contacts") as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert "<html>" in await response.text()


async def test_fault_slow_delays_a_correct_response() -> None:
    """The response is the same as without the fault."""
    async with listing("slow=1", slow_s=0.05) as (_, session):
        started = asyncio.get_running_loop().time()
        async with session.get("/contacts") as response:
            assert (await response.json())["total_count"] == 30
        assert asyncio.get_running_loop().time() - started >= 0.05


async def test_sandbox_exit_does_not_wait_for_slow_responses() -> None:
    """Leaving the block ends a response that still waits."""
    async with asyncio.timeout(20):
        async with Sandbox(30, faults=["slow=1"], slow_s=3600) as sandbox:
            waiting = asyncio.create_task(raw_first_page(sandbox))
            while not sandbox.requests:  # noqa: ASYNC110 - only the counter reports it
                await asyncio.sleep(0.001)
        (end,) = await asyncio.gather(waiting, return_exceptions=True)
        assert end == b"" or isinstance(end, ConnectionError)


async def test_fault_cursor_loop_leads_back_to_page_2() -> None:
    """The next cursor of the looping page is always the cursor of page 2."""
    async with listing("cursor_loop@3") as (_, session):
        seen, cursor = [], ""
        for _ in range(6):
            async with session.get("/contacts", params={"per_page": "10", "starting_after": cursor}) as response:
                pages = (await response.json())["pages"]
            seen.append(pages["page"])
            cursor = pages["next"]["starting_after"]
    assert seen == [1, 2, 3, 2, 3, 2]


@pytest.mark.parametrize("page", [1, 2])
async def test_fault_cursor_loop_on_page_1_or_2_repeats_that_page(page: int) -> None:
    """The next page is the same page."""
    async with listing(f"cursor_loop@{page}") as (_, session):
        seen, cursor = [], ""
        for _ in range(4):
            async with session.get("/contacts", params={"per_page": "10", "starting_after": cursor}) as response:
                pages = (await response.json())["pages"]
            seen.append(pages["page"])
            cursor = pages["next"]["starting_after"]
    assert seen == [1, page, page, page]
