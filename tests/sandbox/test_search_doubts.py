"""Contacts that a search does not find, or counts twice."""

import json
from typing import Any

import pytest

from exporter.sandbox import SearchSettings, Workspace
from exporter.sandbox.search_endpoint import SearchEndpoint


def endpoint_of(workspace: Workspace, **settings: Any) -> SearchEndpoint:
    """Return the endpoint of a workspace, with exact dates."""
    endpoint = SearchEndpoint(workspace, SearchSettings(precision="second", **settings), "UTC", lambda: 1_800_000_000.0)
    workspace.listener = endpoint.search
    return endpoint


def count(endpoint: SearchEndpoint, first: int, end: int, per_page: int = 50, cursor: str | None = None) -> int:
    """Return the count of the contacts created from one time up to another one, as one page reports it."""
    return int(page(endpoint, first, end, per_page, cursor)["total_count"])


def page(endpoint: SearchEndpoint, first: int, end: int, per_page: int, cursor: str | None = None) -> dict[str, Any]:
    """Return a page of the contacts created from one time up to another one."""
    conditions = [{"field": "created_at", "operator": name, "value": at} for name, at in ((">=", first), ("<", end))]
    body = {
        "query": {"operator": "AND", "value": conditions},
        "sort": {"field": "created_at", "order": "ascending"},
        "pagination": {"per_page": per_page, "starting_after": cursor},
    }
    found: dict[str, Any] = json.loads(endpoint.body(endpoint.parse(json.dumps(body).encode(), "2.14"), "2.14"))
    return found


def test_unsettled_contact_is_counted_twice_by_every_page_of_more_than_one() -> None:
    """It is the contact in the middle; each range with it reports one contact more than it has."""
    workspace = Workspace(100)
    endpoint = endpoint_of(workspace, unsettled=1)
    at = [workspace.created_at(index) for index in range(100)]
    assert count(endpoint, 0, 2**40) == 101
    assert count(endpoint, 0, 2**40, per_page=1) == 100
    assert count(endpoint, at[50], at[51]) == count(endpoint, at[50], at[50] + 1, per_page=2) == 2
    assert count(endpoint, at[50], at[51], per_page=1) == 1
    assert (count(endpoint, 0, at[50]), count(endpoint, at[51], 2**40)) == (50, 49)


def test_unsettled_count_is_the_same_on_each_page_and_all_contacts_are_found() -> None:
    """So the count never fits what can be read."""
    endpoint = endpoint_of(Workspace(100), unsettled=1)
    pages = [page(endpoint, 0, 2**40, 30)]
    while following := pages[-1]["pages"].get("next"):
        pages.append(page(endpoint, 0, 2**40, 30, following["starting_after"]))
    assert [one["total_count"] for one in pages] == [101] * 4
    assert sum(len(one["data"]) for one in pages) == 100


def test_unsettled_contacts_are_distributed_and_counted_before_the_cap() -> None:
    """None of them is a missing contact, and a removed one does not count."""
    workspace = Workspace(100)
    assert count(endpoint_of(workspace, unsettled=4), 0, 2**40) == 104
    assert count(endpoint_of(workspace, unsettled=200), 0, 2**40) == 200
    assert count(endpoint_of(workspace, unsettled=4, cap=102), 0, 2**40) == 102
    endpoint = endpoint_of(workspace, unsettled=1, missing=1)
    assert count(endpoint, 0, 2**40) == 99 + 1
    for _ in range(5):
        workspace.delete(48)
    assert count(endpoint, 0, 2**40) == count(endpoint, 0, 2**40, per_page=1) == 95


@pytest.mark.parametrize("contacts", [0, 1, 2])
def test_doubts_about_more_contacts_than_there_are_apply_to_all(contacts: int) -> None:
    """Also in an empty workspace."""
    assert count(endpoint_of(Workspace(contacts), unsettled=3), 0, 2**40) == 2 * contacts
    assert count(endpoint_of(Workspace(contacts), missing=3), 0, 2**40) == 0
    assert count(endpoint_of(Workspace(contacts), missing=3, unsettled=3), 0, 2**40) == 0
