"""Exports of workspaces in which contacts are created and deleted all the time are proven complete."""

from pathlib import Path

import anyio
import pytest

from tests.ranges.test_busy_workspaces import check_complete
from tests.support.busy import Busy


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
