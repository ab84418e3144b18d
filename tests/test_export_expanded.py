"""export() with an expansion: lists of contacts made whole, and nothing else changed."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

import exporter
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.protocol import Refusal
from exporter.source.expansion import LISTS, ListName
from exporter.source.trial import Traffic

EMBEDDED: tuple[ListName, ...] = ("tags", "notes", "companies")
WHOLE = exporter.Expansion(LISTS)
Served = tuple[exporter.Sandbox, exporter.Intercom]


@asynccontextmanager
async def serving(contacts: int, per_page: int = 50, **options: Any) -> AsyncIterator[Served]:
    """Serve a workspace."""
    patience = exporter.Patience(attempts=3, first_backoff_s=0.001)
    async with exporter.Sandbox(contacts, **options) as sandbox:
        async with exporter.Intercom(
            sandbox.token, base_url=sandbox.base_url, per_page=per_page, reserve_percent=0, patience=patience
        ) as intercom:
            yield sandbox, intercom


def whole(workspace: Workspace, number: int, lists: tuple[ListName, ...]) -> dict[str, Any]:
    """Say what a contact is once these lists are whole."""
    contact: dict[str, Any] = json.loads(workspace.record(number))
    for name in lists:
        truth = workspace.nested(number, name)
        if name not in EMBEDDED:
            url = f"/contacts/{contact['id']}/{name}"
            made = {"type": "list", "data": truth, "url": url, "total_count": len(truth), "has_more": False}
            contact[name] = made
        elif contact[name] and contact[name]["has_more"]:
            contact[name] |= {"data": truth, "has_more": False}
    return contact


async def exported(intercom: exporter.Intercom, path: Path, **options: Any) -> tuple[exporter.Summary, list[bytes]]:
    """Export, and read the lines."""
    summary = await exporter.export(intercom, path, **options)
    return summary, path.read_bytes().splitlines()


async def test_expanded_lists_are_the_truth(tmp_path: Path) -> None:
    """Every list of every contact is whole, up to 500 tags, 130 notes and companies over several pages."""
    async with serving(10_000, 150, hostile=False) as (sandbox, intercom):
        expansion = exporter.Expansion(EMBEDDED, concurrency=20)
        summary, lines = await exported(intercom, tmp_path / "a.ndjson", expansion=expansion, consumers=8)
        assert summary.lists_missing == 0
        found = list(map(json.loads, lines))
        assert found == [whole(sandbox.workspace, number, EMBEDDED) for number in range(10_000)]
        assert max(len(contact["tags"]["data"]) for contact in found if contact["tags"]) == 500
        cut = list(map(json.loads, sandbox.workspace.records(0, 10_000)))
        expected = sum(bool(contact[name] and contact[name]["has_more"]) for contact in cut for name in EMBEDDED)
        assert summary.lists_expanded == expected > 100


async def test_lists_that_are_not_embedded_are_added(tmp_path: Path) -> None:
    """Subscriptions and segments stand behind all that the contact has, in the form of its other lists."""
    async with serving(60, hostile=False) as (sandbox, intercom):
        summary, lines = await exported(intercom, tmp_path / "a.ndjson", expansion=WHOLE)
        assert [json.loads(line) for line in lines] == [whole(sandbox.workspace, n, LISTS) for n in range(60)]
        assert list(json.loads(lines[0]))[-2:] == ["subscriptions", "segments"]
        assert summary.expanded == LISTS


async def test_whatever_is_not_expanded_keeps_its_bytes(tmp_path: Path) -> None:
    """Contacts without a cut list are what was sent; of the others only the list changes, hostile ones included."""
    async with serving(1_100, 150) as (sandbox, intercom):
        _, lines = await exported(intercom, tmp_path / "a.ndjson", expansion=exporter.Expansion(("tags",)))
        changed = 0
        for line, record in zip(lines, sandbox.workspace.records(0, 1_100), strict=True):
            if line == record.replace(b"\r", b" ").replace(b"\n", b" "):
                continue
            changed += 1
            start = record.index(b'"tags":')
            assert line[:start] == record[:start]
            rest = record[record.index(b'"notes":', start) :]
            assert line.endswith(rest)
        assert changed > 10


async def test_output_does_not_depend_on_the_number_of_tasks(tmp_path: Path) -> None:
    """However they overtake one another, pages come in order."""
    written = set()
    async with serving(400, 20, latency_ms=2) as (_, intercom):
        for consumers, concurrency in ((1, 1), (2, 10), (8, 100)):
            path = tmp_path / f"{consumers}.ndjson"
            expansion = exporter.Expansion(EMBEDDED, tag_names=True, concurrency=concurrency)
            await exporter.export(intercom, path, expansion=expansion, consumers=consumers)
            written.add(path.read_bytes())
    assert len(written) == 1


async def test_tags_get_their_names(tmp_path: Path) -> None:
    """By one request; whole lists have them already."""
    async with serving(300, hostile=False) as (sandbox, intercom):
        expansion = exporter.Expansion(("tags",), tag_names=True)
        summary, lines = await exported(intercom, tmp_path / "a.ndjson", expansion=expansion)
        names = {tag["id"]: tag["name"] for tag in sandbox.workspace.tags()}
        tags = [tag for line in lines for tag in (json.loads(line)["tags"] or {"data": ()})["data"]]
        assert len(tags) > 300
        assert all(tag["name"] == names[tag["id"]] for tag in tags)
        assert summary.requests == summary.pages + summary.lists_expanded + 1


async def test_a_contact_that_is_gone_keeps_what_it_had() -> None:
    """It was merged or deleted after its page was sent; or it has no id that could be asked for."""
    cut = next(record for record in Workspace(100, hostile=False).records(0, 100) if b'"has_more":true' in record)
    odd = (
        b'{"id":"x/../y","tags":{"has_more":true}}',
        b'{"tags":{"has_more":true}}',
        b'{"id":7,"tags":{"has_more":true}}',
    )
    async with serving(0) as (_, intercom):
        expander = intercom.expander(exporter.Expansion(("tags",)), Traffic())
        expanded = await expander.expand(exporter.Page(1, (cut, *odd), None, 4))
    assert tuple(expanded.records) == (cut, *odd)
    assert (expanded.lists, expanded.missing) == (0, 4)


async def test_the_manifest_counts_lists_that_are_missing(tmp_path: Path) -> None:
    """Contacts that go between their page and their lists are no reason to fail."""
    async with serving(150, 150, hostile=False, changes=["delete@1x150"]) as (_, intercom):
        before = Workspace(150, hostile=False).records(0, 150)
        summary, lines = await exported(intercom, tmp_path / "a.ndjson", expansion=exporter.Expansion(EMBEDDED))
    manifest = json.loads((tmp_path / "a.ndjson.manifest.json").read_text())
    assert lines == before
    assert manifest["lists_missing"] == summary.lists_missing > 0
    assert summary.lists_expanded == 0
    assert manifest["expanded"] == list(EMBEDDED)


async def test_expanding_never_exceeds_the_window(tmp_path: Path) -> None:
    """However many requests are under way at once, the announced limit is kept."""
    async with serving(160, 80, rate_limit=400) as (sandbox, intercom):
        expansion = exporter.Expansion(("segments",), concurrency=100)
        await exporter.export(intercom, tmp_path / "a.ndjson", expansion=expansion, consumers=8)
        assert sandbox.refusals == 0


async def test_an_expanding_export_goes_on(tmp_path: Path) -> None:
    """Its figures add up over its runs, and its bytes are those of one run."""
    async with serving(400, 20) as (_, intercom):
        expansion = exporter.Expansion(EMBEDDED)
        whole_summary = await exporter.export(intercom, tmp_path / "whole.ndjson", expansion=expansion)
        with anyio.CancelScope() as scope:

            def stop(event: exporter.Event) -> None:
                if isinstance(event, exporter.PageWritten) and event.position.pages == 7:
                    scope.cancel()

            await exporter.export(intercom, tmp_path / "a.ndjson", expansion=expansion, observer=stop)
        summary = await exporter.export(intercom, tmp_path / "a.ndjson", expansion=expansion)
        assert summary.runs == 2
        assert summary.lists_expanded == whole_summary.lists_expanded
        assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "whole.ndjson").read_bytes()
        with pytest.raises(exporter.CheckpointError, match="expanded"):
            await exporter.export(intercom, tmp_path / "a.ndjson")


class Revoking(exporter.Sandbox):
    """Gives pages, and no lists."""

    async def _nested(self, request: web.Request) -> web.Response:
        raise Refusal(401, "unauthorized", f"not for {request.path}")


async def test_a_failure_leaves_as_itself(tmp_path: Path) -> None:
    """From however many tasks, one error that says what to do; what was written stays."""
    async with Revoking(50) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            with pytest.raises(exporter.CredentialsError):
                await exporter.export(intercom, tmp_path / "a.ndjson", expansion=WHOLE)
    assert (tmp_path / "a.ndjson.checkpoint.json").exists()


@pytest.mark.parametrize(
    "arguments", [{"lists": ("tag",)}, {"concurrency": 0}, {"concurrency": 101}, {"concurrency": 1.5}]
)
def test_nonsense_is_refused(arguments: Any) -> None:
    """There is no such list, or no such number of requests."""
    with pytest.raises(exporter.ConfigError):
        exporter.Expansion(**arguments)
