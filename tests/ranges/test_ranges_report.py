"""The report of an export with several cursors."""

from pathlib import Path

import pytest

import exporter
from tests.support.processes import Command
from tests.support.ranges import client_of, sandbox_of

pytest.importorskip("matplotlib")


async def test_ranges_and_lanes_are_in_the_manifest(tmp_path: Path) -> None:
    """Each range once, with its contacts, its lane and its time; also of an export in two runs."""
    async with sandbox_of(2_000) as sandbox, client_of(sandbox) as intercom:
        summary = await exporter.export(intercom, f"{tmp_path}/out/", cursors=4)
    assert summary.plan is not None
    assert sorted(one.number for one in summary.ranges) == list(range(1, summary.plan.ranges + 1))
    assert sum(one.contacts for one in summary.ranges) == 2_000
    assert {one.lane for one in summary.ranges} <= {1, 2, 3, 4}
    assert all(0 <= one.began_s <= one.ended_s for one in summary.ranges)


@pytest.mark.slow
def test_report_shows_ranges_by_lane_and_the_proof(command: Command) -> None:
    """As a chart, as a table, and as lines of facts."""
    assert command.run("demo", "-q", "--contacts=8000", "--cursors=4", "-o", "out/").returncode == 0
    assert command.run("report", "out/", "-o", "report.html").returncode == 0
    page = (command.folder / "report.html").read_text(encoding="utf-8")
    assert "Ranges by cursor" in page
    assert "by counts: 8,000 of 8,000 contacts at the start" in page
    assert "ranges by day, at most 4 cursors at once" in page
