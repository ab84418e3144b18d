"""Intercom's own SDKs against the sandbox: the same contacts as an export, single ones, and lists that end."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from intercom import AsyncIntercom, Intercom, SingleFilterSearchRequest, StartingAfterPaging
from intercom.core.api_error import ApiError

from exporter import Sandbox


def test_official_sdk_lists_the_exported_contacts(
    serve: Callable[..., AbstractContextManager[Any]], command: Any
) -> None:
    """The SDK's pager and the command find the same contacts, in the same order, with the same fields."""
    with serve("--contacts=1000") as served, httpx.Client() as connection:
        sdk = Intercom(token=served.token, base_url=served.base_url, httpx_client=connection)
        listed = list(sdk.contacts.list(per_page=100))
        done = command.run("contacts", "-q", served=served)
    exported = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(exported) == 1_000
    for field in ("id", "email", "name", "role", "created_at", "external_id"):
        assert [getattr(contact, field) for contact in listed] == [contact[field] for contact in exported], field


@pytest.fixture
def sandbox_of_friends() -> Sandbox:
    """Make 1,000 contacts without hostile values."""
    return Sandbox(1_000, hostile=False)


async def test_sdk_finds_a_contact_and_reports_an_unknown_one(sandbox_of_friends: Sandbox) -> None:
    """A contact by its id, and the SDK's own error where there is none."""
    async with sandbox_of_friends as sandbox, httpx.AsyncClient() as connection:
        sdk = AsyncIntercom(token=sandbox.token, base_url=sandbox.base_url, httpx_client=connection)
        listed = json.loads(sandbox.workspace.records(7, 8)[0])
        found = await sdk.contacts.find(listed["id"])
        assert (found.id, found.email, found.created_at) == (listed["id"], listed["email"], listed["created_at"])
        with pytest.raises(ApiError, match="User Not Found") as caught:
            await sdk.contacts.find("nobody")
    assert caught.value.status_code == 404


async def test_sdk_pages_through_notes_and_companies_to_their_end(sandbox_of_friends: Sandbox) -> None:
    """Each pager gives every row once, and ends."""
    async with sandbox_of_friends as sandbox, httpx.AsyncClient() as connection:
        sdk = AsyncIntercom(token=sandbox.token, base_url=sandbox.base_url, httpx_client=connection)
        pagers: dict[Any, Any] = {"notes": sdk.notes.list, "companies": sdk.contacts.list_attached_companies}
        for name, pager in pagers.items():
            workspace = sandbox.workspace
            number = next(n for n in range(1_000) if len(workspace.nested(n, name)) > 20)
            rows = []
            async for row in await pager(workspace.id_of(number), per_page=10):
                rows.append(row.id)
                assert len(rows) <= 1_000
            assert rows == [row["id"] for row in workspace.nested(number, name)]


async def test_sdk_search_finds_all_matching_contacts(sandbox_of_friends: Sandbox) -> None:
    """The latest contact is first. The SDK's own pager does not pass the cursor on, so the test follows it."""
    async with sandbox_of_friends as sandbox, httpx.AsyncClient() as connection:
        sdk = AsyncIntercom(token=sandbox.token, base_url=sandbox.base_url, httpx_client=connection)
        query = SingleFilterSearchRequest(field="role", operator="=", value="user")
        ids: list[str | None] = []
        cursor = None
        while cursor is not None or not ids:
            pagination = StartingAfterPaging(per_page=50, starting_after=cursor)
            page = (await sdk.contacts.search(query=query, pagination=pagination)).response
            ids += [contact.id for contact in page.data or ()]
            cursor = page.pages.next.starting_after if page.pages and page.pages.next else None
        records = map(json.loads, sandbox.workspace.records(0, len(sandbox.workspace)))
        assert ids == [record["id"] for record in records if record["role"] == "user"][::-1]


NODE = """
const { IntercomClient } = require("intercom-client");
const client = new IntercomClient({ token: process.env.INTERCOM_ACCESS_TOKEN, environment: process.env.BASE_URL });
(async () => {
  const ids = [];
  for await (const contact of await client.contacts.list({ per_page: 100 })) ids.push(contact.id);
  const found = await client.contacts.find({ contact_id: ids[7] });
  const unknown = await client.contacts.find({ contact_id: "nobody" }).catch((error) => error.statusCode);
  const notes = [];
  for await (const note of await client.notes.list({ contact_id: process.argv[1], per_page: 10 })) {
    notes.push(note.id);
    if (notes.length > 1000) break;
  }
  console.log(JSON.stringify({ ids, found: found.id, unknown, notes }));
})();
"""


def node_modules() -> str | None:
    """Return the folder of packages that has Intercom's SDK for Node, None where there is none."""
    if shutil.which("node") is None:
        return None
    folders = [os.environ.get("NODE_PATH", ""), str(Path.cwd() / "node_modules")]
    return next((folder for folder in folders if folder and (Path(folder) / "intercom-client").is_dir()), None)


@pytest.mark.skipif(node_modules() is None, reason="no Node, or no npm package intercom-client in NODE_PATH")
async def test_node_sdk_lists_finds_and_pages_through_notes(sandbox_of_friends: Sandbox) -> None:
    """Intercom's SDK for Node: the same contacts, one of them by its id, and a pager of notes that ends."""
    async with sandbox_of_friends as sandbox:
        workspace = sandbox.workspace
        number = next(n for n in range(1_000) if len(workspace.nested(n, "notes")) > 20)
        environment = {"NODE_PATH": node_modules() or "", "BASE_URL": sandbox.base_url}
        done = await anyio.run_process(
            ["node", "-e", NODE, workspace.id_of(number)],
            env=os.environ | environment | {"INTERCOM_ACCESS_TOKEN": sandbox.token},
        )
    told = json.loads(done.stdout)
    assert told["ids"] == [workspace.id_of(n) for n in range(1_000)]
    assert (told["found"], told["unknown"]) == (workspace.id_of(7), 404)
    assert told["notes"] == [row["id"] for row in workspace.nested(number, "notes")]
