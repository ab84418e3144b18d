"""`Intercom.search`: the page loop over `POST /contacts/search`."""

import json
from typing import Any

import pytest

import exporter
from exporter.observe.events import Event, RequestFinished
from exporter.source.base_url import path_template
from tests.support.clients import QUICK

ALL = {"field": "created_at", "operator": ">", "value": 0}


async def test_search_gives_the_bytes_of_the_list_when_everything_matches() -> None:
    """Sorted by creation date, as the list of a sandbox is."""
    async with (
        exporter.Sandbox(400) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom,
    ):
        found = [record async for page in intercom.search(ALL) for record in page.records]
        listed = [record async for page in intercom.pages() for record in page.records]
    assert found == listed


async def test_search_sends_order_and_page_size_with_each_page() -> None:
    """Descending order, a filter of two levels and small pages; `total_count` is that of the contacts that match."""
    query = {"operator": "AND", "value": [ALL, {"operator": "OR", "value": [role("user"), role("lead")]}]}
    async with (
        exporter.Sandbox(50) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=7) as intercom,
    ):
        pages = [page async for page in intercom.search(query, sort=("created_at", "descending"))]
    stamps = [json.loads(record)["created_at"] for page in pages for record in page.records]
    assert stamps == sorted(stamps, reverse=True)
    assert [len(page.records) for page in pages] == [7] * 7 + [1]
    assert {page.total_count for page in pages} == {50}


def role(name: str) -> dict[str, str]:
    """Return a filter by role."""
    return {"field": "role", "operator": "=", "value": name}


@pytest.mark.parametrize("fault", ["http_503", "http_429", "reset", "truncate", "empty_200", "html_200"])
async def test_search_is_retried_as_the_list_is(fault: str) -> None:
    """A search only reads: its POST is repeated after each transient failure."""
    events: list[Event] = []
    async with (
        exporter.Sandbox(400, faults=[f"{fault}@2"]) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=QUICK) as intercom,
    ):
        pages = [page async for page in intercom.search(ALL, observer=events.append)]
    assert sum(len(page.records) for page in pages) == 400
    finished = [event for event in events if isinstance(event, RequestFinished)]
    assert {(event.method, event.path) for event in finished} == {("POST", "/contacts/search")}
    assert len(finished) == len(pages) + 1


async def test_search_reports_an_invalid_query_with_its_code() -> None:
    """A refusal is no transient failure, and its code is an attribute."""
    async with (
        exporter.Sandbox(10) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom,
    ):
        with pytest.raises(exporter.ApiError) as refused:
            await anext(intercom.search({"field": "nonsense", "operator": "=", "value": 1}))
    assert (refused.value.status, refused.value.code) == (400, "invalid_field")


@pytest.mark.parametrize(
    ("query", "sort", "option"),
    [
        ("role = user", ("created_at", "ascending"), "query"),
        ({"value": {1, 2}}, ("created_at", "ascending"), "query"),
        (ALL, ("created_at", "asc"), "sort"),
        (ALL, ("", "ascending"), "sort"),
        (ALL, "created_at", "sort"),
        (ALL, ("created_at",), "sort"),
    ],
)
async def test_search_refuses_wrong_arguments_before_any_request(query: Any, sort: Any, option: str) -> None:
    """One line that names the argument."""
    intercom = exporter.Intercom("token", base_url="http://127.0.0.1:9")
    with pytest.raises(exporter.ConfigError) as refused:
        intercom.search(query, sort=sort)
    assert refused.value.keywords == (option,)


def test_search_needs_version_2() -> None:
    """Versions 1.x have no search of contacts."""
    with pytest.raises(exporter.ConfigError, match=r"API version 1\.4 cannot search contacts"):
        exporter.Intercom("token", base_url="http://127.0.0.1:9", api_version="1.4").search(ALL)


def test_path_of_a_search_is_not_taken_for_a_contact() -> None:
    """Events name the endpoint, and hide ids."""
    assert path_template("/contacts/search") == "/contacts/search"
    assert path_template("/contacts/5f0a/tags") == "/contacts/{id}/tags"
