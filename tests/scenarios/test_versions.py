"""Every version of the API that can be asked for: the same contacts, whatever shape their pages have."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

import exporter
from exporter.sandbox.protocol import VERSIONS
from tests.support.exports import interrupted_after, lines_of

OLD = sorted(version for version in VERSIONS if version.startswith("1."))


def client(sandbox: exporter.Sandbox, version: str, **options: Any) -> exporter.Intercom:
    """Make a client that asks for a version."""
    retry_policy = exporter.RetryPolicy(max_attempts=9, initial_backoff_s=0.001)
    return exporter.Intercom(
        sandbox.token, base_url=sandbox.base_url, api_version=version, retry_policy=retry_policy, **options
    )


@pytest.mark.slow
@pytest.mark.parametrize("version", sorted(VERSIONS))
async def test_export_in_each_version_has_every_contact(version: str, tmp_path: Path) -> None:
    """Byte for byte, though pages fail in every way, and with the version in the manifest."""
    faults = ["http_500=7", "truncate=5", "empty_200=11", "reset=13"]
    async with exporter.Sandbox(700, faults=faults) as sandbox, client(sandbox, version, per_page=50) as intercom:
        summary = await exporter.export(intercom, tmp_path / "a.ndjson")
        text_owners = version in {"2.16", "2.17", "Preview", "Unstable"}
        expected = lines_of(sandbox.workspace.records(0, 700, text_owners=text_owners))
    assert (tmp_path / "a.ndjson").read_bytes() == expected
    assert summary.source.api_version == summary.source.api_version_echoed == version
    assert summary.complete


@pytest.mark.parametrize("version", OLD)
async def test_export_in_an_old_version_resumes(version: str, tmp_path: Path) -> None:
    """An export resumes from a page's number as from a cursor."""
    async with exporter.Sandbox(700) as sandbox, client(sandbox, version, per_page=50) as intercom:
        with interrupted_after(5) as observer:
            await exporter.export(intercom, tmp_path / "a.ndjson", observer=observer, consumers=1)
        summary = await exporter.export(intercom, tmp_path / "a.ndjson")
        expected = lines_of(sandbox.workspace.records(0, 700))
    assert summary.runs == 2
    assert (tmp_path / "a.ndjson").read_bytes() == expected


async def test_circle_in_an_old_version_is_noticed(tmp_path: Path) -> None:
    """A page that names itself as the next one ends the export."""
    async with exporter.Sandbox(700, faults=["cursor_loop@3"]) as sandbox, client(sandbox, "1.4") as intercom:
        with pytest.raises(exporter.ContractError, match="circle"):
            await exporter.export(intercom, tmp_path / "a.ndjson")


@pytest.mark.slow
async def test_export_in_an_old_version_reports_its_limit(tmp_path: Path) -> None:
    """It ends with contact 10,000, and the counts show that there are more."""
    events = list[exporter.Event]()
    async with exporter.Sandbox(10_200, hostile=False) as sandbox, client(sandbox, "1.0") as intercom:
        summary = await exporter.export(intercom, tmp_path / "a.ndjson", observer=events.append)
    assert (summary.contacts, summary.total_count_last) == (10_000, 10_200)
    assert [event.requested for event in events if isinstance(event, exporter.LegacyApiVersion)] == ["1.0"]


def test_command_with_an_old_version_warns(command: Any) -> None:
    """In a line that says which version lists all contacts."""
    done = command.run("demo", "--contacts", "10", "--api-version", "1.3", "--output", "a.ndjson")
    assert done.returncode == 0
    assert b"at most 10,000" in done.stderr
    assert b"at most 10,000" not in command.run("demo", "--contacts", "10", "--output", "b.ndjson").stderr


@pytest.mark.parametrize("version", sorted(VERSIONS))
async def test_sandbox_gives_owners_as_text_from_2_16_on(version: str) -> None:
    """On pages and for one contact alike."""
    async with exporter.Sandbox(60) as sandbox, httpx.AsyncClient(base_url=sandbox.base_url) as asking:
        headers = {"Authorization": f"Bearer {sandbox.token}", "Intercom-Version": version}
        page = (await asking.get("/contacts?per_page=60", headers=headers)).json()
        rows = page["contacts" if version in OLD else "data"]
        single = [(await asking.get(f"/contacts/{row['id']}", headers=headers)).json() for row in rows[:8]]
    expected = str if version in {"2.16", "2.17", "Preview", "Unstable"} else int
    assert {type(row["owner_id"]) for row in rows} == {expected, type(None)}
    assert single == rows[:8]


async def test_sandbox_in_old_version_serves_the_old_form() -> None:
    """Contacts under their own name, and the next page as a URL."""
    async with exporter.Sandbox(120) as sandbox, httpx.AsyncClient(base_url=sandbox.base_url) as asking:
        headers = {"Authorization": f"Bearer {sandbox.token}", "Intercom-Version": "1.2"}
        first = (await asking.get("/contacts?per_page=60", headers=headers)).json()
        last = (await asking.get(first["pages"]["next"], headers=headers)).json()
        beyond = await asking.get("/contacts?per_page=60&page=200", headers=headers)
    assert (first["type"], len(first["contacts"]), first["total_count"]) == ("contact.list", 60, 120)
    assert first["pages"]["next"] == f"{sandbox_url(first)}?per_page=60&page=2"
    assert last["pages"]["next"] is None
    assert [json.loads(record)["id"] for record in sandbox.workspace.records(60, 120)] == [
        contact["id"] for contact in last["contacts"]
    ]
    assert beyond.status_code == 400


def sandbox_url(page: dict[str, Any]) -> str:
    """Give the address of the listing that a page belongs to."""
    return str(page["pages"]["next"]).partition("?")[0]
