"""Workspaces that change while they are read: what was listed is written, and the figures tell the rest."""

import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter
from tests.support.exports import verified
from tests.support.properties import examples

CONTACTS = 120
PER_PAGE = 10

a_change = st.one_of(
    st.builds("{}={}".format, st.sampled_from(["insert", "update", "delete"]), st.integers(1, 4)),
    st.builds(
        "{}@{}x{}".format, st.sampled_from(["insert", "update", "delete"]), st.integers(1, 12), st.integers(1, 30)
    ),
)


async def listing(changes: list[str]) -> tuple[list[bytes], list[int | None]]:
    """Read such a workspace page by page: its records and what it counts on each page."""
    records: list[bytes] = []
    counts: list[int | None] = []
    async with exporter.Sandbox(CONTACTS, changes=changes) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=PER_PAGE) as intercom:
            async for page in intercom.pages():
                records += page.records
                counts.append(page.total_count)
    return records, counts


async def export(path: Path, changes: list[str], stops: list[int]) -> tuple[exporter.Summary, int]:
    """Export such a workspace, cancelled after so many pages of each run; count what the API counts at the end."""

    async def run(intercom: exporter.Intercom, most_pages: int | None) -> exporter.Summary | None:
        pages = 0

        def observe(event: exporter.Event) -> None:
            nonlocal pages
            pages += isinstance(event, exporter.PageWritten)
            if pages == most_pages:
                task.cancel()

        task = asyncio.create_task(exporter.export(intercom, path, observer=observe))
        await asyncio.wait([task])
        return None if task.cancelled() else task.result()

    async with exporter.Sandbox(CONTACTS, changes=changes) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=PER_PAGE) as intercom:
            for most_pages in stops:
                await run(intercom, most_pages)
            summary = await run(intercom, None)
            assert summary is not None
            return summary, len(sandbox.workspace)


def repeated(lines: list[bytes]) -> int:
    """Count the lines whose contact an earlier line has."""
    ids = Counter(json.loads(line)["id"] for line in lines)
    return sum(count - 1 for count in ids.values())


@given(st.lists(a_change, max_size=4))
@examples(percent=25)
def test_export_of_a_changing_workspace_is_the_listing(changes: list[str]) -> None:
    """Whatever changes meanwhile, the file is the listing; its counts and those of the API are in the manifest."""

    async def check(path: Path) -> None:
        records, counts = await listing(changes)
        summary, _ = await export(path, changes, [])
        lines = path.read_bytes().splitlines()
        assert [line.replace(b"\r", b" ") for line in lines] == [
            record.replace(b"\n", b" ").replace(b"\r", b" ") for record in records
        ]
        assert (summary.complete, summary.contacts) == (True, len(records))
        assert (summary.total_count_first, summary.total_count_last) == (counts[0], counts[-1])
        await _verify(path, lines)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder, "contacts.ndjson")))


@given(st.lists(a_change, min_size=1, max_size=4), st.lists(st.integers(1, 5), max_size=3))
@examples(percent=25)
def test_interrupted_export_of_a_changing_workspace_counts_right(changes: list[str], stops: list[int]) -> None:
    """After cancellations and resumes an export of a changing workspace still counts its lines and its duplicates."""

    async def check(path: Path) -> None:
        summary, _counted = await export(path, changes, stops)
        lines = path.read_bytes().splitlines()
        assert summary.contacts == len(lines)
        assert summary.interruptions == summary.runs - 1 <= len(stops)
        await _verify(path, lines)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder, "contacts.ndjson")))


async def test_contact_that_moves_is_listed_twice_or_never(tmp_path: Path) -> None:
    """One moved behind the reader comes twice, which is found; one moved before it is missed, which no count shows."""
    path = tmp_path / "contacts.ndjson"
    async with exporter.Sandbox(CONTACTS) as sandbox:
        first, last = sandbox.workspace.id_of(0), sandbox.workspace.id_of(CONTACTS - 1)

        def observe(event: exporter.Event) -> None:
            if isinstance(event, exporter.PageWritten) and event.position.pages == 1:
                sandbox.change("update", 0, CONTACTS - 1)
                sandbox.change("update", CONTACTS - 2, 0)

        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=PER_PAGE) as intercom:
            summary = await exporter.export(intercom, path, observer=observe, queue_pages=1, consumers=1)
    ids = Counter(json.loads(line)["id"] for line in path.read_bytes().splitlines())
    assert (ids[first], ids[last]) == (2, 0)
    assert summary.contacts == summary.total_count_last == CONTACTS
    result = await verified(path)
    assert (result.duplicates, len(result.warnings), result.differences) == (1, 1, ())
    assert first in result.warnings[0]
    assert summary.duplicates == 1


@pytest.mark.parametrize(("change", "listed"), [("delete@1x20", 120), ("insert@1x20", 120)])
async def test_manifest_has_the_first_and_the_last_count(tmp_path: Path, change: str, listed: int) -> None:
    """The API's counts on the first and the last page are both there."""
    summary, counted = await export(tmp_path / "contacts.ndjson", [change], [])
    assert summary.total_count_first == listed
    assert summary.total_count_last == counted != listed


async def _verify(path: Path, lines: list[bytes]) -> None:
    result = await verified(path)
    assert result.duplicates == repeated(lines)
    assert result.differences == ()
    assert len(result.warnings) == (1 if result.duplicates else 0)
