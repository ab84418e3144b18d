"""The stand-in over HTTP: what every client of the real API relies on."""

import asyncio
import base64
import json
import socket
from typing import Any

import aiohttp
import httpx
import intercom
import pytest

from exporter.errors import ConfigError
from exporter.sandbox import Sandbox
from exporter.sandbox.nested import NESTED
from exporter.sandbox.protocol import Cursors, RateWindow, Refusal, accepts_gzip
from tests.support.sandboxes import session_of


async def fetch(session: aiohttp.ClientSession, path: str, **params: str) -> Any:
    """Fetch what must succeed, decoded."""
    async with session.get(path, params=params) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        return json.loads(await answer.read())


async def refused(session: aiohttp.ClientSession, path: str, method: str = "GET", **request: Any) -> tuple[int, str]:
    """Ask for what must be refused; return status and code of the envelope."""
    async with session.request(method, path, **request) as answer:
        envelope = await answer.json()
        assert envelope["type"] == "error.list"
        assert envelope["request_id"] == answer.headers["X-Request-Id"]
        return answer.status, envelope["errors"][0]["code"]


async def walk(session: aiohttp.ClientSession, path: str, per_page: int) -> list[dict[str, Any]]:
    """Follow the cursors of a list to its end; return the pages."""
    pages, params = [], {"per_page": str(per_page)}
    while True:
        pages.append(await fetch(session, path, **params))
        following = pages[-1]["pages"].get("next")
        if following is None:
            return pages
        params["starting_after"] = following["starting_after"]


@pytest.mark.parametrize("per_page", [1, 7, 50, 150])
async def test_listing_is_the_workspace(per_page: int) -> None:
    """Following the cursors gives every contact once, in order, in exactly the workspace's bytes."""
    async with session_of(160) as (sandbox, session):
        bodies, cursor = [], ""
        while True:
            params = {"per_page": str(per_page), "starting_after": cursor}
            async with session.get("/contacts", params=params) as answer:
                bodies.append(await answer.read())
            following = json.loads(bodies[-1])["pages"].get("next")
            if following is None:
                break
            cursor = following["starting_after"]
        for number, body in enumerate(bodies):
            records = sandbox.workspace.records(number * per_page, (number + 1) * per_page)
            assert body.startswith(b'{"type":"list","data":[' + b",".join(records) + b'],"total_count":160,"pages":{')
        assert len(bodies) == sandbox.requests == -(-160 // per_page)


async def test_envelope() -> None:
    """Keys come in the API's order; the last page has no next."""
    async with session_of(120) as (_, session):
        first, middle, last = await walk(session, "/contacts", 50)
    assert list(first) == ["type", "data", "total_count", "pages"]
    assert list(first["pages"]) == ["type", "page", "next", "per_page", "total_pages"]
    assert list(first["pages"]["next"]) == ["page", "starting_after"]
    assert [page["pages"]["page"] for page in (first, middle, last)] == [1, 2, 3]
    assert middle["pages"]["next"]["page"] == 3
    assert last["pages"] == {"type": "pages", "page": 3, "per_page": 50, "total_pages": 3}
    assert len(last["data"]) == 20


async def test_default_page_size_and_empty_cursor() -> None:
    """Without parameters a page has 50 contacts; an empty cursor begins at the beginning."""
    async with session_of(60) as (_, session):
        assert len((await fetch(session, "/contacts"))["data"]) == 50
        assert (await fetch(session, "/contacts", starting_after=""))["pages"]["page"] == 1


async def test_empty_workspace() -> None:
    """No contacts are one empty page."""
    async with session_of(0) as (_, session):
        page = await fetch(session, "/contacts")
    assert (page["data"], page["total_count"]) == ([], 0)
    assert "next" not in page["pages"]


async def test_cursor_is_a_position_in_contacts() -> None:
    """The page size may change in mid-listing."""
    async with session_of(100) as (sandbox, session):
        first = await fetch(session, "/contacts", per_page="30")
        cursor = first["pages"]["next"]["starting_after"]
        rest = await fetch(session, "/contacts", per_page="20", starting_after=cursor)
        assert [row["id"] for row in rest["data"]] == [sandbox.workspace.id_of(index) for index in range(30, 50)]


@pytest.mark.parametrize("per_page", ["0", "151", "-1", "abc", "1.5", "", "\uff11", "9" * 40])
async def test_page_sizes_outside_the_limits(per_page: str) -> None:
    """A page holds 1 to 150 contacts."""
    async with session_of(400) as (_, session):
        assert await refused(session, "/contacts", params={"per_page": per_page}) == (400, "parameter_invalid")


def test_cursors_look_like_rubys() -> None:
    """Lines of 60 characters of standard Base64, with every character that needs encoding in a URL."""
    cursor = Cursors("any").write(150)
    assert [len(line) for line in cursor.split("\n")] == [60, 8, 0]
    assert set("+/=\n") < set(cursor)
    assert len(base64.b64decode(cursor)) == 50


@pytest.mark.parametrize("position", [0, 1, 150, 10_000_000, 2**63])
def test_cursors_lead_back(position: int) -> None:
    """Reading is the inverse of writing; nothing altered, foreign or made up is read."""
    cursors = Cursors("contacts:1")
    cursor = cursors.write(position)
    assert cursors.read(cursor) == position
    altered = [cursor.strip(), cursor.swapcase(), cursor[1:], cursor + "x", cursor.replace("+", " "), "é", "2", "===="]
    for wrong in [*altered, Cursors("contacts:2").write(position)]:
        with pytest.raises(Refusal, match="Invalid starting_after param"):
            cursors.read(wrong)


async def test_bad_cursors_are_refused() -> None:
    """Made-up cursors and those of another seed are 400 client_error."""
    async with session_of(400) as (_, session):
        for cursor in ("made-up", Cursors("contacts:99").write(50), "WzE2MTM3Mzk3MDAwMDAsMSwyXQ==\n"):
            assert await refused(session, "/contacts", params={"starting_after": cursor}) == (400, "client_error")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "bearer {}", "{}", "Bearer {}x", "Bearer é"]
)
async def test_only_the_token_lets_in(authorization: str | None) -> None:
    """Anything but the bearer token is 401, and says nothing about the rate limit."""
    async with Sandbox(10) as sandbox, aiohttp.ClientSession(sandbox.base_url) as session:
        headers = {} if authorization is None else {"Authorization": authorization.format(sandbox.token)}
        assert await refused(session, "/contacts", headers=headers) == (401, "unauthorized")
        async with session.get("/me", headers=headers) as answer:
            assert answer.status == 401
            assert "X-RateLimit-Limit" not in answer.headers
            assert (await answer.json())["errors"][0]["message"] == "Access Token Invalid"
        assert sandbox.requests == 1


def test_tokens() -> None:
    """A token is the one given, or made from the seed, and looks like a real one."""
    assert Sandbox(token="mine").token == "mine"
    assert Sandbox(seed=3).token == Sandbox(seed=3).token != Sandbox(seed=4).token
    assert Sandbox().token.startswith("dG9r")
    assert base64.b64decode(Sandbox().token).startswith(b"tok:")


@pytest.mark.parametrize("version", ["1.0", "1.4", "2.0", "2.9", "2.14", "Unstable"])
async def test_versions_are_echoed(version: str) -> None:
    """A known version is served and echoed."""
    async with session_of(10) as (_, session):
        async with session.get("/contacts", headers={"Intercom-Version": version}) as answer:
            assert (answer.status, answer.headers["Intercom-Version"]) == (200, version)
        async with session.get("/contacts") as answer:
            assert answer.headers["Intercom-Version"] == "2.14"


@pytest.mark.parametrize("version", ["1.5", "2.18", "3", "", "unstable"])
async def test_unknown_versions_are_refused(version: str) -> None:
    """An unknown version is 400."""
    async with session_of(10) as (_, session):
        wrong = {"Intercom-Version": version}
        assert await refused(session, "/contacts", headers=wrong) == (400, "intercom_version_invalid")


async def test_headers_of_every_answer() -> None:
    """Each answer has an id of its own, a date, and varies by encoding."""
    async with session_of(10) as (_, session):
        ids = set()
        for path in ("/contacts", "/contacts?per_page=0", "/me", "/tags", "/nowhere"):
            async with session.get(path) as answer:
                assert {"Date", "X-Request-Id", "X-RateLimit-Limit"} <= answer.headers.keys()
                assert answer.headers["Vary"] == "Accept-Encoding"
                ids.add(answer.headers["X-Request-Id"])
    assert len(ids) == 5


async def test_gzip_is_the_same_page() -> None:
    """A compressed page decodes to the bytes of the plain one, and only comes when asked for."""
    async with session_of(150) as (_, session):
        bodies = []
        for accept in ("identity", "gzip, deflate", "gzip;q=0"):
            async with session.get("/contacts?per_page=150", headers={"Accept-Encoding": accept}) as answer:
                assert answer.headers.get("Content-Encoding") == ("gzip" if accept == "gzip, deflate" else None)
                bodies.append(await answer.read())
        assert len(set(bodies)) == 1
    async with session_of(150, gzip=False) as (_, session), session.get("/contacts") as answer:
        assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("", False), ("gzip", True), ("br, GZIP;q=0.5", True), ("*", True), ("gzip;q=0.0", False), ("gzipped", False)],
)
def test_accept_encoding(header: str, accepted: bool) -> None:
    """Compression is accepted by name or by star, unless its weight is zero."""
    assert accepts_gzip(header) == accepted


def test_rate_window() -> None:
    """Calls are counted in windows of ten seconds of UNIX time."""
    now = 1_700_000_003.0
    window = RateWindow(2, clock=lambda: now)
    calls = [window.call() for _ in range(3)]
    assert [(call.allowed, call.remaining) for call in calls] == [(True, 1), (True, 0), (False, 0)]
    assert {call.reset_at for call in calls} == {1_700_000_010}
    now = 1_700_000_009.99
    assert not window.call().allowed
    now = 1_700_000_010.0
    assert window.call().headers() == {
        "X-RateLimit-Limit": "2",
        "X-RateLimit-Remaining": "1",
        "X-RateLimit-Reset": "1700000020",
    }


async def test_rate_limit() -> None:
    """Over the limit every authenticated call is refused as the API does, and counted."""
    async with session_of(10, rate_limit=2, clock=lambda: 1_700_000_003.0) as (sandbox, session):
        await fetch(session, "/contacts")
        await fetch(session, "/me")
        async with session.get("/contacts") as answer:
            assert answer.status == 429
            assert "Retry-After" not in answer.headers
            assert answer.headers["X-RateLimit-Remaining"] == "0"
            error = (await answer.json())["errors"][0]
        assert error == {"code": "rate_limit_exceeded", "message": "Exceeded rate limit of 2 in 10_seconds"}
        assert (sandbox.rate_limited_requests, sandbox.requests) == (1, 2)


async def test_without_a_limit_a_million_is_announced() -> None:
    """No limit in practice still has the headers."""
    async with session_of(10) as (_, session), session.get("/contacts") as answer:
        assert answer.headers["X-RateLimit-Limit"] == "1000000"
        assert answer.headers["X-RateLimit-Remaining"] == "999999"


async def test_latency() -> None:
    """Each answer waits."""
    async with session_of(10, latency_ms=30) as (_, session):
        started = asyncio.get_running_loop().time()
        await fetch(session, "/me")
        assert asyncio.get_running_loop().time() - started >= 0.03


async def test_me_and_tags() -> None:
    """One call names the workspace, one names all tags."""
    async with session_of(10) as (sandbox, session):
        me, tags = await fetch(session, "/me"), await fetch(session, "/tags")
        page = await fetch(session, "/contacts")
        assert me["type"] == "admin"
        assert {"type", "id_code", "name", "region", "timezone", "created_at"} <= me["app"].keys()
        assert me["app"]["id_code"] == page["data"][0]["workspace_id"]
        assert tags == {"type": "list", "data": sandbox.workspace.tags()}


async def test_nested_lists() -> None:
    """Each nested list comes whole from its address."""
    async with session_of(60) as (sandbox, session):
        for index in range(60):
            for name in NESTED:
                page = await fetch(session, f"/contacts/{sandbox.workspace.id_of(index)}/{name}", per_page="150")
                assert page["companies" if name == "companies" else "data"] == sandbox.workspace.nested(index, name)
                assert ("pages" in page) == (name in {"notes", "companies"})


async def test_paging_of_nested_lists() -> None:
    """Notes go on by a cursor, companies by the address of the next page."""
    async with session_of(512) as (sandbox, session):
        workspace = sandbox.workspace
        index = max(range(512), key=lambda number: len(workspace.nested(number, "notes")))
        pages = await walk(session, f"/contacts/{workspace.id_of(index)}/notes", 50)
        assert len(pages) > 1
        assert [note for page in pages for note in page["data"]] == workspace.nested(index, "notes")
        index = max(range(512), key=lambda number: len(workspace.nested(number, "companies")))
        url, found = f"{sandbox.base_url}/contacts/{workspace.id_of(index)}/companies", []
        while url:
            async with session.get(url) as answer:
                page = await answer.json()
            found += page["companies"]
            url = page["pages"].get("next")
        assert found == workspace.nested(index, "companies")
        assert len(found) > 50


async def test_what_is_not_there() -> None:
    """Unknown contacts, lists, paths and methods get an error envelope."""
    async with session_of(10) as (sandbox, session):
        nobody, somebody = "0" * 24, sandbox.workspace.id_of(1)
        for path in (
            f"/contacts/{nobody}/tags",
            f"/contacts/{somebody}/admins",
            f"/contacts/{nobody}",
            "/contact",
            "/contacts/search/x/y",
            "/contacts/",
        ):
            assert await refused(session, path) == (404, "not_found")
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert await refused(session, "/contacts", method) == (404, "not_found")
        assert sandbox.requests == 0


@pytest.mark.parametrize(
    "options",
    [
        {"contacts": -1},
        {"port": 70_000},
        {"port": -1},
        {"token": ""},
        {"token": "two words"},
        {"token": "line\n"},
        {"latency_ms": -1},
        {"latency_ms": float("nan")},
        {"slow_s": -1},
        {"rate_limit": 0},
        {"faults": ["typo=1"]},
    ],
)
def test_wrong_arguments(options: dict[str, Any]) -> None:
    """An argument without sense is a configuration error, before anything starts."""
    with pytest.raises(ConfigError):
        Sandbox(**options)


async def test_address_only_while_running() -> None:
    """There is no address before and after the block, and one block at a time."""
    sandbox = Sandbox(1)
    for _ in range(2):
        with pytest.raises(ConfigError):
            _ = sandbox.base_url
        async with sandbox:
            assert sandbox.base_url.startswith("http://127.0.0.1:")
            with pytest.raises(ConfigError):
                await sandbox.__aenter__()


async def test_taken_port() -> None:
    """A port somebody else has is a configuration error."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}"):
            async with Sandbox(1, port=port):
                pass


async def test_leaving_closes_connections_and_tasks() -> None:
    """Idle, silent and unread connections all end with the block, and no task is left."""
    before = asyncio.all_tasks()
    async with asyncio.timeout(20):
        async with session_of(3_000) as (sandbox, session):
            await fetch(session, "/me")
            port = int(sandbox.base_url.rpartition(":")[2])
            silent, writer = await asyncio.open_connection("127.0.0.1", port)
            request = f"GET /contacts?per_page=150 HTTP/1.1\r\nAuthorization: Bearer {sandbox.token}\r\n"
            with socket.create_connection(("127.0.0.1", port)) as unread:
                unread.sendall(f"{request}Host: x\r\n\r\n".encode() * 60)
                while sandbox.requests < 2:  # noqa: ASYNC110 - counting requests is what tells
                    await asyncio.sleep(0.001)
                await sandbox.__aexit__(None, None, None)
                assert await silent.read() == b""
        writer.close()
        await writer.wait_closed()
    assert asyncio.all_tasks() == before


async def test_official_sdk_lists_a_tame_sandbox() -> None:
    """python-intercom pages through every contact."""
    async with Sandbox(120, hostile=False) as sandbox:

        def ids() -> list[str | None]:
            # The SDK never closes a client of its own making.
            with httpx.Client() as http:
                client = intercom.Intercom(token=sandbox.token, base_url=sandbox.base_url, httpx_client=http)
                return [contact.id for contact in client.contacts.list(per_page=50)]

        found = await asyncio.to_thread(ids)
        assert found == [sandbox.workspace.id_of(index) for index in range(120)]
        assert sandbox.requests == 3
