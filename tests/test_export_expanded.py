"""export() with an expansion: lists of contacts made whole, and nothing else changed."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import exporter
from exporter.cli.progress.summary import warnings
from exporter.options import LISTS, ListName
from exporter.sandbox import responses
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.protocol import Refusal
from exporter.source.retry import RequestStats
from tests.support.exports import interrupted_after
from tests.support.sandboxes import serving

EMBEDDED: tuple[ListName, ...] = ("tags", "notes", "companies")
WHOLE = exporter.ListExpansion(LISTS)


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


@pytest.mark.slow
async def test_expanded_lists_are_the_truth(tmp_path: Path) -> None:
    """Every list of every contact is whole, up to 500 tags, 130 notes and companies over several pages."""
    async with serving(10_000, 150, hostile=False) as (sandbox, intercom):
        expansion = exporter.ListExpansion(EMBEDDED, concurrency=20)
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
    async with serving(60, 50, hostile=False) as (sandbox, intercom):
        summary, lines = await exported(intercom, tmp_path / "a.ndjson", expansion=WHOLE)
        assert [json.loads(line) for line in lines] == [whole(sandbox.workspace, n, LISTS) for n in range(60)]
        assert list(json.loads(lines[0]))[-2:] == ["subscriptions", "segments"]
        assert summary.expanded == LISTS


async def test_contacts_without_truncated_lists_keep_their_bytes(tmp_path: Path) -> None:
    """Contacts without a cut list are what was sent; of the others only the list changes, hostile ones included."""
    async with serving(1_100, 150) as (sandbox, intercom):
        _, lines = await exported(intercom, tmp_path / "a.ndjson", expansion=exporter.ListExpansion(("tags",)))
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


@pytest.mark.slow
async def test_output_does_not_depend_on_the_number_of_tasks(tmp_path: Path) -> None:
    """However they overtake one another, pages come in order."""
    written = set()
    async with serving(400, 20, latency_ms=2) as (_, intercom):
        for consumers, concurrency in ((1, 1), (2, 10), (8, 100)):
            path = tmp_path / f"{consumers}.ndjson"
            expansion = exporter.ListExpansion(EMBEDDED, tag_names=True, concurrency=concurrency)
            await exporter.export(intercom, path, expansion=expansion, consumers=consumers)
            written.add(path.read_bytes())
    assert len(written) == 1


async def test_tags_get_their_names(tmp_path: Path) -> None:
    """By one request; whole lists have them already."""
    async with serving(300, 50, hostile=False) as (sandbox, intercom):
        expansion = exporter.ListExpansion(("tags",), tag_names=True)
        summary, lines = await exported(intercom, tmp_path / "a.ndjson", expansion=expansion)
        names = {tag["id"]: tag["name"] for tag in sandbox.workspace.tags()}
        tags = [tag for line in lines for tag in (json.loads(line)["tags"] or {"data": ()})["data"]]
        assert len(tags) > 300
        assert all(tag["name"] == names[tag["id"]] for tag in tags)
        assert summary.requests == summary.pages + summary.lists_expanded + 1


async def test_deleted_contact_keeps_the_lists_of_its_page() -> None:
    """It was merged or deleted after its page was sent; or it has no id that could be asked for."""
    cut = next(record for record in Workspace(100, hostile=False).records(0, 100) if b'"has_more":true' in record)
    odd = (
        b'{"id":"x/../y","tags":{"has_more":true}}',
        b'{"tags":{"has_more":true}}',
        b'{"id":7,"tags":{"has_more":true}}',
    )
    async with serving(0, 50) as (_, intercom):
        expander = intercom.expander(exporter.ListExpansion(("tags",)), RequestStats())
        expanded = await expander.expand(exporter.Page(1, (cut, *odd), None, 4))
    assert tuple(expanded.records) == (cut, *odd)
    assert (expanded.lists, expanded.missing) == (0, {"gone": 2, "no_id": 2})


async def test_manifest_counts_missing_lists(tmp_path: Path) -> None:
    """Contacts that go between their page and their lists are no reason to fail."""
    async with serving(150, 150, hostile=False, changes=["delete@1x150"]) as (_, intercom):
        before = Workspace(150, hostile=False).records(0, 150)
        summary, lines = await exported(intercom, tmp_path / "a.ndjson", expansion=exporter.ListExpansion(EMBEDDED))
    manifest = json.loads((tmp_path / "a.ndjson.manifest.json").read_text())
    assert lines == before
    assert manifest["lists_missing"] == summary.lists_missing > 0
    assert manifest["lists_missing_causes"] == {"gone": summary.lists_missing}
    assert summary.lists_expanded == 0
    assert manifest["expanded"] == list(EMBEDDED)


async def test_expanding_never_exceeds_the_window(tmp_path: Path) -> None:
    """However many requests are under way at once, the announced limit is kept."""
    async with serving(160, 80, rate_limit=400) as (sandbox, intercom):
        expansion = exporter.ListExpansion(("segments",), concurrency=100)
        await exporter.export(intercom, tmp_path / "a.ndjson", expansion=expansion, consumers=8)
        assert sandbox.rate_limited_requests == 0


@pytest.mark.slow
async def test_expanded_export_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    """Its figures add up over its runs, and its bytes are those of one run."""
    async with serving(400, 20) as (_, intercom):
        expansion = exporter.ListExpansion(EMBEDDED)
        whole_summary = await exporter.export(intercom, tmp_path / "whole.ndjson", expansion=expansion)
        with interrupted_after(7) as observer:
            await exporter.export(intercom, tmp_path / "a.ndjson", expansion=expansion, observer=observer)
        summary = await exporter.export(intercom, tmp_path / "a.ndjson", expansion=expansion)
        assert summary.runs == 2
        assert summary.lists_expanded == whole_summary.lists_expanded
        assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "whole.ndjson").read_bytes()
        with pytest.raises(exporter.CheckpointError, match="expanded"):
            await exporter.export(intercom, tmp_path / "a.ndjson")


class Revoking(exporter.Sandbox):
    """Gives pages, and no lists."""

    async def _contact(self, request: web.Request) -> web.Response:
        raise Refusal(401, "unauthorized", f"not for {request.path}")


async def test_failure_in_an_expansion_is_raised_unwrapped(tmp_path: Path) -> None:
    """From however many tasks, one error that says what to do; what was written stays."""
    async with Revoking(50) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            with pytest.raises(exporter.CredentialsError):
                await exporter.export(intercom, tmp_path / "a.ndjson", expansion=WHOLE)
    assert (tmp_path / "a.ndjson.checkpoint.json").exists()


class Failing(exporter.Sandbox):
    """Answers each Nth list, or each one from the Nth on, with something else.

    Attributes:
        every: which lists fail.
        way: a status, or how it fails else.
    """

    every, way, lists, down = 1, "500", 0, 0

    async def _contact(self, request: web.Request) -> web.Response:
        if int(request.match_info["id"], 16) % self.every:
            return await super()._contact(request)
        match self.way:
            case "hang":
                await asyncio.sleep(3600)
            case "reset":
                return responses.reset(request)
            case "html":
                return responses.maintenance({})
            case "down":
                if self.down:
                    self.down -= 1
                    raise Refusal(503, "down", "for a while")
                return await super()._contact(request)
        raise Refusal(int(self.way), "no", "never")

    async def _contacts(self, request: web.Request) -> web.StreamResponse:
        if self.way == "down" and self.down:
            self.down -= 1
            raise Refusal(503, "down", "for a while")
        return await super()._contacts(request)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "cause"),
    [
        *((status, f"http_{status}") for status in ("400", "409", "422", "500", "503")),
        ("404", "gone"),
        ("410", "gone"),
        ("hang", "timeout"),
        ("reset", "network"),
        ("html", "broken_body"),
    ],
)
async def test_export_with_a_list_that_fails_for_ever_keeps_what_the_page_had(
    tmp_path: Path, way: str, cause: str
) -> None:
    """A bad list costs itself, not the export; it is counted by its cause."""
    async with Failing(200, hostile=False) as sandbox:
        sandbox.way, sandbox.every = way, 7
        retry_policy = exporter.RetryPolicy(
            request_timeout_s=1.5, page_budget_s=10, max_attempts=2, initial_backoff_s=0.001
        )
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom:
            summary, lines = await exported(
                intercom, tmp_path / "a.ndjson", expansion=exporter.ListExpansion(("segments",))
            )
        bad = [number for number in range(200) if int(sandbox.workspace.id_of(number), 16) % 7 == 0]
        for number in range(200):
            lists = () if number in bad else ("segments",)
            assert json.loads(lines[number]) == whole(sandbox.workspace, number, lists)  # type: ignore[arg-type]
    assert (summary.lists_missing, summary.lists_expanded) == (len(bad), 200 - len(bad))
    assert summary.lists_missing_causes == {cause: len(bad)}
    sentence = f"{len(bad)} lists of contacts could not be expanded ({cause} {len(bad)})"
    assert [remark.partition(":")[0] for remark in warnings(summary) if "lists" in remark] == [sentence]


class Endless(exporter.Sandbox):
    """Has lists of empty pages without an end."""

    pages = 0

    async def _contact(self, _request: web.Request) -> web.Response:
        self.pages += 1
        following = {"starting_after": f"page {self.pages}"}
        return web.json_response({"type": "list", "data": [], "pages": {"next": following}})


@pytest.mark.slow
async def test_list_of_empty_pages_without_an_end_is_given_up(tmp_path: Path) -> None:
    """Like any list that cannot be had; the export ends."""
    async with Endless(1, hostile=False) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, reserve_percent=0) as intercom:
            summary, _ = await exported(
                intercom, tmp_path / "a.ndjson", expansion=exporter.ListExpansion(("segments",))
            )
    assert (summary.lists_missing_causes, sandbox.pages) == ({"broken_body": 1}, 1_001)


async def test_export_whose_lists_mostly_fail_ends(tmp_path: Path) -> None:
    """Where none of the first twenty lists can be had, it is no matter of single contacts."""
    async with Failing(150, hostile=False) as sandbox:
        retry_policy = exporter.RetryPolicy(max_attempts=2, initial_backoff_s=0.001)
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom:
            with pytest.raises(exporter.RetriesExhausted, match="500"):
                await exporter.export(intercom, tmp_path / "a.ndjson", expansion=exporter.ListExpansion(("segments",)))


class FailingByNumber(exporter.Sandbox):
    """Answers the lists of chosen contacts with 500.

    Attributes:
        failing: the ids of those contacts.
    """

    failing: frozenset[str] = frozenset()

    def let_fail(self, numbers: Iterable[int]) -> None:
        """Choose the contacts, by their place in the list."""
        self.failing = frozenset(map(self.workspace.id_of, numbers))

    async def _contact(self, request: web.Request) -> web.Response:
        if request.match_info["id"] in self.failing:
            raise Refusal(500, "no", "never")
        return await super()._contact(request)


@pytest.mark.slow
@pytest.mark.parametrize(("consumers", "concurrency"), [(1, 1), (1, 100), (8, 7), (8, 100)])
@pytest.mark.parametrize(
    ("failing_of", "is_green"),
    [(((0,), 3), True), (((0,), 2), True), (((0,), 1), False), (((1, 2, 3), 4), False)],
    ids=["every third fails", "every second fails", "all fail", "three of four fail"],
)
async def test_export_with_failing_lists_is_judged_by_their_share_not_by_their_timing(
    tmp_path: Path, failing_of: tuple[tuple[int, ...], int], consumers: int, concurrency: int, *, is_green: bool
) -> None:
    """A failing list ends after its retries, long after others: that makes no difference."""
    remainders, every = failing_of
    failing = [number for number in range(300) if number % every in remainders]
    async with FailingByNumber(300, hostile=False) as sandbox:
        sandbox.let_fail(failing)
        retry_policy = exporter.RetryPolicy(max_attempts=2, initial_backoff_s=0.02)
        async with exporter.Intercom(
            sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy, reserve_percent=0
        ) as intercom:
            expansion = exporter.ListExpansion(("segments",), concurrency=concurrency)
            run = exporter.export(intercom, tmp_path / "a.ndjson", expansion=expansion, consumers=consumers)
            if is_green:
                summary = await run
                assert summary.lists_missing_causes == {"http_500": len(failing)}
            else:
                with pytest.raises(exporter.RetriesExhausted, match="500"):
                    await run
                assert sandbox.requests < 300


async def test_export_while_the_whole_api_is_down_loses_no_list(tmp_path: Path) -> None:
    """Lists that fail while everything fails are asked for again, for as long as a page would be."""
    async with Failing(50, hostile=False) as sandbox:
        sandbox.way = "down"
        retry_policy = exporter.RetryPolicy(max_attempts=12, initial_backoff_s=0.001)

        def break_down(event: exporter.Event) -> None:
            if isinstance(event, exporter.RequestFinished) and event.path == "/contacts" and sandbox.down == 0:
                sandbox.down, sandbox.__dict__["broke"] = (0 if "broke" in sandbox.__dict__ else 10), True

        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom:
            expansion = exporter.ListExpansion(("segments",), concurrency=1)
            path = tmp_path / "a.ndjson"
            summary = await exporter.export(intercom, path, expansion=expansion, observer=break_down)
    assert (summary.lists_missing, summary.lists_expanded) == (0, 50)


class Forbidding(exporter.Sandbox):
    """Gives pages, but neither notes nor the names of tags."""

    async def _contact(self, _request: web.Request) -> web.Response:
        raise Refusal(403, "forbidden", "Access forbidden")

    async def _unpaged(self, _request: web.Request) -> web.Response:
        raise Refusal(403, "forbidden", "Access forbidden")


@pytest.mark.parametrize(
    ("expansion", "named"),
    [
        (exporter.ListExpansion(("notes", "segments")), "/contacts/{id}/"),
        (exporter.ListExpansion(tag_names=True), "/tags: give its app the permission 'Read tags'"),
    ],
)
async def test_export_of_a_forbidden_list_names_its_endpoint(
    tmp_path: Path, expansion: exporter.ListExpansion, named: str
) -> None:
    """What the token may not read is not always contacts."""
    async with Forbidding(50) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            with pytest.raises(exporter.CredentialsError, match="permission") as caught:
                await exporter.export(intercom, tmp_path / "a.ndjson", expansion=expansion)
    assert f"the token may not read {named}" in str(caught.value)


@pytest.mark.parametrize(
    "arguments", [{"lists": ("tag",)}, {"concurrency": 0}, {"concurrency": 101}, {"concurrency": 1.5}]
)
def test_invalid_expansion_is_refused(arguments: Any) -> None:
    """There is no such list, or no such number of requests."""
    with pytest.raises(exporter.ConfigError):
        exporter.ListExpansion(**arguments)
