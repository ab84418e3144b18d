"""export() again: it goes on where it was interrupted, and the result is what it would have been."""

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

import exporter
from exporter.layout.atomic import remove, write_temporary

Lines = Callable[[list[bytes]], bytes]
Served = tuple[exporter.Sandbox, exporter.Intercom]
KINDS: dict[str, dict[str, Any]] = {
    "contacts.ndjson": {},
    "contacts.ndjson.gz": {},
    "contacts.ndjson.zst": {},
    "contacts.csv": {},
    "contacts.csv.gz": {},
    "contacts.parquet": {},
    "columns/": {"part_contacts": 30, "file_format": "parquet"},
    "tables/": {"part_contacts": 30, "file_format": "csv"},
    "parts/": {"part_contacts": 30},
}
kinds = pytest.mark.parametrize("kind", KINDS)


def looks(kind: str) -> int:
    """Count the requests before the first page: of a table for its columns."""
    return int("csv" in kind or "table" in kind)


@asynccontextmanager
async def serving(contacts: int = 115, per_page: int = 10, **options: Any) -> AsyncIterator[Served]:
    """Serve the same twelve pages, at another address each time; outputs remember it by one name."""
    retry_policy = exporter.RetryPolicy(max_attempts=3, initial_backoff_s=0.001)
    async with exporter.Sandbox(contacts, **({"hostile": True} | options)) as sandbox:
        async with exporter.Intercom(
            sandbox.token, base_url=sandbox.base_url, per_page=per_page, retry_policy=retry_policy
        ) as intercom:
            intercom.identity = "a sandbox"
            yield sandbox, intercom


async def export(intercom: exporter.Intercom, folder: Path | str, kind: str, **settings: Any) -> exporter.Summary:
    """Export into one of the three kinds of output."""
    return await exporter.export(intercom, f"{folder}/{kind}", **(KINDS[kind] | settings))


async def interrupted(
    intercom: exporter.Intercom, folder: Path | str, kind: str, pages: int, **settings: Any
) -> list[exporter.Event]:
    """Export until so many pages are written, then cancel; give what was told."""
    events: list[exporter.Event] = []

    def observe(event: exporter.Event) -> None:
        events.append(event)
        if sum(isinstance(event, exporter.PageWritten) for event in events) == pages:
            scope.cancel()

    with anyio.CancelScope() as scope:
        await export(intercom, folder, kind, **({"consumers": 1, "observer": observe} | settings))
    assert scope.cancelled_caught
    return events


def data_in(folder: Path | str) -> dict[str, bytes]:
    """Read an export's data files, by name."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".json")
    return {path.name: path.read_bytes() for path in paths}


async def uninterrupted(kind: str, **options: Any) -> dict[str, bytes]:
    """Give the data files that an export leaves which nothing interrupts."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(**options) as (_, intercom):
            await export(intercom, folder, kind)
        return data_in(folder)


@kinds
@pytest.mark.parametrize("pages", [1, 6, 11])
async def test_a_cancelled_export_goes_on(tmp_path: Path, kind: str, pages: int) -> None:
    """The data is what an uninterrupted export writes, and only the pages that are missing are requested."""
    async with serving() as (_, intercom):
        await interrupted(intercom, tmp_path, kind, pages)
    async with serving() as (sandbox, intercom):
        summary = await export(intercom, tmp_path, kind)
        assert sandbox.requests == 12 - pages
    assert data_in(tmp_path) == await uninterrupted(kind)
    assert (summary.runs, summary.interruptions, summary.pages, summary.contacts) == (2, 1, 12, 115)
    assert summary.complete
    assert not list(tmp_path.rglob("*checkpoint*"))


@kinds
@pytest.mark.parametrize(
    ("fault", "error", "requests", "retries"),
    [
        ("http_503@4x3", exporter.RetriesExhausted, 3 + 3 + 9, {"http_503": 2}),
        ("http_401@4", exporter.CredentialsError, 3 + 1 + 9, {}),
        ("http_403@4", exporter.CredentialsError, 3 + 1 + 9, {}),
        ("http_400@4", exporter.ApiError, 3 + 1 + 9, {}),
    ],
)
async def test_an_export_goes_on_after_a_failure(  # noqa: PLR0913, PLR0917 - the failure and what it costs
    tmp_path: Path,
    kind: str,
    fault: str,
    error: type[exporter.SourceError],
    requests: int,
    retries: dict[str, int],
) -> None:
    """Whatever the API failed with, the same call does the rest, and the figures of both runs add up."""
    async with serving(faults=[fault]) as (sandbox, intercom):
        with pytest.raises(error):
            await export(intercom, tmp_path, kind)
        before = sandbox.requests
        summary = await export(intercom, tmp_path, kind)
        assert sandbox.requests - before == 9
        assert sandbox.requests == requests
        assert summary.requests == requests + looks(kind)
    assert data_in(tmp_path) == await uninterrupted(kind)
    assert (summary.runs, summary.interruptions, summary.retries) == (2, 1, retries)
    assert (summary.total_count_first, summary.total_count_last) == (115, 115)


@kinds
@hypothesis(deadline=None, max_examples=8)
@given(
    stops=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), max_size=4), interval_s=st.sampled_from([0, 1.0])
)
async def test_any_interruptions_give_the_same_bytes(
    kind: str, stops: list[tuple[int, int]], interval_s: float
) -> None:
    """After whichever pages it is interrupted, with whatever number of consumers, the data is always the same."""
    written, runs = 0, 1
    with tempfile.TemporaryDirectory() as folder:
        async with serving() as (_, intercom):
            for pages, consumers in stops:
                if written + pages < 12:
                    settings = {"consumers": consumers, "checkpoint_every_s": interval_s}
                    told = await interrupted(intercom, folder, kind, pages, **settings)
                    committed = [event.position.pages for event in told if isinstance(event, exporter.Committed)]
                    assert committed == sorted(committed)
                    assert committed[-1] >= written + pages
                    written, runs = committed[-1], runs + 1
            summary = await export(intercom, folder, kind)
        assert (summary.runs, summary.interruptions) == (runs, runs - 1)
        assert (summary.contacts, summary.pages, summary.complete) == (115, 12, True)
        assert data_in(folder) == await uninterrupted(kind)


async def test_a_task_that_is_cancelled_leaves_the_same(tmp_path: Path) -> None:
    """A bare task.cancel() commits what is written, as anyio's own cancellation does."""
    written, kind = asyncio.Event(), "contacts.ndjson.gz"

    def observe(event: exporter.Event) -> None:
        if isinstance(event, exporter.PageWritten) and event.position.pages == 5:
            written.set()

    async with serving() as (_, intercom):
        task = asyncio.create_task(export(intercom, tmp_path, kind, observer=observe))
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        events: list[exporter.Event] = []
        await export(intercom, tmp_path, kind, observer=events.append)
    assert isinstance(events[0], exporter.Resumed)
    assert events[0].position.pages >= 5
    assert data_in(tmp_path) == await uninterrupted(kind)


@kinds
async def test_events_tell_what_is_kept(tmp_path: Path, kind: str) -> None:
    """A run tells first where it goes on; each commit says how far everything is on disk, the last one all of it."""
    async with serving() as (_, intercom):
        before = await interrupted(intercom, tmp_path, kind, 4, checkpoint_every_s=0)
        after: list[exporter.Event] = []
        await export(intercom, tmp_path, kind, observer=after.append, checkpoint_every_s=0)
    pages = [event.position for event in before if isinstance(event, exporter.PageWritten)]
    kept = [event.position for event in before if isinstance(event, exporter.Committed)]
    assert set(kept) == set(pages)
    assert [position.pages for position in kept] == sorted(position.pages for position in kept)
    resumed, first, *rest = after
    assert resumed == exporter.Resumed(pages[-1])
    assert first == exporter.Committed(pages[-1])
    assert [event.position.pages for event in rest if isinstance(event, exporter.PageWritten)] == list(range(5, 13))
    assert not any(isinstance(event, exporter.Resumed) for event in rest)


@kinds
async def test_an_unfinished_export_goes_on_also_with_overwrite(tmp_path: Path, kind: str) -> None:
    """Only finished exports are overwritten, and only restart drops an unfinished one: it counts from one again."""
    async with serving() as (_, intercom):
        await interrupted(intercom, tmp_path, kind, 6)
        events = await interrupted(intercom, tmp_path, kind, 1, overwrite=True)
        assert isinstance(events[0], exporter.Resumed)
        assert events[0].position.pages == 6
    async with serving() as (sandbox, intercom):
        events = []
        summary = await export(intercom, tmp_path, kind, restart=True, observer=events.append)
        assert not any(isinstance(event, exporter.Resumed) for event in events)
        assert (summary.runs, summary.requests, summary.pages, sandbox.requests) == (1, 12 + looks(kind), 12, 12)
    assert data_in(tmp_path) == await uninterrupted(kind)


@pytest.mark.parametrize(("limit", "pages"), [(60, 2), (55, 2), (55, 5), (60, 6), (55, 6), (115, 12), (200, 3)])
@kinds
async def test_a_limit_holds_over_all_runs(tmp_path: Path, kind: str, limit: int, pages: int, lines_of: Lines) -> None:
    """The remaining number is written, to the contact, also when it was interrupted right at the boundary."""
    async with serving() as (_, intercom):
        await interrupted(intercom, tmp_path, kind, pages, max_contacts=limit)
    async with serving() as (sandbox, intercom):
        for other in (None, limit + 1):
            with pytest.raises(exporter.CheckpointError, match="unfinished export with another max contacts"):
                await export(intercom, tmp_path, kind, max_contacts=other)
        summary = await export(intercom, tmp_path, kind, max_contacts=limit)
        assert sandbox.requests == max(-(-min(limit, 115) // 10) - pages, 0)
        assert (summary.contacts, summary.limited_to_contacts) == (min(limit, 115), limit)
        assert (summary.complete, summary.runs) == (limit >= 115, 2)
        if kind == "contacts.ndjson":
            assert data_in(tmp_path) == {kind: lines_of(sandbox.workspace.records(0, limit))}


@pytest.mark.parametrize("step", ["replace_durably", "write_temporary", "remove"])
@kinds
async def test_an_export_that_died_while_it_was_finished_is_finished(
    tmp_path: Path, kind: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the name, the manifest or the end of the checkpoint was missing: the same call needs no request."""

    def die(path: Path, *_: object) -> None:
        if step == "remove" and "checkpoint" not in path.name:
            remove(path)
        else:
            raise OSError(5, "as good as dead")

    def die_at_the_end(event: exporter.Event) -> None:
        if isinstance(event, exporter.PageWritten) and event.position.reached_end:
            monkeypatch.setattr(f"exporter.destination.local.{step}", die)

    async with serving() as (_, intercom):
        with pytest.raises(exporter.SinkError, match="as good as dead"):
            await export(intercom, tmp_path, kind, observer=die_at_the_end)
    monkeypatch.undo()
    async with serving() as (sandbox, intercom):
        summary = await export(intercom, tmp_path, kind)
        assert (summary.complete, summary.contacts, sandbox.requests) == (True, 115, 0)
        assert await export(intercom, tmp_path, kind) == summary
    assert data_in(tmp_path) == await uninterrupted(kind)
    assert not list(tmp_path.rglob("*checkpoint*"))


async def test_an_overwriting_export_that_died_without_its_manifest_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No old manifest stands beside the new file then: the same command, also without overwrite, completes it."""

    def die(*_: object) -> None:
        raise OSError(5, "as good as dead")

    async with serving() as (sandbox, intercom):
        await export(intercom, tmp_path, "contacts.ndjson", max_contacts=10)
        with monkeypatch.context() as patched:
            patched.setattr("exporter.destination.local.write_temporary", die)
            with pytest.raises(exporter.SinkError):
                await export(intercom, tmp_path, "contacts.ndjson", overwrite=True)
        assert [path.name for path in sorted(tmp_path.iterdir())] == [
            "contacts.ndjson",
            "contacts.ndjson.checkpoint.json",
        ]
        requests = sandbox.requests
        summary = await export(intercom, tmp_path, "contacts.ndjson")
        assert (summary.complete, summary.contacts, sandbox.requests) == (True, 115, requests)
    assert data_in(tmp_path) == await uninterrupted("contacts.ndjson")


async def test_an_export_that_is_being_finished_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare task.cancel() during the last step leaves a file with its manifest, which the same call accepts."""
    named, release = threading.Event(), threading.Event()

    def slow(path: Path, content: bytes) -> Path:
        named.set()
        assert release.wait(60)
        return write_temporary(path, content)

    monkeypatch.setattr("exporter.destination.local.write_temporary", slow)
    async with serving() as (sandbox, intercom):
        task = asyncio.create_task(export(intercom, tmp_path, "contacts.ndjson"))
        assert await asyncio.to_thread(named.wait, 60)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        summary = await export(intercom, tmp_path, "contacts.ndjson")
        assert (summary.complete, summary.runs, sandbox.requests) == (True, 1, 12)
