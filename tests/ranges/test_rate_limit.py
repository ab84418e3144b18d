"""Many cursors keep to the rate limit, and give way when the API refuses requests."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

import exporter
from exporter.observe.events import CursorsChanged, Event, RateLimited
from tests.support.clients import QUICK
from tests.support.ranges import client_of, lines_in, records_of, sandbox_of


@pytest.mark.slow
@pytest.mark.parametrize("cursors", [1, 8, 32, 128])
async def test_no_request_is_refused_for_the_rate_limit(tmp_path: Path, cursors: int) -> None:
    """The window that the API announces is kept by all cursors together, less the reserve."""
    waits: list[Event] = []
    async with sandbox_of(3_000, rate_limit=60) as sandbox, client_of(sandbox) as intercom:
        summary = await exporter.export(intercom, f"{tmp_path}/out/", cursors=cursors, observer=waits.append)
        assert sandbox.rate_limited_requests == 0
    assert summary.contacts == 3_000
    assert summary.requests > 48
    assert summary.rate_limit_wait_s > 0
    assert any(isinstance(event, RateLimited) for event in waits)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["http_429=20", "http_503=3", "http_503=2"])
async def test_storm_of_refusals_ends_with_every_contact_written(tmp_path: Path, fault: str) -> None:
    """Up to half of all requests is refused: fewer cursors work, at least one, and nothing is lost."""
    events: list[Event] = []
    stubborn = replace(QUICK, max_attempts=20, page_budget_s=60)
    async with sandbox_of(1_000, faults=[fault]) as sandbox, client_of(sandbox, retry_policy=stubborn) as intercom:
        await exporter.export(intercom, f"{tmp_path}/out/", cursors=32, observer=events.append)
    async with sandbox_of(1_000) as sandbox, client_of(sandbox) as intercom:
        listed = await records_of(intercom)
    assert Counter(await anyio.to_thread.run_sync(lines_in, tmp_path / "out")) == Counter(listed)
    limits = [event.cursors for event in events if isinstance(event, CursorsChanged)]
    assert min(limits) >= 1
    assert any(later < earlier for earlier, later in zip([2, *limits], limits, strict=False))


@pytest.mark.slow
async def test_listing_beside_many_cursors_gets_its_turn(tmp_path: Path) -> None:
    """One client of a service exports with 32 cursors, and lists at the same time, under one rate limit."""
    async with sandbox_of(6_000, rate_limit=200, latency_ms=20) as sandbox, client_of(sandbox) as intercom:
        pages = 0

        async def listing() -> None:
            nonlocal pages
            async for _ in intercom.pages():
                pages += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listing)
            summary = await exporter.export(intercom, f"{tmp_path}/out/", cursors=32)
            done = pages
        assert sandbox.rate_limited_requests == 0
    assert summary.contacts == 6_000
    assert done >= 5
    assert pages == 120
