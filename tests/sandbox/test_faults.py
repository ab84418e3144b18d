"""What goes wrong: how it is spelled, when it strikes, and what a client sees of it."""

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


def strikes(faults: str | list[str] | Mapping[str, int], pages: list[int]) -> list[str | None]:
    """Name the fault of each of several requests."""
    plan = FaultPlan.of(faults)
    return [fault.name if fault else None for fault in map(plan.next_fault, pages)]


@pytest.mark.parametrize("name", [*NAMES, "http_404", "http_599"])
def test_spelling(name: str) -> None:
    """Each name goes with all three ways to say when."""
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
def test_other_spellings_are_refused(text: str) -> None:
    """What cannot be read is a configuration error that names the faults there are."""
    with pytest.raises(ConfigError, match="html_200, slow, cursor_loop") as caught:
        Fault.parse(text)
    assert repr(text) in str(caught.value)


def test_every_nth_request() -> None:
    """NAME=EVERY strikes by the number of the request, whatever its page."""
    assert strikes("reset=3", [1, 1, 1, 2, 3, 4, 4]) == [None, None, "reset", None, None, "reset", None]


def test_first_request_for_a_page() -> None:
    """NAME@PAGE strikes once, NAME@PAGExTIMES so many times."""
    assert strikes(["slow@2"], [1, 2, 2, 3, 2]) == [None, "slow", None, None, None]
    assert strikes(["slow@2x2"], [2, 2, 2]) == ["slow", "slow", None]


def test_loop_stays() -> None:
    """A cursor loop is a property of the page: it strikes each time."""
    assert strikes(["cursor_loop@2"], [2, 2, 2]) == ["cursor_loop"] * 3


def test_pages_go_before_every() -> None:
    """The more precise fault strikes, and one fault leaves the other its turns."""
    assert strikes(["reset=1", "empty_200@2", "slow@2"], [1, 2, 2, 2]) == ["reset", "empty_200", "slow", "reset"]


def test_mapping() -> None:
    """A mapping says every how many requests."""
    assert strikes({"http_503": 2, "reset": 3}, [1] * 6) == [None, "http_503", "reset", "http_503", None, "http_503"]


@asynccontextmanager
async def listing(fault: str, **options: Any) -> AsyncIterator[tuple[Sandbox, aiohttp.ClientSession]]:
    """Serve 30 contacts with a fault, and a session that is let in and repeats nothing by itself."""
    async with session_of(30, keeps_alive=False, hostile=False, faults=[fault], **options) as served:
        yield served


async def raw(sandbox: Sandbox, accept: str = "identity") -> bytes:
    """Ask for the first page on a bare socket and read until the server closes."""
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
async def test_statuses_of_the_api(status: int, code: str) -> None:
    """4xx and 500 come with the API's error envelope."""
    async with listing(f"http_{status}@1") as (_, session):
        async with session.get("/contacts") as answer:
            assert answer.status == status
            envelope = await answer.json()
        assert envelope["type"] == "error.list"
        assert envelope["request_id"] == answer.headers["X-Request-Id"]
        assert envelope["errors"][0]["code"] == code
        async with session.get("/contacts") as answer:
            assert answer.status == 200


@pytest.mark.parametrize("status", [502, 503, 504, 599])
async def test_statuses_of_gateways(status: int) -> None:
    """The other 5xx come as a small HTML page."""
    async with listing(f"http_{status}=1") as (_, session), session.get("/contacts") as answer:
        assert (answer.status, answer.content_type) == (status, "text/html")
        assert str(status) in await answer.text()


async def test_injected_429() -> None:
    """It announces an empty window that ends within a second, without Retry-After, and is no real refusal."""
    async with listing("http_429@1", clock=lambda: 1_700_000_003.5) as (sandbox, session):
        async with session.get("/contacts") as answer:
            assert answer.status == 429
            assert (await answer.json())["errors"][0]["code"] == "rate_limit_exceeded"
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        assert answer.headers["X-RateLimit-Reset"] == "1700000004"
        assert "Retry-After" not in answer.headers
        assert sandbox.rate_limited_requests == 0
        assert sandbox.requests == 1


async def test_reset() -> None:
    """The connection is reset, not closed."""
    async with Sandbox(30, faults=["reset@1"]) as sandbox:
        with pytest.raises(ConnectionResetError):
            await raw(sandbox)
        assert (await raw(sandbox)).startswith(b"HTTP/1.1 200")
        assert sandbox.requests == 2


@pytest.mark.parametrize("accept", ["identity", "gzip"])
async def test_truncate_takes_turns(accept: str) -> None:
    """First the length is right and the body stops early; the second time both are half."""
    async with Sandbox(30, faults=["truncate@1x2"]) as sandbox:
        answers = [await raw(sandbox, accept) for _ in range(3)]
    lengths, bodies = [], []
    for answer in answers:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert (b"Content-Encoding: gzip" in head) == (accept == "gzip")
        lengths.append(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))
        bodies.append(body)
    whole = bodies[2]
    assert bodies[0] == bodies[1] == whole[: len(whole) // 2]
    assert lengths == [len(whole), len(whole) // 2, len(whole)]
    assert json.loads(gzip.decompress(whole) if accept == "gzip" else whole)["total_count"] == 30


async def test_empty_200() -> None:
    """JSON is announced, nothing comes."""
    async with listing("empty_200=1") as (_, session), session.get("/contacts") as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert await answer.read() == b""


async def test_html_200() -> None:
    """A maintenance page comes as a success."""
    async with listing("html_200=1") as (_, session), session.get("/contacts") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "<html>" in await answer.text()


async def test_slow_answers_are_right() -> None:
    """It waits, then answers as if nothing had been."""
    async with listing("slow=1", slow_s=0.05) as (_, session):
        started = asyncio.get_running_loop().time()
        async with session.get("/contacts") as answer:
            assert (await answer.json())["total_count"] == 30
        assert asyncio.get_running_loop().time() - started >= 0.05


async def test_leaving_does_not_wait_for_slow_answers() -> None:
    """The end of the block ends an answer that still waits."""
    async with asyncio.timeout(20):
        async with Sandbox(30, faults=["slow=1"], slow_s=3600) as sandbox:
            waiting = asyncio.create_task(raw(sandbox))
            while not sandbox.requests:  # noqa: ASYNC110 - counting requests is what tells
                await asyncio.sleep(0.001)
        (end,) = await asyncio.gather(waiting, return_exceptions=True)
        assert end == b"" or isinstance(end, ConnectionError)


async def test_cursor_loop_goes_back_to_page_2() -> None:
    """The looping page's next cursor is the one that led to page 2, for ever."""
    async with listing("cursor_loop@3") as (_, session):
        seen, cursor = [], ""
        for _ in range(6):
            async with session.get("/contacts", params={"per_page": "10", "starting_after": cursor}) as answer:
                pages = (await answer.json())["pages"]
            seen.append(pages["page"])
            cursor = pages["next"]["starting_after"]
    assert seen == [1, 2, 3, 2, 3, 2]


@pytest.mark.parametrize("page", [1, 2])
async def test_early_cursor_loop_leads_to_itself(page: int) -> None:
    """On page 2 or before, the next page is the same one."""
    async with listing(f"cursor_loop@{page}") as (_, session):
        seen, cursor = [], ""
        for _ in range(4):
            async with session.get("/contacts", params={"per_page": "10", "starting_after": cursor}) as answer:
                pages = (await answer.json())["pages"]
            seen.append(pages["page"])
            cursor = pages["next"]["starting_after"]
    assert seen == [1, page, page, page]
