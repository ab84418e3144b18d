"""The sandbox over HTTP: the behaviour that every client of the real API relies on."""

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
    """Send a request that must succeed; return the decoded body."""
    async with session.get(path, params=params) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        return json.loads(await response.read())


async def refusal_of(session: aiohttp.ClientSession, path: str, method: str = "GET", **request: Any) -> tuple[int, str]:
    """Send a request that must be refused; return the status and the code of the envelope."""
    async with session.request(method, path, **request) as response:
        envelope = await response.json()
        assert envelope["type"] == "error.list"
        assert envelope["request_id"] == response.headers["X-Request-Id"]
        return response.status, envelope["errors"][0]["code"]


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
async def test_listing_has_exactly_the_bytes_of_the_workspace(per_page: int) -> None:
    """Following the cursors returns every contact once, in order, in exactly the workspace's bytes."""
    async with session_of(160) as (sandbox, session):
        bodies, cursor = [], ""
        while True:
            params = {"per_page": str(per_page), "starting_after": cursor}
            async with session.get("/contacts", params=params) as response:
                bodies.append(await response.read())
            following = json.loads(bodies[-1])["pages"].get("next")
            if following is None:
                break
            cursor = following["starting_after"]
        for number, body in enumerate(bodies):
            records = sandbox.workspace.records(number * per_page, (number + 1) * per_page)
            assert body.startswith(b'{"type":"list","data":[' + b",".join(records) + b'],"total_count":160,"pages":{')
        assert len(bodies) == sandbox.requests == -(-160 // per_page)


async def test_page_envelope_has_the_keys_and_order_of_the_api() -> None:
    """The last page has no next."""
    async with session_of(120) as (_, session):
        first, middle, last = await walk(session, "/contacts", 50)
    assert list(first) == ["type", "data", "total_count", "pages"]
    assert list(first["pages"]) == ["type", "page", "next", "per_page", "total_pages"]
    assert list(first["pages"]["next"]) == ["page", "starting_after"]
    assert [page["pages"]["page"] for page in (first, middle, last)] == [1, 2, 3]
    assert middle["pages"]["next"]["page"] == 3
    assert last["pages"] == {"type": "pages", "page": 3, "per_page": 50, "total_pages": 3}
    assert len(last["data"]) == 20


async def test_page_without_parameters_is_the_first_with_50_contacts() -> None:
    """An empty cursor starts from the beginning."""
    async with session_of(60) as (_, session):
        assert len((await fetch(session, "/contacts"))["data"]) == 50
        assert (await fetch(session, "/contacts", starting_after=""))["pages"]["page"] == 1


async def test_listing_of_empty_workspace_is_one_empty_page() -> None:
    """The page has no next."""
    async with session_of(0) as (_, session):
        page = await fetch(session, "/contacts")
    assert (page["data"], page["total_count"]) == ([], 0)
    assert "next" not in page["pages"]


async def test_cursor_does_not_depend_on_the_page_size() -> None:
    """The page size may change during a listing."""
    async with session_of(100) as (sandbox, session):
        first = await fetch(session, "/contacts", per_page="30")
        cursor = first["pages"]["next"]["starting_after"]
        rest = await fetch(session, "/contacts", per_page="20", starting_after=cursor)
        assert [row["id"] for row in rest["data"]] == [sandbox.workspace.id_of(index) for index in range(30, 50)]


@pytest.mark.parametrize("per_page", ["0", "151", "-1", "abc", "1.5", "", "\uff11", "9" * 40])
async def test_page_size_outside_the_limits_is_refused(per_page: str) -> None:
    """A page has 1 to 150 contacts."""
    async with session_of(400) as (_, session):
        assert await refusal_of(session, "/contacts", params={"per_page": per_page}) == (400, "parameter_invalid")


def test_cursor_has_the_format_of_rubys_base64() -> None:
    """It has lines of 60 characters of standard Base64, with every character that needs encoding in a URL."""
    cursor = Cursors("any").write(150)
    assert [len(line) for line in cursor.split("\n")] == [60, 8, 0]
    assert set("+/=\n") < set(cursor)
    assert len(base64.b64decode(cursor)) == 50


@pytest.mark.parametrize("position", [0, 1, 150, 10_000_000, 2**63])
def test_cursors_read_is_the_inverse_of_write(position: int) -> None:
    """Reading a cursor returns its position; altered, foreign and invented cursors are refused."""
    cursors = Cursors("contacts:1")
    cursor = cursors.write(position)
    assert cursors.read(cursor) == position
    altered = [cursor.strip(), cursor.swapcase(), cursor[1:], cursor + "x", cursor.replace("+", " "), "é", "2", "===="]
    for wrong in [*altered, Cursors("contacts:2").write(position)]:
        with pytest.raises(Refusal, match="Invalid starting_after param"):
            cursors.read(wrong)


async def test_listing_with_invalid_cursor_is_refused() -> None:
    """Invented cursors and those of another seed are 400 client_error."""
    async with session_of(400) as (_, session):
        for cursor in ("made-up", Cursors("contacts:99").write(50), "WzE2MTM3Mzk3MDAwMDAsMSwyXQ==\n"):
            assert await refusal_of(session, "/contacts", params={"starting_after": cursor}) == (400, "client_error")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "bearer {}", "{}", "Bearer {}x", "Bearer é"]
)
async def test_request_without_the_token_is_401(authorization: str | None) -> None:
    """Anything but the bearer token is 401, without headers of the rate limit."""
    async with Sandbox(10) as sandbox, aiohttp.ClientSession(sandbox.base_url) as session:
        headers = {} if authorization is None else {"Authorization": authorization.format(sandbox.token)}
        assert await refusal_of(session, "/contacts", headers=headers) == (401, "unauthorized")
        async with session.get("/me", headers=headers) as response:
            assert response.status == 401
            assert "X-RateLimit-Limit" not in response.headers
            assert (await response.json())["errors"][0]["message"] == "Access Token Invalid"
        assert sandbox.requests == 1


def test_token_is_the_given_one_or_derived_from_the_seed() -> None:
    """A derived token looks like a real one."""
    assert Sandbox(token="mine").token == "mine"
    assert Sandbox(seed=3).token == Sandbox(seed=3).token != Sandbox(seed=4).token
    assert Sandbox().token.startswith("dG9r")
    assert base64.b64decode(Sandbox().token).startswith(b"tok:")


@pytest.mark.parametrize("version", ["1.0", "1.4", "2.0", "2.9", "2.14", "Unstable"])
async def test_known_version_is_echoed(version: str) -> None:
    """The response has the version of the request, or the default one."""
    async with session_of(10) as (_, session):
        async with session.get("/contacts", headers={"Intercom-Version": version}) as response:
            assert (response.status, response.headers["Intercom-Version"]) == (200, version)
        async with session.get("/contacts") as response:
            assert response.headers["Intercom-Version"] == "2.14"


@pytest.mark.parametrize("version", ["1.5", "2.18", "3", "", "unstable"])
async def test_unknown_version_is_refused(version: str) -> None:
    """An unknown version is 400."""
    async with session_of(10) as (_, session):
        wrong = {"Intercom-Version": version}
        assert await refusal_of(session, "/contacts", headers=wrong) == (400, "intercom_version_invalid")


async def test_every_response_has_a_unique_id_a_date_and_vary() -> None:
    """Errors have these headers too."""
    async with session_of(10) as (_, session):
        ids = set()
        for path in ("/contacts", "/contacts?per_page=0", "/me", "/tags", "/nowhere"):
            async with session.get(path) as response:
                assert {"Date", "X-Request-Id", "X-RateLimit-Limit"} <= response.headers.keys()
                assert response.headers["Vary"] == "Accept-Encoding"
                ids.add(response.headers["X-Request-Id"])
    assert len(ids) == 5


async def test_gzip_page_decodes_to_the_plain_page() -> None:
    """The sandbox compresses only if the client accepts gzip."""
    async with session_of(150) as (_, session):
        bodies = []
        for accept in ("identity", "gzip, deflate", "gzip;q=0"):
            async with session.get("/contacts?per_page=150", headers={"Accept-Encoding": accept}) as response:
                assert response.headers.get("Content-Encoding") == ("gzip" if accept == "gzip, deflate" else None)
                bodies.append(await response.read())
        assert len(set(bodies)) == 1
    async with session_of(150, gzip=False) as (_, session), session.get("/contacts") as response:
        assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("", False), ("gzip", True), ("br, GZIP;q=0.5", True), ("*", True), ("gzip;q=0.0", False), ("gzipped", False)],
)
def test_accepts_gzip_by_name_or_star_unless_its_weight_is_zero(header: str, accepted: bool) -> None:
    """The header's names are case-insensitive."""
    assert accepts_gzip(header) == accepted


def test_rate_window_counts_calls_in_windows_of_ten_seconds() -> None:
    """Windows begin at multiples of ten seconds of UNIX time."""
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


async def test_call_over_the_rate_limit_is_429_and_counted() -> None:
    """Every call with the token counts, and the refusal has the API's form."""
    async with session_of(10, rate_limit=2, clock=lambda: 1_700_000_003.0) as (sandbox, session):
        await fetch(session, "/contacts")
        await fetch(session, "/me")
        async with session.get("/contacts") as response:
            assert response.status == 429
            assert "Retry-After" not in response.headers
            assert response.headers["X-RateLimit-Remaining"] == "0"
            error = (await response.json())["errors"][0]
        assert error == {"code": "rate_limit_exceeded", "message": "Exceeded rate limit of 2 in 10_seconds"}
        assert (sandbox.rate_limited_requests, sandbox.requests) == (1, 2)


async def test_rate_limit_headers_without_a_limit_announce_a_million() -> None:
    """Responses have the headers even without a limit."""
    async with session_of(10) as (_, session), session.get("/contacts") as response:
        assert response.headers["X-RateLimit-Limit"] == "1000000"
        assert response.headers["X-RateLimit-Remaining"] == "999999"


async def test_latency_delays_each_response() -> None:
    """Each response waits."""
    async with session_of(10, latency_ms=30) as (_, session):
        started = asyncio.get_running_loop().time()
        await fetch(session, "/me")
        assert asyncio.get_running_loop().time() - started >= 0.03


async def test_me_and_tags_describe_the_workspace() -> None:
    """/me names the workspace, and /tags lists all of its tags."""
    async with session_of(10) as (sandbox, session):
        me, tags = await fetch(session, "/me"), await fetch(session, "/tags")
        page = await fetch(session, "/contacts")
        assert me["type"] == "admin"
        assert {"type", "id_code", "name", "region", "timezone", "created_at"} <= me["app"].keys()
        assert me["app"]["id_code"] == page["data"][0]["workspace_id"]
        assert tags == {"type": "list", "data": sandbox.workspace.tags()}


@pytest.mark.slow
async def test_nested_lists_are_complete() -> None:
    """Each endpoint of a contact's list returns the complete list."""
    async with session_of(60) as (sandbox, session):
        for index in range(60):
            for name in NESTED:
                page = await fetch(session, f"/contacts/{sandbox.workspace.id_of(index)}/{name}", per_page="150")
                assert page["companies" if name == "companies" else "data"] == sandbox.workspace.nested(index, name)
                assert ("pages" in page) == (name in {"notes", "companies"})


async def test_notes_page_by_cursor_and_companies_by_next_url() -> None:
    """Following the cursor or the URL returns the complete list."""
    async with session_of(512) as (sandbox, session):
        workspace = sandbox.workspace
        index = max(range(512), key=lambda number: len(workspace.nested(number, "notes")))
        pages = await walk(session, f"/contacts/{workspace.id_of(index)}/notes", 50)
        assert len(pages) > 1
        assert [note for page in pages for note in page["data"]] == workspace.nested(index, "notes")
        index = max(range(512), key=lambda number: len(workspace.nested(number, "companies")))
        url, found = f"{sandbox.base_url}/contacts/{workspace.id_of(index)}/companies", []
        while url:
            async with session.get(url) as response:
                page = await response.json()
            found += page["companies"]
            url = page["pages"].get("next")
        assert found == workspace.nested(index, "companies")
        assert len(found) > 50


async def test_unknown_path_or_method_is_404_with_the_error_envelope() -> None:
    """Unknown contacts, lists, paths and methods are not found, and do not count as requests."""
    async with session_of(10) as (sandbox, session):
        unknown_id, known_id = "0" * 24, sandbox.workspace.id_of(1)
        for path in (
            f"/contacts/{unknown_id}/tags",
            f"/contacts/{known_id}/admins",
            f"/contacts/{unknown_id}",
            "/contact",
            "/contacts/search/x/y",
            "/contacts/",
        ):
            assert await refusal_of(session, path) == (404, "not_found")
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert await refusal_of(session, "/contacts", method) == (404, "not_found")
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
def test_sandbox_with_invalid_argument_is_refused(options: dict[str, Any]) -> None:
    """It is a configuration error, before anything starts."""
    with pytest.raises(ConfigError):
        Sandbox(**options)


async def test_base_url_exists_only_while_the_sandbox_runs() -> None:
    """Before and after the block it raises, and a running sandbox cannot be entered again."""
    sandbox = Sandbox(1)
    for _ in range(2):
        with pytest.raises(ConfigError):
            _ = sandbox.base_url
        async with sandbox:
            assert sandbox.base_url.startswith("http://127.0.0.1:")
            with pytest.raises(ConfigError):
                await sandbox.__aenter__()


async def test_sandbox_with_port_in_use_is_a_config_error() -> None:
    """Another process may use the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}"):
            async with Sandbox(1, port=port):
                pass


async def test_sandbox_exit_closes_connections_and_tasks() -> None:
    """Idle, silent and unread connections all end with the block, and no task remains."""
    before = asyncio.all_tasks()
    async with asyncio.timeout(20):
        async with session_of(3_000) as (sandbox, session):
            await fetch(session, "/me")
            port = int(sandbox.base_url.rpartition(":")[2])
            silent, writer = await asyncio.open_connection("127.0.0.1", port)
            request = f"GET /contacts?per_page=150 HTTP/1.1\r\nAuthorization: Bearer {sandbox.token}\r\n"
            with socket.create_connection(("127.0.0.1", port)) as unread:
                unread.sendall(f"{request}Host: x\r\n\r\n".encode() * 60)
                while sandbox.requests < 2:  # noqa: ASYNC110 - only the counter reports it
                    await asyncio.sleep(0.001)
                await sandbox.__aexit__(None, None, None)
                assert await silent.read() == b""
        writer.close()
        await writer.wait_closed()
    assert asyncio.all_tasks() == before


async def test_official_sdk_lists_every_contact() -> None:
    """python-intercom pages through every contact."""
    async with Sandbox(120, hostile=False) as sandbox:

        def ids() -> list[str | None]:
            # The SDK never closes a client that it creates.
            with httpx.Client() as http:
                client = intercom.Intercom(token=sandbox.token, base_url=sandbox.base_url, httpx_client=http)
                return [contact.id for contact in client.contacts.list(per_page=50)]

        found = await asyncio.to_thread(ids)
        assert found == [sandbox.workspace.id_of(index) for index in range(120)]
        assert sandbox.requests == 3
