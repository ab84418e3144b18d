"""`POST /contacts/search` over HTTP: faults, versions, limits, and the time zone of `GET /me`."""

import asyncio
import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

import exporter
from exporter.sandbox import SearchSettings

HONOLULU = ZoneInfo("Pacific/Honolulu")  # loaded here: that reads a file
ALL = {"field": "created_at", "operator": ">", "value": 0}


def client(sandbox: exporter.Sandbox, version: str = "2.14") -> httpx.AsyncClient:
    """Return a client of a sandbox."""
    headers = {"Authorization": f"Bearer {sandbox.token}", "Intercom-Version": version}
    return httpx.AsyncClient(base_url=sandbox.base_url, headers=headers)


async def search(http: httpx.AsyncClient, query: Any, cursor: str | None = None, per_page: int = 50) -> httpx.Response:
    """Request one page, the oldest contacts first."""
    pagination = {"per_page": per_page} | ({"starting_after": cursor} if cursor else {})
    sort = {"field": "created_at", "order": "ascending"}
    return await http.post("/contacts/search", json={"query": query, "pagination": pagination, "sort": sort})


async def test_search_has_the_contacts_of_the_list_with_the_same_bytes(sandbox: exporter.Sandbox) -> None:
    """In each version: the owner's id is text from 2.16 on."""
    for version in ("2.14", "2.16", "2.17"):
        async with client(sandbox, version) as http:
            found = await search(http, ALL, per_page=150)
            listed = await http.get("/contacts", params={"per_page": 150})
        assert (
            found.content[: found.content.rindex(b'],"total_count"')]
            == listed.content[: listed.content.rindex(b'],"total_count"')]
        )


async def test_search_needs_a_token_and_counts_against_the_rate_limit() -> None:
    """As any other endpoint. The sandbox counts successful and refused requests."""
    async with exporter.Sandbox(10, rate_limit=2, clock=lambda: 1_000_000.0) as sandbox, client(sandbox) as http:
        statuses = [(await search(http, ALL)).status_code for _ in range(3)]
        http.headers["Authorization"] = "Bearer wrong"
        assert (await search(http, ALL)).status_code == 401
        await http.get("/contacts/search")
    assert statuses == [200, 200, 429]
    assert (sandbox.search_requests, sandbox.requests, sandbox.rate_limited_requests) == (4, 0, 1)


@pytest.mark.parametrize(("fault", "status"), [("http_503", 503), ("http_429", 429), ("empty_200", 200)])
async def test_search_pages_have_the_faults_of_their_number(fault: str, status: int) -> None:
    """A fault is due at the second page of a search as at that of the list; the same request then succeeds."""
    async with exporter.Sandbox(200, faults=[f"{fault}@2"]) as sandbox, client(sandbox) as http:
        first = await search(http, ALL)
        cursor = first.json()["pages"]["next"]["starting_after"]
        failed, second = await search(http, ALL, cursor), await search(http, ALL, cursor)
    assert (first.status_code, failed.status_code, second.status_code) == (200, status, 200)
    assert failed.content == b"" or status != 200
    assert second.json()["pages"]["page"] == 2


async def test_search_with_a_cursor_loop_repeats_its_cursor() -> None:
    """The next cursor of the page is the one that it was requested with."""
    async with exporter.Sandbox(300, faults=["cursor_loop@2"]) as sandbox, client(sandbox) as http:
        cursor = (await search(http, ALL)).json()["pages"]["next"]["starting_after"]
        looping = await search(http, ALL, cursor)
        again = await search(http, ALL, looping.json()["pages"]["next"]["starting_after"])
    assert ids_of(again) == ids_of(looping)


def ids_of(response: httpx.Response) -> list[str]:
    """Return the ids on a page."""
    return [contact["id"] for contact in response.json()["data"]]


async def test_search_in_an_old_version_is_not_found(sandbox: exporter.Sandbox) -> None:
    """Versions 1.x have no search."""
    async with client(sandbox, "1.4") as http:
        assert (await search(http, ALL)).status_code == 404


async def test_hot_day_is_one_day_in_the_time_zone_of_the_workspace() -> None:
    """`GET /me` names that zone, and a search by day finds the whole day."""
    zone = "America/Los_Angeles"
    async with exporter.Sandbox(2_000, years=8, hot_day=0.6, timezone=zone) as sandbox, client(sandbox) as http:
        stamps = [sandbox.workspace.created_at(index) for index in range(2_000)]
        days = [datetime.fromtimestamp(stamp, ZoneInfo(zone)).date() for stamp in stamps]
        hot = max(days, key=days.count)
        found = await search(http, {"field": "created_at", "operator": "=", "value": stamps[days.index(hot)]})
        assert (await http.get("/me")).json()["app"]["timezone"] == zone
    assert days.count(hot) == found.json()["total_count"]
    assert 0.55 < days.count(hot) / 2_000 < 0.65
    assert (max(days) - min(days)).days > 7 * 365
    assert len(set(days)) > 500


async def test_timezone_changed_while_running_moves_the_days() -> None:
    """A workspace's settings may change during an export."""
    async with exporter.Sandbox(100, timezone="UTC") as sandbox, client(sandbox) as http:
        midnight = sandbox.workspace.created_at(0) // 86_400 * 86_400  # all contacts are created in the hour after it
        query = {"field": "created_at", "operator": "<", "value": midnight + 40_000}
        before = (await search(http, query)).json()["total_count"]
        sandbox.timezone = HONOLULU.key
        after = (await search(http, query)).json()["total_count"]
        assert (await http.get("/me")).json()["app"]["timezone"] == HONOLULU.key
    assert (before, after) == (0, 100)  # in Honolulu they belong to the day before


async def test_live_changes_have_the_time_of_the_clock() -> None:
    """New contacts were created in the last half minute, none in the future; updated ones are updated now."""
    async with exporter.Sandbox(10, live=True, clock=lambda: 1_900_000_000.5) as sandbox:
        inserted, updated = sandbox.change("insert", 0), sandbox.change("update", 5, 1)
        records = {record["id"]: record for record in map(json.loads, sandbox.workspace.records(0, 20))}
    assert 0 < 1_900_000_000 - records[inserted]["created_at"] <= 30
    assert records[updated]["updated_at"] == 1_900_000_000


@pytest.mark.parametrize(
    "arguments",
    [
        {"years": 0},
        {"years": 1_001},
        {"hot_day": -0.1},
        {"hot_day": 1.1},
        {"timezone": None},
        {"search": "day"},
        {"live": 1},
    ],
)
def test_sandbox_with_invalid_time_settings_is_refused(arguments: dict[str, Any]) -> None:
    """Each is a ConfigError, before anything runs."""
    with pytest.raises(exporter.ConfigError):
        exporter.Sandbox(10, **arguments)


@pytest.mark.parametrize("timezone", ["Nowhere/Land", "../etc/passwd", "", "UTC\0"])
def test_sandbox_in_unknown_time_zone_is_refused(timezone: str) -> None:
    """Where it is entered, and where it is set later."""

    async def enter() -> None:
        async with exporter.Sandbox(10, timezone=timezone):
            pass

    with pytest.raises(exporter.ConfigError, match="is not the name of a time zone"):
        asyncio.run(enter())
    with pytest.raises(exporter.ConfigError, match="is not the name of a time zone"):
        exporter.Sandbox(10).timezone = timezone


async def test_search_settings_of_a_sandbox_apply_to_its_searches() -> None:
    """Here: a cap, and exact seconds in an old version."""
    settings = SearchSettings(precision="second", cap=7)
    async with exporter.Sandbox(50, search=settings) as sandbox, client(sandbox) as http:
        stamp = sandbox.workspace.created_at(20)
        one = await search(http, {"field": "created_at", "operator": "=", "value": stamp})
        every = await search(http, ALL)
    assert ids_of(one) == [sandbox.workspace.id_of(20)]
    assert every.json()["total_count"] == 7
