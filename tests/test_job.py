"""A job: the pages that one run of an export writes, and the figures of all its runs."""

import asyncio
import gzip
import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any

import pytest

import exporter
from exporter.destination.base import Destination
from exporter.formats.registry import NDJSON, NDJSON_GZIP, Format
from exporter.job import Job, encoder_of, settings_of
from exporter.layout.checkpoint import JobProgress
from exporter.layout.settings import OutputSettings
from exporter.model import Frame
from exporter.options import ExportOptions
from exporter.source.loop_guard import LoopGuard
from exporter.state import utc_now

Lines = Callable[[list[bytes]], bytes]
RawServer = Callable[..., AbstractAsyncContextManager[str]]


class Written(Destination):
    """A destination that keeps the frames of a job, and its events."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.events: list[exporter.Event] = []
        self.after_page: Callable[[], object] = lambda: None

    async def append(self, frame: Frame) -> Frame:
        """Write a frame."""
        self.frames.append(frame)
        return frame

    async def commit_if_due(self) -> None:
        """Call what a test does after a page."""
        self.after_page()

    async def finish(self) -> exporter.Summary:
        """Do nothing: these jobs are not finished."""
        raise NotImplementedError

    @property
    def content(self) -> bytes:
        """Everything written."""
        return b"".join(frame.content for frame in self.frames)


@dataclass
class Run:
    """A job whose events are kept, and what a destination gets of it."""

    job: Job
    written: Written
    settings: OutputSettings

    def progress(self) -> JobProgress:
        """Return its progress."""
        return self.job.state.progress()

    async def move(self, written: Written | None = None) -> None:
        """Write all remaining pages."""
        await self.job.move(written or self.written)


def run_of(intercom: exporter.Intercom, written: Written | None = None, form: Format = NDJSON, **options: Any) -> Run:
    """Return a job whose events are kept."""
    written, chosen = written or Written(), ExportOptions(**options)
    job = Job(intercom, chosen, encoder_of(chosen, form), written.events.append)
    return Run(job, written, settings_of(intercom, chosen, form))


async def figures_after(intercom: exporter.Intercom, pages: int, **figures: Any) -> JobProgress:
    """Return the figures of a run that stopped after some pages."""
    run = run_of(intercom, max_contacts=150 * pages)
    await run.move()
    return replace(run.progress(), **figures)


async def test_job_writes_counts_and_reports_each_page(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, lines_of: Lines
) -> None:
    """Each page is written, counted and reported, and only then the destination may commit."""
    written, after = Written(), list[JobProgress]()
    run = run_of(intercom, written)
    written.after_page = lambda: after.append(run.progress())
    await run.move()
    expected = lines_of(sandbox.workspace.records(0, 1_000))
    assert written.content == expected
    positions = [event.position for event in written.events if isinstance(event, exporter.PageWritten)]
    assert [figures.position for figures in after] == positions
    assert [position.contacts for position in positions] == [150, 300, 450, 600, 750, 900, 1_000]
    assert [position.pages for position in positions] == [1, 2, 3, 4, 5, 6, 7]
    assert [position.reached_end for position in positions] == [False] * 6 + [True]
    assert positions[-1] == exporter.Position(None, 7, 1_000, len(expected), len(expected), reached_end=True)
    assert all(position.next_cursor for position in positions[:-1])


async def test_figures_of_a_first_run_start_at_zero(intercom: exporter.Intercom, sandbox: exporter.Sandbox) -> None:
    """They end with all requests and the facts of the responses."""
    run = run_of(intercom)
    before = run.progress()
    assert replace(before, started_at="") == JobProgress(trail=LoopGuard(None).dump(), runs=1)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", before.started_at)
    await run.move()
    after = run.progress()
    assert (after.requests, after.retries, after.runs) == (sandbox.requests, {}, 1) == (7, {}, 1)
    assert (after.total_count_first, after.total_count_last, after.api_version_echoed) == (1_000, 1_000, "2.14")
    assert after.started_at == before.started_at <= utc_now()


def test_settings_hold_only_options_that_decide_the_bytes() -> None:
    """The source, the limits and the format are settings; queue and consumers are not."""
    intercom = exporter.Intercom("dG9r", region="eu", api_version="2.10", per_page=50)
    options = ExportOptions(consumers=7, queue_pages=9, max_contacts=5, part_contacts=3, part_bytes=4)
    assert settings_of(intercom, options, NDJSON_GZIP, has_parts=True) == OutputSettings(
        base_url="https://api.eu.intercom.io",
        endpoint="/contacts",
        api_version="2.10",
        per_page=50,
        format="ndjson.gz",
        max_contacts=5,
        part_contacts=3,
        part_bytes=4,
    )
    single = settings_of(intercom, options, NDJSON_GZIP)
    assert (single.part_contacts, single.part_bytes) == (None, None)


async def test_job_resumes_at_the_position_of_a_checkpoint(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, lines_of: Lines
) -> None:
    """It reports the position first and requests only the remaining pages; its figures are those of both runs."""
    earlier = {"retries": {"http_503": 2, "timeout": 1}, "started_at": "2026-11-22T10:00:00Z", "requests": 100}
    checkpoint = await figures_after(intercom, 3, **earlier, runs=4, rate_limit_wait_s=1.5, total_count_first=990)
    requests, written = sandbox.requests, Written()
    run = run_of(intercom, written)
    run.job.resume(checkpoint)
    assert written.events == [exporter.Resumed(checkpoint.position)]
    assert replace(run.progress(), runs=4) == checkpoint
    await run.move()
    assert written.content == lines_of(sandbox.workspace.records(450, 1_000))
    assert sandbox.requests - requests == 4
    figures = run.progress()
    assert (figures.position.pages, figures.position.contacts, figures.runs) == (7, 1_000, 5)
    assert (figures.started_at, figures.requests) == ("2026-11-22T10:00:00Z", 104)
    assert (figures.retries, figures.rate_limit_wait_s) == ({"http_503": 2, "timeout": 1}, 1.5)
    assert (figures.total_count_first, figures.total_count_last) == (990, 1_000)


async def test_retries_of_all_runs_are_summed(lines_of: Lines) -> None:
    """Causes of an earlier run and of this one are counted together."""
    async with exporter.Sandbox(1_000, faults=["http_503@6x2", "http_500@7"]) as sandbox:
        retry_policy = exporter.RetryPolicy(initial_backoff_s=0.001)
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom:
            checkpoint = await figures_after(intercom, 1, retries={"http_503": 5, "network": 1}, requests=10)
            written = Written()
            run = run_of(intercom, written)
            run.job.resume(checkpoint)
            await run.move()
    assert written.content == lines_of(sandbox.workspace.records(150, 1_000))
    assert run.progress().retries == {"http_500": 1, "http_503": 7, "network": 1}
    assert run.progress().requests == 10 + 6 + 3


async def test_loop_guard_is_resumed(intercom: exporter.Intercom) -> None:
    """What the loop guard remembers does not depend on the number of runs."""
    one, two = run_of(intercom), run_of(intercom)
    await one.move()
    two.job.resume(await figures_after(intercom, 4))
    await two.move()
    assert two.progress().trail == one.progress().trail


@pytest.mark.parametrize("damage", [{"trail": ""}, {"trail": "x:y"}, {"position": exporter.Position("\ud800", 3, 450)}])
async def test_malformed_checkpoint_is_refused_before_any_request(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, damage: dict[str, Any]
) -> None:
    """A damaged loop guard or an impossible cursor raises an error."""
    checkpoint = await figures_after(intercom, 3, **damage)
    requests, written = sandbox.requests, Written()
    with pytest.raises(ValueError, match=r"unpack|cursor"):
        run_of(intercom, written).job.resume(checkpoint)
    assert written.events == []
    assert sandbox.requests == requests


@pytest.mark.parametrize(("limit", "left"), [(450, 0), (451, 1), (600, 150), (601, 151), (1_000, 550), (2_000, 550)])
async def test_limit_includes_contacts_of_earlier_runs(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, lines_of: Lines, limit: int, left: int
) -> None:
    """Only the missing contacts are requested, none where an earlier run reached the limit."""
    checkpoint, written = await figures_after(intercom, 3), Written()
    run, before = run_of(intercom, written, max_contacts=limit), sandbox.requests
    run.job.resume(checkpoint)
    await run.move()
    assert written.content == lines_of(sandbox.workspace.records(450, 450 + left))
    assert sandbox.requests - before == -(-left // 150)
    summary = run.job.state.summary(run.settings)
    assert (summary.contacts, summary.complete, summary.limited_to_contacts) == (450 + left, limit >= 1_000, limit)


async def test_resuming_after_the_last_page_sends_no_request(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox
) -> None:
    """Nothing is requested and nothing is appended."""
    first, written = run_of(intercom), Written()
    await first.move()
    requests, run = sandbox.requests, run_of(intercom, written)
    run.job.resume(first.progress())
    await run.move()
    assert written.frames == []
    assert sandbox.requests == requests
    assert run.job.state.summary(run.settings).complete


@pytest.mark.parametrize("form", [NDJSON, NDJSON_GZIP])
async def test_empty_workspace_is_one_valid_empty_file(form: Any) -> None:
    """An export without contacts is valid in its format, also when it is resumed."""
    async with exporter.Sandbox(0) as sandbox, exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
        written = Written()
        first = run_of(intercom, written, form=form)
        await first.move()
        content = written.content
        assert (gzip.decompress(content) if content else content) == b""
        assert bool(content) == (form is NDJSON_GZIP)
        assert first.progress().position == exporter.Position(None, 1, 0, len(content), 0, reached_end=True)
        run = run_of(intercom, written, form=form)
        run.job.resume(first.progress())
        await run.move()
        assert written.content == content


async def test_summary_has_the_figures_of_all_runs(intercom: exporter.Intercom) -> None:
    """With the settings and the files it is what a manifest holds."""
    run = run_of(intercom)
    run.job.resume(await figures_after(intercom, 5, runs=2, started_at="2026-11-22T10:00:00Z"))
    await run.move()
    files = (exporter.FileSummary("a.ndjson", 1, "ab", 2, 3),)
    summary = run.job.state.summary(replace(run.settings, part_contacts=7, part_bytes=9, base_url="the sandbox"), files)
    assert summary == exporter.Summary(
        tool=f"intercom-exporter {exporter.__version__}",
        complete=True,
        source=exporter.SourceSummary("the sandbox", "/contacts", "2.14", "2.14", 150),
        started_at="2026-11-22T10:00:00Z",
        finished_at=summary.finished_at,
        runs=3,
        interruptions=2,
        pages=7,
        contacts=1_000,
        total_count_first=1_000,
        total_count_last=1_000,
        requests=run.progress().requests,
        retries={},
        rate_limit_wait_s=0.0,
        part_contacts=7,
        part_bytes=9,
        schema_checked=1_000,
        irregular_contacts=1,
        timeline=run.progress().timeline,
        files=files,
    )
    assert summary.started_at < summary.finished_at <= utc_now()


async def test_other_api_version_is_reported_once_per_run(raw_server: RawServer) -> None:
    """The first response of each run decides which version is reported, and the figures keep it."""
    served = 0

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        body = json.dumps({"data": [{"id": served}], "pages": {"next": {"starting_after": f"c{served}"}}}).encode()
        if served in (2, 4):
            body = json.dumps({"data": [{"id": served}]}).encode()
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nIntercom-Version: 2.9\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async with raw_server(answer) as base_url, exporter.Intercom("dG9r", base_url=base_url) as intercom:
        first, second = Written(), Written()
        run = run_of(intercom, first)
        await run.move()
        others = [event for event in first.events if not isinstance(event, exporter.RequestFinished)]
        assert others[0] == exporter.VersionMismatch("2.14", "2.9")
        assert sum(isinstance(event, exporter.VersionMismatch) for event in first.events) == 1
        assert run.progress().api_version_echoed == "2.9"
        again = run_of(intercom, second)
        position = exporter.Position("c1", 1, 1, 10, 10)
        again.job.resume(replace(run.progress(), position=position))
        assert again.progress().api_version_echoed == "2.9"
        await again.move()
        others = [event for event in second.events if not isinstance(event, exporter.RequestFinished)]
        assert others[1] == exporter.VersionMismatch("2.14", "2.9")
