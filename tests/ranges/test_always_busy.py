"""Exports of workspaces in which contacts are created and deleted all the time, and runs that die in their proof."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

import exporter
from exporter.observe.events import Event, Planned, RangeFinished
from tests.ranges.test_busy_workspaces import check_complete, export
from tests.support.busy import Busy
from tests.support.unreliable import Unreliable, refusal


@pytest.mark.parametrize(
    ("every_s", "new", "lag_s"),
    [((10, 60), 0.5, (120, 0)), ((2, 10), 1.0, (120, 0)), ((30, 60), 0.0, (120, 60)), ((1e9, 5), 0.0, (120, 60))],
    ids=["usual", "leads merged soon", "late deletions", "mass deletion"],
)
async def test_busy_workspace_is_proven_complete(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    every_s: tuple[float, float],
    new: float,
    lag_s: tuple[float, float],
) -> None:
    """By the clock of the workspace: no false alarm, and each contact that stays is written once."""
    real_sleep = anyio.sleep
    for seed in range(3):
        api = Busy(seed, every_s, new, lag_s)

        async def sleep(seconds: float, api: Busy = api) -> None:
            api.advance(seconds)
            await real_sleep(0)

        for module in ("ranges.proof", "ranges.list_comparison", "source.planning"):
            monkeypatch.setattr(f"exporter.{module}.anyio.sleep", sleep)
        for module in ("ranges.proof", "ranges.lanes"):
            monkeypatch.setattr(f"exporter.{module}.time.time", lambda api=api: api.now_s)
        folder = anyio.Path(tmp_path / f"{seed}")
        await folder.mkdir()
        async with api.serving() as intercom:
            await check_complete(api, intercom, Path(folder), settle_s=300)
        monkeypatch.undo()


async def test_run_that_dies_while_ranges_are_read_again_hides_no_missing_contact(tmp_path: Path) -> None:
    """What it found in an old range does not make up for a contact that is missing from the newest one."""
    api = Unreliable(3_000)
    lost = {one["id"] for one in [*api.contacts[100:105], api.contacts[2_990]]}
    phase = ["plan"]
    api.searched = lambda one: phase[0] != "read" or one["id"] not in lost

    def observe(event: Event) -> None:
        if isinstance(event, Planned):
            phase[0] = "read"
        if isinstance(event, RangeFinished) and event.finished == event.ranges:
            phase[0] = "prove"

    def refuse(path: str, parameters: dict[str, Any], _page: Any) -> web.Response | None:
        if phase[0] != "prove" or path != "/contacts/search" or int(parameters["per_page"]) == 1:
            return None
        operators = {*operators_in(parameters["query"])}
        return refusal(401) if "OR" in operators and "<" not in operators else None  # the range without an end

    api.answer = refuse
    async with api.serving() as intercom:
        with pytest.raises(exporter.CredentialsError):
            await export(intercom, tmp_path, observer=observe, checkpoint_every_s=0)
        phase[0] = "again"
        await check_complete(api, intercom, tmp_path)
        summary = await export(intercom, tmp_path)
    assert summary.proof is not None
    assert summary.proof.late == 6


def operators_in(query: dict[str, Any]) -> Iterator[str]:
    """Yield the operators of a query."""
    yield query["operator"]
    for one in query["value"] if isinstance(query["value"], list) else ():
        yield from operators_in(one)
