"""A listing that takes thirty days, in seconds: real sockets, files and retries under a clock that hurries."""

import asyncio
import json
import selectors
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import exporter

DAY_S = 86_400
GRACE_S = 0.001
EPOCH = 1_795_000_000
CONTACTS = 1_500


class HurryingSelector(selectors.DefaultSelector):
    """A selector that waits for a moment at most, and counts what it did not wait as passed."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Wait for sockets for a moment; when nothing stirs, let the time pass at once."""
        if timeout is None or timeout <= GRACE_S:
            return super().select(timeout)
        events = super().select(GRACE_S)
        if not events:
            self.ahead_s += timeout - GRACE_S
        return events


class HurryingLoop(asyncio.SelectorEventLoop):
    """An event loop on whose clock nobody ever waits for a timer."""

    def __init__(self) -> None:
        self._hurrying = HurryingSelector()
        super().__init__(self._hurrying)

    def time(self) -> float:
        """Give the seconds on its clock."""
        return super().time() + self._hurrying.ahead_s


class Month:
    """A workspace whose API is slow, changes its limits, fails, and whose clock is set now and then."""

    def __init__(self, loop: HurryingLoop) -> None:
        self._loop = loop
        self._began_at = loop.time()
        self._hours_seen = -1
        self.clock_is_off_by_s = 0.0
        faults = ["http_503=97", "http_429=61", "reset=71", "truncate=83", "empty_200=89"]
        self.sandbox = exporter.Sandbox(CONTACTS, faults=faults, clock=self.server_time, rate_limit=83)

    def elapsed_s(self) -> float:
        """Give the seconds since the beginning."""
        return self._loop.time() - self._began_at

    def server_time(self) -> float:
        """Give the server's idea of the time."""
        return EPOCH + self.elapsed_s() + self.clock_is_off_by_s

    def on_event(self, event: exporter.Event) -> None:
        """Change the weather with each page: quiet days of long answers, busy ones with small windows."""
        if not isinstance(event, exporter.PageWritten):
            return
        page = event.position.pages
        self.sandbox.latency_ms = 0 if page % 250 < 50 else 2_300_000
        self.sandbox._window.limit = (83, 5, 1, 1667)[page // 125 % 4]
        self.clock_is_off_by_s = (0, 3 * 3600, -5 * 3600, 0)[page // 166 % 4]
        if page == CONTACTS // 2:
            self.sandbox.token = "dG9rOmFub3RoZXI="


@pytest.fixture
def loop() -> Iterator[HurryingLoop]:
    """Give the loop."""
    loop = HurryingLoop()
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


async def export_with_two_tokens(weather: Month, path: Path) -> tuple[exporter.Summary, Counter[object]]:
    """Export that workspace, with another token once the first one is revoked; count the events and refusals."""
    told: Counter[object] = Counter()

    def observe(event: exporter.Event) -> None:
        told[type(event)] += 1
        weather.on_event(event)

    retry_policy = exporter.RetryPolicy(
        request_timeout_s=3600, idle_timeout_s=3600, page_budget_s=7200, run_budget_s=90 * DAY_S
    )
    async with weather.sandbox as sandbox:
        for _ in range(2):
            try:
                async with exporter.Intercom(
                    sandbox.token, base_url=sandbox.base_url, per_page=1, retry_policy=retry_policy
                ) as intercom:
                    return await exporter.export(intercom, path, observer=observe), told
            except exporter.CredentialsError as error:
                told[error.status] += 1
    raise AssertionError("the second token was refused too")


def test_export_during_a_month_of_faults_is_complete(loop: HurryingLoop, tmp_path: Path) -> None:
    """Limits that change, clocks that jump, failures and a revoked token: after thirty days each contact is there."""
    path, weather = tmp_path / "contacts.ndjson", Month(loop)
    summary, told = loop.run_until_complete(export_with_two_tokens(weather, path))
    assert weather.elapsed_s() > 30 * DAY_S
    assert (told[401], told[exporter.Resumed]) == (1, 1)
    assert told[exporter.RateLimited] > 10
    ids = [json.loads(line)["id"] for line in path.read_bytes().splitlines()]
    assert ids == [weather.sandbox.workspace.id_of(number) for number in range(CONTACTS)]
    assert (summary.complete, summary.runs, summary.contacts) == (True, 2, CONTACTS)
    assert {"http_503", "http_429", "network", "broken_body"} <= set(summary.retries)
    # The limits changed twelve times, now and then in the middle of a window: more than that is not run over.
    assert weather.sandbox.rate_limited_requests <= CONTACTS // 125
    assert summary.requests == CONTACTS + sum(summary.retries.values()) + told[401]
