"""export() called again resumes where it was interrupted, and the result is that of an uninterrupted export."""

import asyncio
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

import exporter
from exporter.layout.atomic import remove, write_temporary
from tests.support.interrupted import CORE, KINDS, data_in, export, interrupted, serving, uninterrupted
from tests.support.memory import MEMORY

Lines = Callable[[list[bytes]], bytes]
core_kinds = pytest.mark.parametrize("kind", CORE)


@pytest.mark.parametrize(
    ("kind", "pages"),
    [*((kind, pages) for kind in CORE for pages in (1, 6, 11)), *((kind, 6) for kind in KINDS if kind not in CORE)],
)
async def test_cancelled_export_is_resumed_without_repeating_requests(memory_path: Path, kind: str, pages: int) -> None:
    """The data is what an uninterrupted export writes, and only the pages that are missing are requested."""
    async with serving() as (_, intercom):
        await interrupted(intercom, memory_path, kind, pages)
    async with serving() as (sandbox, intercom):
        summary = await export(intercom, memory_path, kind)
        assert sandbox.requests == 12 - pages
    assert data_in(memory_path) == await uninterrupted(kind)
    assert (summary.runs, summary.interruptions, summary.pages, summary.contacts) == (2, 1, 12, 115)
    assert summary.complete
    assert not list(memory_path.rglob("*checkpoint*"))


@pytest.mark.parametrize(
    ("kind", "fault", "error"),
    [
        *((kind, "http_503@4x3", exporter.RetriesExhausted) for kind in CORE),
        ("contacts.csv", "http_503@4x3", exporter.RetriesExhausted),  # its first request asks for the columns
        ("contacts.ndjson", "http_401@4", exporter.CredentialsError),
        ("contacts.ndjson", "http_403@4", exporter.CredentialsError),
        ("contacts.ndjson", "http_400@4", exporter.ApiError),
    ],
)
async def test_export_after_a_failure_of_the_api_is_resumed(
    memory_path: Path, kind: str, fault: str, error: type[exporter.SourceError]
) -> None:
    """Whatever the API failed with, the same call does the rest, and the figures of both runs add up."""
    retries = {"http_503": 2} if fault.startswith("http_503") else {}
    requests = 3 + 1 + sum(retries.values()) + 9
    async with serving(faults=[fault]) as (sandbox, intercom):
        with pytest.raises(error):
            await export(intercom, memory_path, kind)
        before = sandbox.requests
        summary = await export(intercom, memory_path, kind)
        assert sandbox.requests - before == 9
        assert sandbox.requests == requests
        assert summary.requests == requests + (kind == "contacts.csv")
    assert data_in(memory_path) == await uninterrupted(kind)
    assert (summary.runs, summary.interruptions, summary.retries) == (2, 1, retries)
    assert (summary.total_count_first, summary.total_count_last) == (115, 115)


@pytest.mark.slow
@core_kinds
@hypothesis(deadline=None, max_examples=8)
@given(
    stops=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), max_size=4), interval_s=st.sampled_from([0, 1.0])
)
async def test_export_with_any_interruptions_writes_the_same_bytes(
    kind: str, stops: list[tuple[int, int]], interval_s: float
) -> None:
    """The data does not depend on the pages after which an export is interrupted, nor on the number of consumers."""
    written, runs = 0, 1
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        async with serving() as (_, intercom):
            for pages, consumers in stops:
                if written + pages < 12:
                    settings = {"consumers": consumers, "checkpoint_every_s": interval_s}
                    events = await interrupted(intercom, folder, kind, pages, **settings)
                    committed = [event.position.pages for event in events if isinstance(event, exporter.Committed)]
                    assert committed == sorted(committed)
                    assert committed[-1] >= written + pages
                    written, runs = committed[-1], runs + 1
            summary = await export(intercom, folder, kind)
        assert (summary.runs, summary.interruptions) == (runs, runs - 1)
        assert (summary.contacts, summary.pages, summary.complete) == (115, 12, True)
        assert data_in(folder) == await uninterrupted(kind)


async def test_export_whose_task_is_cancelled_is_resumed(memory_path: Path) -> None:
    """A bare task.cancel() commits what is written, as anyio's own cancellation does."""
    written, kind = asyncio.Event(), "contacts.ndjson.gz"

    def observe(event: exporter.Event) -> None:
        if isinstance(event, exporter.PageWritten) and event.position.pages == 5:
            written.set()

    async with serving() as (_, intercom):
        task = asyncio.create_task(export(intercom, memory_path, kind, observer=observe))
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        events: list[exporter.Event] = []
        await export(intercom, memory_path, kind, observer=events.append)
    assert isinstance(events[0], exporter.Resumed)
    assert events[0].position.pages >= 5
    assert data_in(memory_path) == await uninterrupted(kind)


@core_kinds
async def test_events_report_where_an_export_resumes_and_what_is_committed(memory_path: Path, kind: str) -> None:
    """The first event is where the run resumes; each commit reports how much is on disk, the last one everything."""
    async with serving() as (_, intercom):
        before = await interrupted(intercom, memory_path, kind, 4, checkpoint_every_s=0)
        after: list[exporter.Event] = []
        await export(intercom, memory_path, kind, observer=after.append, checkpoint_every_s=0)
    pages = [event.position for event in before if isinstance(event, exporter.PageWritten)]
    kept = [event.position for event in before if isinstance(event, exporter.Committed)]
    assert set(kept) == set(pages)
    assert [position.pages for position in kept] == sorted(position.pages for position in kept)
    resumed, first, *rest = after
    assert resumed == exporter.Resumed(pages[-1])
    assert first == exporter.Committed(pages[-1])
    assert [event.position.pages for event in rest if isinstance(event, exporter.PageWritten)] == list(range(5, 13))
    assert not any(isinstance(event, exporter.Resumed) for event in rest)


@core_kinds
async def test_unfinished_export_is_resumed_with_overwrite_and_dropped_with_restart(
    memory_path: Path, kind: str
) -> None:
    """Only finished exports are overwritten; `restart` drops an unfinished one and counts runs from one again."""
    async with serving() as (_, intercom):
        await interrupted(intercom, memory_path, kind, 6)
        events = await interrupted(intercom, memory_path, kind, 1, overwrite=True)
        assert isinstance(events[0], exporter.Resumed)
        assert events[0].position.pages == 6
    async with serving() as (sandbox, intercom):
        events = []
        summary = await export(intercom, memory_path, kind, restart=True, observer=events.append)
        assert not any(isinstance(event, exporter.Resumed) for event in events)
        assert (summary.runs, summary.requests, summary.pages, sandbox.requests) == (1, 12, 12, 12)
    assert data_in(memory_path) == await uninterrupted(kind)


@pytest.mark.parametrize(("limit", "pages"), [(60, 2), (55, 2), (55, 5), (60, 6), (55, 6), (115, 12), (200, 3)])
@core_kinds
async def test_limit_of_contacts_holds_over_all_runs(
    memory_path: Path, kind: str, limit: int, pages: int, lines_of: Lines
) -> None:
    """Exactly the remaining contacts are written, also after an interruption right at the limit."""
    async with serving() as (_, intercom):
        await interrupted(intercom, memory_path, kind, pages, max_contacts=limit)
    async with serving() as (sandbox, intercom):
        for other in (None, limit + 1):
            with pytest.raises(exporter.CheckpointError, match="unfinished export with another max contacts"):
                await export(intercom, memory_path, kind, max_contacts=other)
        summary = await export(intercom, memory_path, kind, max_contacts=limit)
        assert sandbox.requests == max(-(-min(limit, 115) // 10) - pages, 0)
        assert (summary.contacts, summary.limited_to_contacts) == (min(limit, 115), limit)
        assert (summary.complete, summary.runs) == (limit >= 115, 2)
        if kind == "contacts.ndjson":
            assert data_in(memory_path) == {kind: lines_of(sandbox.workspace.records(0, limit))}


@pytest.mark.parametrize("step", ["replace_durably", "write_temporary", "remove"])
@core_kinds
async def test_export_that_failed_in_its_last_steps_is_finished_without_a_request(
    memory_path: Path, kind: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the rename, the manifest or the removal of the checkpoint is missing: the same call completes it."""

    def fail(path: Path, *_: object) -> None:
        if step == "remove" and "checkpoint" not in path.name:
            remove(path)
        else:
            raise OSError(5, "failed on purpose")

    def fail_at_the_end(event: exporter.Event) -> None:
        if isinstance(event, exporter.PageWritten) and event.position.reached_end:
            monkeypatch.setattr(f"exporter.destination.local.{step}", fail)

    async with serving() as (_, intercom):
        with pytest.raises(exporter.SinkError, match="failed on purpose"):
            await export(intercom, memory_path, kind, observer=fail_at_the_end)
    monkeypatch.undo()
    async with serving() as (sandbox, intercom):
        summary = await export(intercom, memory_path, kind)
        assert (summary.complete, summary.contacts, sandbox.requests) == (True, 115, 0)
        assert await export(intercom, memory_path, kind) == summary
    assert data_in(memory_path) == await uninterrupted(kind)
    assert not list(memory_path.rglob("*checkpoint*"))


async def test_overwriting_export_that_failed_before_its_manifest_is_finished(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No old manifest is left beside the new file: the same call, also without overwrite, completes it."""

    def fail(*_: object) -> None:
        raise OSError(5, "failed on purpose")

    async with serving() as (sandbox, intercom):
        await export(intercom, memory_path, "contacts.ndjson", max_contacts=10)
        with monkeypatch.context() as patched:
            patched.setattr("exporter.destination.local.write_temporary", fail)
            with pytest.raises(exporter.SinkError):
                await export(intercom, memory_path, "contacts.ndjson", overwrite=True)
        assert [path.name for path in sorted(memory_path.iterdir())] == [
            "contacts.ndjson",
            "contacts.ndjson.checkpoint.json",
        ]
        requests = sandbox.requests
        summary = await export(intercom, memory_path, "contacts.ndjson")
        assert (summary.complete, summary.contacts, sandbox.requests) == (True, 115, requests)
    assert data_in(memory_path) == await uninterrupted("contacts.ndjson")


async def test_cancellation_during_the_last_step_leaves_a_finished_export(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare task.cancel() while the manifest is written leaves a finished file, which the same call accepts."""
    named, release = threading.Event(), threading.Event()

    def slow(path: Path, content: bytes) -> Path:
        named.set()
        assert release.wait(60)
        return write_temporary(path, content)

    monkeypatch.setattr("exporter.destination.local.write_temporary", slow)
    async with serving() as (sandbox, intercom):
        task = asyncio.create_task(export(intercom, memory_path, "contacts.ndjson"))
        assert await asyncio.to_thread(named.wait, 60)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        summary = await export(intercom, memory_path, "contacts.ndjson")
        assert (summary.complete, summary.runs, sandbox.requests) == (True, 1, 12)
