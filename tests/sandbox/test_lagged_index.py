"""The index of a search while contacts change: before, while and after a thread makes it."""

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

import httpx
import pytest

import exporter
from exporter.sandbox import SearchSettings, Workspace
from exporter.sandbox.calendar import DateField
from exporter.sandbox.search_endpoint import Request, SearchEndpoint
from tests.support.waiting import until

Dates = tuple[list[int], Sequence[int]]
UTC = ZoneInfo("UTC")  # loaded here: that reads a file


class SlowWorkspace(Workspace):
    """A workspace whose dates are read only after the test allows it."""

    def __init__(self, contacts: int) -> None:
        super().__init__(contacts)
        self.may_read = threading.Event()
        self.readers = 0

    def dates(self, field: DateField) -> Callable[[], Dates]:
        """Return a function that waits."""
        read = super().dates(field)

        def read_later() -> Dates:
            self.readers += 1
            assert self.may_read.wait(30)
            return read()

        return read_later


def endpoint_of(workspace: Workspace, lag_s: float = 0) -> SearchEndpoint:
    """Return the endpoint of a workspace."""
    endpoint = SearchEndpoint(workspace, SearchSettings(lag_s=lag_s), UTC.key, lambda: 1_800_000_000.0)
    workspace.listener = endpoint.search
    return endpoint


def request_of(endpoint: SearchEndpoint, field: str) -> Request:
    """Return a request for all contacts in the order of a date."""
    body = {"sort": {"field": field, "order": "ascending"}, "pagination": {"per_page": 150}}
    return endpoint.parse(json.dumps(body).encode(), "2.14")


def found(endpoint: SearchEndpoint, field: str) -> list[str]:
    """Return the ids of all contacts in the order of a date."""
    return [one["id"] for one in json.loads(endpoint.body(request_of(endpoint, field), "2.14"))["data"]]


def expected(workspace: Workspace, field: str) -> list[str]:
    """Return the ids of all contacts in the order of a date, from their JSON."""
    rows = map(json.loads, workspace.records(0, len(workspace)))
    return [row["id"] for row in sorted(rows, key=lambda row: (row[field], row["id"]))]


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
async def test_changes_while_the_index_is_made_are_found(field: str) -> None:
    """The thread reads the contacts as they were; what changed since then is applied to its index."""
    workspace = SlowWorkspace(100)
    endpoint = endpoint_of(workspace)
    prepared = asyncio.create_task(endpoint.search.prepare(request_of(endpoint, field).search))
    await until(lambda: workspace.readers > 0)
    for index in range(0, 40, 4):
        workspace.insert(index)
        workspace.update(index + 1, 50)
        workspace.delete(index + 2)
        workspace.update(index, 0)
    workspace.delete(0)
    workspace.may_read.set()
    await prepared
    assert found(endpoint, field) == expected(workspace, field)
    workspace.update(7, 60)
    assert found(endpoint, field) == expected(workspace, field)


async def test_changes_while_the_index_is_made_have_the_lag() -> None:
    """A new contact does not appear earlier because the index was not ready."""
    workspace = SlowWorkspace(100)
    endpoint = endpoint_of(workspace, lag_s=60)
    before = expected(workspace, "created_at")
    prepared = asyncio.create_task(endpoint.search.prepare(request_of(endpoint, "created_at").search))
    await until(lambda: workspace.readers > 0)
    workspace.insert(0)
    workspace.may_read.set()
    await prepared
    assert found(endpoint, "created_at") == before


async def test_first_searches_at_the_same_time_make_one_index() -> None:
    """One thread makes it; the others wait, also when the first search is cancelled."""
    workspace = SlowWorkspace(100)
    endpoint = endpoint_of(workspace)
    search = request_of(endpoint, "created_at").search
    cancelled, *others = (asyncio.create_task(endpoint.search.prepare(search)) for _ in range(10))
    await until(lambda: workspace.readers > 0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert not any(one.done() for one in others)
    workspace.may_read.set()
    await asyncio.gather(*others)
    assert workspace.readers == 1
    assert found(endpoint, "created_at") == expected(workspace, "created_at")


async def test_other_requests_are_answered_while_the_index_is_made() -> None:
    """A million contacts take seconds."""
    workspace = SlowWorkspace(100)
    async with exporter.Sandbox(100) as sandbox:
        sandbox.workspace.dates = workspace.dates  # type: ignore[method-assign]
        headers = {"Authorization": f"Bearer {sandbox.token}"}
        async with httpx.AsyncClient(base_url=sandbox.base_url, headers=headers) as http:
            search = asyncio.create_task(http.post("/contacts/search", json={}))
            await until(lambda: workspace.readers > 0)
            listed = await http.get("/contacts")
            assert not search.done()
            workspace.may_read.set()
            assert (await search).json()["total_count"] == listed.json()["total_count"] == 100
