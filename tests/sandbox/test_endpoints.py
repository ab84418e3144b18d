"""The sandbox's other endpoints: single contacts, pages by number, and the index page."""

import json
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest

import exporter
from exporter.sandbox.index import ENDPOINTS
from exporter.sandbox.nested import NESTED


def client(sandbox: exporter.Sandbox) -> httpx.AsyncClient:
    """Return an HTTP client that sends the token."""
    return httpx.AsyncClient(base_url=sandbox.base_url, headers={"Authorization": f"Bearer {sandbox.token}"})


def contact_with_many_notes(sandbox: exporter.Sandbox) -> str:
    """Return the id of a contact with more notes than fit on a page of ten."""
    workspace = sandbox.workspace
    return next(workspace.id_of(n) for n in range(len(workspace)) if len(workspace.nested(n, "notes")) > 20)


async def test_contact_by_id_has_the_bytes_of_the_list(sandbox: exporter.Sandbox) -> None:
    """A single contact and the list contain the same bytes."""
    async with client(sandbox) as http:
        for number in (0, 1, 999):
            found = await http.get(f"/contacts/{sandbox.workspace.id_of(number)}")
            assert found.status_code == 200
            assert found.content == sandbox.workspace.records(number, number + 1)[0]


async def test_unknown_or_deleted_contact_is_not_found(sandbox: exporter.Sandbox) -> None:
    """The response is a 404 with the error envelope."""
    deleted = sandbox.change("delete", 5)
    async with client(sandbox) as http:
        for contact_id in ("nobody", deleted):
            response = await http.get(f"/contacts/{contact_id}")
            assert response.status_code == 404
            assert response.json()["errors"] == [{"code": "not_found", "message": "User Not Found"}]


async def test_replay_serves_a_contact_by_its_id(tmp_path: Path, intercom: exporter.Intercom) -> None:
    """A replayed export serves single contacts too."""
    await exporter.export(intercom, tmp_path / "contacts.ndjson", max_contacts=10)
    lines = (tmp_path / "contacts.ndjson").read_bytes().splitlines()
    replay = await anyio.to_thread.run_sync(exporter.Replay, tmp_path / "contacts.ndjson")
    async with exporter.Sandbox(replay=replay) as sandbox, client(sandbox) as http:
        assert (await http.get(f"/contacts/{json.loads(lines[7])['id']}")).content == lines[7]
        assert (await http.get("/contacts/nobody")).status_code == 404


@pytest.mark.parametrize("path", ["/contacts", "/contacts/{id}/notes", "/contacts/{id}/companies"])
async def test_pages_by_number_divide_each_list(sandbox: exporter.Sandbox, path: str) -> None:
    """In each list, pages follow one another, the page after the last is empty, and page 0 is refused."""
    workspace = sandbox.workspace
    path = path.format(id=contact_with_many_notes(sandbox))
    if path.endswith("companies"):
        many = next(n for n in range(len(workspace)) if len(workspace.nested(n, "companies")) > 20)
        path = f"/contacts/{workspace.id_of(many)}/companies"
    async with client(sandbox) as http:

        async def rows(**query: Any) -> list[str]:
            page = (await http.get(path, params=query)).json()
            assert page["pages"]["page"] == query["page"]
            return [row["id"] for row in page.get("data", page.get("companies"))]

        first = await rows(page=1, per_page=10)
        second = await rows(page=2, per_page=10)
        assert len(first) == len(second) == 10
        assert await rows(page=1, per_page=20) == first + second
        assert await rows(page=1_000, per_page=10) == []
        assert (await http.get(path, params={"page": 0})).status_code == 400


async def test_cursor_takes_precedence_over_the_page_number(sandbox: exporter.Sandbox) -> None:
    """The official SDK sends page 1 with each cursor."""
    async with client(sandbox) as http:
        first = (await http.get("/contacts", params={"page": 1})).json()
        cursor = first["pages"]["next"]["starting_after"]
        second = (await http.get("/contacts", params={"page": 1, "starting_after": cursor})).json()
    assert second["data"][0]["id"] == sandbox.workspace.id_of(50)


async def test_index_page_lists_all_endpoints_and_contains_no_token(sandbox: exporter.Sandbox) -> None:
    """A browser can open it without a token, and each listed endpoint exists."""
    async with httpx.AsyncClient(base_url=sandbox.base_url) as http:
        page = await http.get("/")
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert sandbox.token not in page.text
        assert (await http.get("/me")).status_code == 401
    assert {name.removeprefix("GET /contacts/{id}/") for name in ENDPOINTS} >= set(NESTED)
    async with client(sandbox) as http:
        for endpoint in ENDPOINTS:
            assert f"<code>{endpoint}</code>" in page.text
            method, path = endpoint.format(id=sandbox.workspace.id_of(0)).split()
            assert (await http.request(method, path, json={} if method == "POST" else None)).status_code == 200


async def test_unsupported_endpoint_is_404_with_a_helpful_message(sandbox: exporter.Sandbox) -> None:
    """Versions 1.x have no search, and its message names GET /contacts; other messages name the index page."""
    async with client(sandbox) as http:
        search = await http.post("/contacts/search", json={"query": {}}, headers={"Intercom-Version": "1.4"})
        other = await http.delete("/contacts/1")
    assert (search.status_code, other.status_code) == (404, 404)
    messages = [response.json()["errors"][0]["message"] for response in (search, other)]
    assert messages == [
        "the sandbox searches synthetic contacts, from version 2.0 on; GET /contacts lists every contact",
        "the sandbox does not serve DELETE /contacts/1; the page at / lists what it serves",
    ]
