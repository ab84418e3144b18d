"""Lists that end although the API counts many more contacts: never a finished export without a word."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import exporter
from exporter.cli.progress.summary import warnings
from exporter.sandbox import pages
from tests.support.exports import interrupted_after, lines_of, verified

PER_PAGE = 50
COUNTED = 1_000
Served = tuple[Any, exporter.Intercom]


class ShortListing(pages.Listing):
    """A list that ends after 200 contacts for some requests, and counts all of them.

    Attributes:
        short_answers: how many requests get that end.
        counted: what it says in the place of the count.
    """

    short_answers = 10**9
    ends_after = 200
    counted: str = str(COUNTED)

    def body(self, position: int, per_page: int, *, loop: bool = False, url: str = "") -> bytes:
        """Return a page, the last one if it is time."""
        body = json.loads(super().body(position, per_page, loop=loop, url=url))
        if position + per_page == self.ends_after and self.short_answers:
            self.short_answers -= 1
            body["pages"]["next"] = None
        records = b",".join(self.workspace.records(position, position + per_page))
        counted, following = self.counted.encode(), json.dumps(body["pages"]).encode()
        return b'{"type":"list","data":[%b],"total_count":%b,"pages":%b}' % (records, counted, following)


class OldShortListing(pages.OldListing):
    """The same of the versions 1.x."""

    def body(self, position: int, per_page: int, *, loop: bool = False, url: str = "") -> bytes:
        """Return a page, the last one if it is time."""
        body = json.loads(super().body(position, per_page, loop=loop, url=url))
        if position + per_page == ShortListing.ends_after:
            body["pages"]["next"] = None
        return json.dumps(body).encode()


def replace_listing(sandbox: exporter.Sandbox, listing: pages.Listing, old: pages.OldListing | None = None) -> None:
    """Let a sandbox serve another list, and in versions 1.x the old one."""
    vars(sandbox)["_listing"] = lambda version: old if old and version.startswith("1.") else listing


@asynccontextmanager
async def serving(short_answers: int = 10**9, counted: str = str(COUNTED), **options: Any) -> AsyncIterator[Served]:
    """Serve a workspace whose list ends early for so many requests."""
    async with exporter.Sandbox(COUNTED) as sandbox:
        listing = ShortListing(sandbox.workspace)
        listing.short_answers, listing.counted = short_answers, counted
        replace_listing(sandbox, listing, OldShortListing(sandbox.workspace))
        retry_policy = exporter.RetryPolicy(initial_backoff_s=0.001, max_attempts=4)
        settings: dict[str, Any] = {"per_page": PER_PAGE, "retry_policy": retry_policy} | options
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, **settings) as intercom:
            yield sandbox, intercom


def manifest_of(path: Path) -> Any:
    """Read a manifest."""
    return json.loads(path.with_name(f"{path.name}.manifest.json").read_bytes())


async def test_export_of_a_short_list_fails_with_both_numbers_and_resumes(tmp_path: Path) -> None:
    """The last page is asked for again and never committed as the end: once the list goes on, a later run does."""
    path = tmp_path / "a.ndjson"
    async with serving() as (sandbox, intercom):
        for _ in range(2):
            with pytest.raises(exporter.ContractError, match=r"ends after 200 contacts.*counts 1,000") as caught:
                await exporter.export(intercom, path)
            assert "gave up after 4 attempts" in str(caught.value)
            assert "--allow-shortfall" in str(caught.value)
        assert not path.exists()
        checkpoint = json.loads((tmp_path / "a.ndjson.checkpoint.json").read_bytes())
        assert checkpoint["figures"]["position"]["contacts"] == 150
        assert checkpoint["figures"]["retries"] == {"shortfall": 6}
        sandbox._listing("2.14").short_answers = 0
        summary = await exporter.export(intercom, path)
        assert path.read_bytes() == lines_of(sandbox.workspace.records(0, COUNTED))
    assert (summary.runs, summary.complete, summary.shortfall) == (3, True, None)
    assert "shortfall" not in manifest_of(path)


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz", "parts/"])
async def test_export_of_a_list_that_ends_early_at_first_goes_on(tmp_path: Path, name: str) -> None:
    """Where the last page turns out to have a next one, nothing is missing."""
    async with serving(2) as (_, intercom):
        summary = await exporter.export(intercom, f"{tmp_path}/{name}")
    assert (summary.contacts, summary.retries) == (COUNTED, {"shortfall": 2})
    result = await verified(tmp_path / name)
    assert result.differences == ()


async def test_export_with_allowed_shortfall_finishes_and_counts_it(tmp_path: Path) -> None:
    """The end is believed at once, also by a run that resumes; the manifest says how many contacts are missing."""
    path = tmp_path / "a.ndjson"
    async with serving() as (sandbox, intercom):
        with pytest.raises(exporter.ContractError):
            await exporter.export(intercom, path)
        summary = await exporter.export(intercom, path, allow_shortfall=True)
        again = await exporter.export(intercom, path)
        assert path.read_bytes() == lines_of(sandbox.workspace.records(0, 200))
    assert (summary.complete, summary.shortfall, summary.contacts) == (True, 800, 200)
    assert manifest_of(path)["shortfall"] == 800
    assert again == summary


@pytest.mark.parametrize(
    ("counted", "is_doubted"), [("null", False), ("200", False), ("250", False), ("251", True), ("10", False)]
)
async def test_pages_of_a_list_are_doubted_beyond_one_page(counted: str, is_doubted: bool) -> None:
    """What a page may hold can be missing from a workspace that moves; without a count nothing is known."""
    async with serving(counted=counted) as (_, intercom):
        listing = intercom.pages()
        if is_doubted:
            for _ in range(2):
                with pytest.raises(exporter.ContractError, match="ends after 200 contacts"):
                    [page async for page in listing]
        else:
            assert sum([len(page.records) async for page in listing]) == 200


@pytest.mark.parametrize(("counted", "is_doubted"), [("222", False), ("223", True)])
async def test_pages_of_a_list_are_doubted_beyond_a_tenth(counted: str, is_doubted: bool) -> None:
    """With small pages it is a tenth of all that may be missing."""
    async with serving(counted=counted, per_page=10) as (_, intercom):
        found = 0
        try:
            async for page in intercom.pages():
                found += len(page.records)
        except exporter.ContractError:
            assert is_doubted
        else:
            assert (found, is_doubted) == (200, False)


class GrowingListing(pages.Listing):
    """A list that is whole, while the count on each page behind the first is half as much again.

    Attributes:
        ends_after: where it ends.
    """

    ends_after = COUNTED

    def body(self, position: int, per_page: int, *, loop: bool = False, url: str = "") -> bytes:
        """Return a page with its count."""
        body = json.loads(super().body(position, per_page, loop=loop, url=url))
        body["total_count"] = COUNTED * 3 // 2 if position else COUNTED
        if position + per_page >= self.ends_after:
            body["pages"]["next"] = None
        return json.dumps(body).encode()


@pytest.mark.slow
@pytest.mark.parametrize("is_resumed", [False, True])
async def test_export_of_a_list_whose_count_grows_is_complete_at_the_first_count(
    tmp_path: Path, *, is_resumed: bool
) -> None:
    """Contacts that are made while the list is read need not be listed; a run that resumes knows the first count."""
    async with serving() as (sandbox, intercom):
        replace_listing(sandbox, GrowingListing(sandbox.workspace))
        if is_resumed:
            with interrupted_after(7) as observer:
                await exporter.export(intercom, tmp_path / "a.ndjson", observer=observer)
        summary = await exporter.export(intercom, tmp_path / "a.ndjson")
    assert (summary.contacts, summary.shortfall, summary.retries) == (COUNTED, None, {})
    assert (summary.runs, summary.total_count_first, summary.total_count_last) == (1 + is_resumed, 1_000, 1_500)


async def test_export_of_a_short_list_whose_count_grows_names_both_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first page counted has to come; the error and the remark on an allowed shortfall tell the same."""
    monkeypatch.setattr(GrowingListing, "ends_after", 200)
    both = "after 200 contacts, although the API counted 1,000 on the first page and 1,500 on the last"
    async with serving() as (sandbox, intercom):
        replace_listing(sandbox, GrowingListing(sandbox.workspace))
        with pytest.raises(exporter.ContractError, match=both):
            await exporter.export(intercom, tmp_path / "a.ndjson")
        summary = await exporter.export(intercom, tmp_path / "a.ndjson", allow_shortfall=True)
    assert summary.shortfall == 800
    assert any(f"{both}: 800 may be missing" in remark for remark in warnings(summary))


async def test_iterators_over_a_short_list_do_not_end_silently() -> None:
    """Whoever iterates gets the same error, and the same way to allow the shortfall."""
    async with serving() as (_, intercom):
        found = 0
        with pytest.raises(exporter.ContractError, match=r"200 .* 1,000"):
            async for _contact in intercom.contacts():
                found += 1
        assert found == 150
        assert len([contact async for contact in intercom.contacts(allow_shortfall=True)]) == 200
        assert len([page async for page in intercom.pages(allow_shortfall=True)]) == 4
        async with exporter.stream(intercom) as chunks:
            with pytest.raises(exporter.ContractError, match=r"200 .* 1,000"):
                [chunk async for chunk in chunks]
        async with exporter.stream(intercom, allow_shortfall=True) as chunks:
            assert b"".join([chunk async for chunk in chunks]).count(b"\n") == 200


@pytest.mark.parametrize("limit", [100, 170, 200])
async def test_export_with_a_limit_that_a_short_list_reaches_succeeds(tmp_path: Path, limit: int) -> None:
    """Contacts that nobody asked for are not missed."""
    async with serving() as (_, intercom):
        summary = await exporter.export(intercom, tmp_path / "a.ndjson", max_contacts=limit)
        assert (summary.contacts, summary.retries) == (limit, {})
        with pytest.raises(exporter.ContractError, match="ends after 200 contacts"):
            await exporter.export(intercom, tmp_path / "b.ndjson", max_contacts=201)


@pytest.mark.slow
async def test_export_of_a_short_list_of_an_old_version_fails_too(tmp_path: Path) -> None:
    """Pages by number end early just as well."""
    async with serving(api_version="1.4") as (_, intercom):
        with pytest.raises(exporter.ContractError, match=r"200 .* 1,000"):
            await exporter.export(intercom, tmp_path / "a.ndjson")
        summary = await exporter.export(intercom, tmp_path / "a.ndjson", allow_shortfall=True)
    assert summary.shortfall == 800


async def test_empty_list_with_a_count_fails(tmp_path: Path) -> None:
    """One contact that is counted and not listed is enough of a doubt; it can be allowed like any other."""

    class Empty(pages.Listing):
        def body(self, position: int, per_page: int, *, loop: bool = False, url: str = "") -> bytes:
            del position, per_page, loop, url
            return b'{"type":"list","data":[],"total_count":1,"pages":null}'

    async with serving() as (sandbox, intercom):
        replace_listing(sandbox, Empty(sandbox.workspace))
        with pytest.raises(exporter.ContractError, match="ends after 0 contacts, although the API counts 1;"):
            await exporter.export(intercom, tmp_path / "a.ndjson")
        summary = await exporter.export(intercom, tmp_path / "a.ndjson", allow_shortfall=True)
    assert (summary.contacts, summary.complete) == (0, True)


async def test_check_of_a_short_list_warns(tmp_path: Path) -> None:
    """The preflight says at once what an export would find out after its retries."""
    async with serving(per_page=150) as (sandbox, intercom):
        ShortListing.ends_after, before = 150, ShortListing.ends_after
        try:
            checked = await exporter.check(intercom, tmp_path / "a.ndjson")
            allowed = await exporter.check(intercom, tmp_path / "a.ndjson", allow_shortfall=True)
            limited = await exporter.check(intercom, tmp_path / "a.ndjson", max_contacts=150)
        finally:
            ShortListing.ends_after = before
        assert sandbox.requests == 3
    (warning,) = set(checked.warnings) - set(allowed.warnings)
    assert warning.startswith("the list ends after 150 contacts, although the API counts 1,000")
    assert limited.warnings == allowed.warnings


async def test_command_with_a_short_list_ends_with_4_or_allows_it(command: Any) -> None:
    """One line with both numbers and the option; with the option 0, and a line that says what is missing."""
    async with serving() as (sandbox, _):

        def run(*options: str) -> Any:
            line = ("contacts", "-o", "a.ndjson", "--per-page=50", "--max-retry-time=1", "--progress=none", *options)
            environment = {"INTERCOM_EXPORTER_BASE_URL": sandbox.base_url, "INTERCOM_ACCESS_TOKEN": sandbox.token}
            return command.run(*line, **environment)

        failed = await anyio.to_thread.run_sync(run, "-q")
        done = await anyio.to_thread.run_sync(run, "--allow-shortfall")
        again, quiet = await anyio.to_thread.run_sync(run), await anyio.to_thread.run_sync(run, "-q")
    assert failed.returncode == 4
    assert len(failed.stderr.splitlines()) == 1
    for part in (b"ends after 200 contacts, although the API counts 1,000", b"--allow-shortfall"):
        assert part in failed.stderr
    assert done.returncode == 0
    sentence = b"the list ended after 200 contacts, although the API counts 1,000: 800 may be missing"
    assert sentence in done.stderr
    assert (again.returncode, again.stderr.count(b"\n")) == (0, 2)
    assert b"is already complete" in again.stderr
    assert sentence in again.stderr
    assert (quiet.returncode, quiet.stderr) == (0, b"")
    result = await anyio.to_thread.run_sync(command.run, "verify", "a.ndjson")
    assert (result.returncode, result.stderr.count(b"\n")) == (0, 1)
    assert b"; 800 more that the API counts may be missing" in result.stderr
