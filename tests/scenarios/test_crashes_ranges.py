"""An export with three cursors that dies at any moment, in any way: the same command writes the same bytes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import exporter
from exporter.destination import range_files
from exporter.destination.folder import FolderOutput
from exporter.destination.part import Part
from exporter.layout import atomic as durable
from tests.scenarios.crashing import Case, explore
from tests.scenarios.disk import Tree, lies_in
from tests.scenarios.jobs import FEW_COLUMNS, data_of
from tests.support.ranges import Clock, client_of, sandbox_of

KINDS: dict[str, dict[str, Any]] = {
    "ranges": {"file_format": "ndjson"},
    "parts of ranges": {"file_format": "ndjson", "part_contacts": 2},
    "tables": {"file_format": "parquet", "selection": FEW_COLUMNS},
}
CONTACTS, PER_PAGE = 12, 2


@asynccontextmanager
async def case_of(folder: Path, contacts: int = CONTACTS, **options: Any) -> AsyncIterator[Case]:
    """Return the case of an export with three cursors, and check its undisturbed output."""
    options = {"cursors": 3, "checkpoint_every_s": 0, "settle_s": 0, **options}
    missing, wanted = options.pop("missing", 0), options.pop("wanted", 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.source.planner._MIN_CONTACTS", wanted)
        async with (
            sandbox_of(contacts, "second", missing=missing, clock=Clock()) as sandbox,
            client_of(sandbox, per_page=PER_PAGE) as intercom,
        ):

            async def run(root: Path) -> None:
                summary = await exporter.export(intercom, f"{root}/out/", **options)
                assert (summary.contacts, summary.complete) == (contacts, True)

            folder.mkdir()
            await run(folder)
            undisturbed = lies_in(folder)
            ranges = {name[:18] for name in data_of(undisturbed)}
            assert len(ranges) >= 3

            def check_moment(tree: Tree) -> None:
                assert data_of(tree).items() <= data_of(undisturbed).items()

            def check_end(tree: Tree) -> None:
                assert sorted(tree) == sorted(undisturbed)
                assert data_of(tree) == data_of(undisturbed)

            yield Case(run, check_moment, check_end)


@pytest.mark.parametrize("kind", KINDS)
async def test_export_with_three_cursors_killed_at_any_moment_resumes_to_the_same_bytes(
    kind: str, memory_path: Path, tell: Callable[[str, str], None]
) -> None:
    """A process dies before, after and in the middle of every call of the first run, and of the runs after it."""
    async with case_of(memory_path / "undisturbed", **KINDS[kind]) as case:
        tally = await explore(case, memory_path, deaths=1)
    assert tally.runs > 40
    tell("Moments of death", f"{kind}: {tally}")


@pytest.mark.parametrize("kind", KINDS)
async def test_export_with_three_cursors_after_a_power_cut_resumes_to_the_same_bytes(
    kind: str, memory_path: Path, tell: Callable[[str, str], None]
) -> None:
    """Whatever was not synced is lost, damaged or kept."""
    async with case_of(memory_path / "undisturbed", **KINDS[kind]) as case:
        tally = await explore(case, memory_path, power=True, deaths=1)
    assert tally.runs > 100
    tell("Moments of death", f"{kind}, power: {tally}")


async def test_export_with_three_cursors_survives_two_deaths(
    memory_path: Path, tell: Callable[[str, str], None]
) -> None:
    """The run that resumes dies too."""
    async with case_of(memory_path / "undisturbed", contacts=9, wanted=3, **KINDS["ranges"]) as case:
        tally = await explore(case, memory_path, deaths=2)
    tell("Moments of death", f"two deaths: {tally}")


async def test_read_of_the_list_after_the_ranges_dies_at_any_moment(
    memory_path: Path, tell: Callable[[str, str], None]
) -> None:
    """With `ids`: what only the list has is written once, whatever dies."""
    async with case_of(memory_path / "undisturbed", missing=4, prove="ids", **KINDS["ranges"]) as case:
        tally = await explore(case, memory_path, deaths=1)
    tell("Moments of death", f"ids: {tally}")


def commit_checkpoint_first(output: Any, progress: Any) -> None:
    """Save the checkpoint, and sync the data that it lists only afterwards."""
    if output.ranges is None:
        correct_commit(output, progress)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Part, "sync_and_check", lambda _part: None)
        output._save_ranges(output.ranges, progress)
    output.ranges.sync()
    output.ranges.publish(overwrite=False)


def publish_before_the_checkpoint(output: Any, progress: Any) -> None:
    """Rename finished parts before a checkpoint lists them."""
    if output.ranges is not None:
        output.ranges.sync()
        output.ranges.publish(overwrite=False)
    correct_commit(output, progress)


correct_commit = FolderOutput.commit
MUTATIONS: dict[str, list[tuple[Any, str, Any]]] = {
    "checkpoint before data": [(FolderOutput, "commit", commit_checkpoint_first)],
    "names before checkpoint": [(FolderOutput, "commit", publish_before_the_checkpoint)],
    "small files not synced": [(durable, "sync", lambda *_anything: None)],
    "new part not emptied": [(Part, "make_empty", lambda _part: None)],
    "finished part kept when it is listed": [(range_files, "publish", lambda *_anything, **_more: None)],
}


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_crash_explorer_detects_faulty_ranges(
    mutation: str, memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These proofs can fail: an exporter that works in the wrong order does not pass them."""
    async with case_of(memory_path / "undisturbed", **KINDS["parts of ranges"]) as case:
        for where, name, faulty in MUTATIONS[mutation]:
            monkeypatch.setattr(where, name, faulty)
        with pytest.raises((AssertionError, ValueError, exporter.ExporterError, OSError)):
            await explore(case, memory_path, power=True, deaths=1)
