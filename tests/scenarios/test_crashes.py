"""An export that dies at any moment, in any way, as often as possible: the same command writes the same bytes."""

import asyncio
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import exporter
from exporter.destination import local as output
from exporter.destination import part
from exporter.destination import publishing as naming
from exporter.destination.local import Output
from exporter.layout import atomic as durable
from exporter.layout.atomic import replace_durably, write_temporary
from exporter.layout.manifest import encode_manifest
from tests.scenarios.crashing import Case, Watch, die, explore
from tests.scenarios.disk import Disk, Tree, lies_in, timeless, write_tree
from tests.scenarios.jobs import (
    CORE,
    KINDS,
    PER_PAGE,
    Job,
    check_manifests,
    data_of,
    export,
    small_job,
    undisturbed,
)

Report = Callable[[object], None]


@pytest.fixture
def report(request: pytest.FixtureRequest, tell: Callable[[str, str], None]) -> Report:
    """Report how much a test has explored, at the end of the tests' output."""
    return lambda figures: tell("Moments of death", f"{request.node.name}: {figures}")


def case_of(job: Job, start: Tree | None = None) -> Case:
    """Let a job begin with a folder; a manifest is always correct, and a file with its final name always complete."""
    start = start or {}
    allowed = data_of(start).items() | data_of(job.undisturbed).items()

    def check_moment(tree: Tree) -> None:
        check_manifests(tree)
        assert data_of(tree).items() <= allowed

    return Case(job.run, check_moment, job.check_finished, start)


@pytest.mark.parametrize("kind", CORE)
async def test_export_killed_at_any_moment_resumes_to_the_same_bytes(
    kind: str, memory_path: Path, report: Report
) -> None:
    """A process dies before, after and in the middle of every call, also of every resumed run, without any limit."""
    # A table is converted in steps of its own, which follow the pages: fewer pages prove as much.
    async with small_job(kind, memory_path / "undisturbed", pages=4 if kind == "table" else 6) as job:
        tally = await explore(case_of(job), memory_path)
    assert tally.runs > 70
    report(tally)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in CORE])
async def test_export_killed_once_at_any_moment_resumes_in_every_other_format(
    kind: str, memory_path: Path, report: Report
) -> None:
    """Only frames are resumed, so the other formats only show that theirs are frames as well."""
    async with small_job(kind, memory_path / "undisturbed", pages=3) as job:
        tally = await explore(case_of(job), memory_path, deaths=1)
    assert tally.runs > 25
    report(tally)


@pytest.mark.parametrize("kind", CORE)
async def test_export_after_any_two_power_cuts_or_kills_resumes_to_the_same_bytes(
    kind: str, memory_path: Path, report: Report
) -> None:
    """Whatever was not synced is lost, damaged or kept, twice in any combination with killed processes."""
    async with small_job(kind, memory_path / "undisturbed", pages=2 if kind == "table" else 3) as job:
        tally = await explore(case_of(job), memory_path, power=True, deaths=2)
    assert tally.runs > 250
    report(tally)


@pytest.mark.parametrize("kind", CORE)
async def test_export_that_commits_only_finished_files_survives_any_death(
    kind: str, memory_path: Path, report: Report
) -> None:
    """With checkpoints far apart, finishing a file syncs what no commit has synced before."""
    async with small_job(kind, memory_path / "undisturbed", pages=3, checkpoint_every_s=1_000) as job:
        tally = await explore(case_of(job), memory_path, power=True, deaths=1)
    assert tally.runs > 50
    report(tally)


@pytest.mark.parametrize("kind", ["plain", "parts"])
async def test_limited_export_killed_at_any_moment_stays_limited(kind: str, memory_path: Path, report: Report) -> None:
    """With `max_contacts` in the middle of a page, the finished output has as many contacts as without any death."""
    async with small_job(kind, memory_path / "undisturbed", pages=6, max_contacts=3 * PER_PAGE - 1) as job:
        tally = await explore(case_of(job), memory_path)
    report(tally)


@pytest.mark.parametrize("power", [False, True], ids=["kills", "kills and power cuts"])
@pytest.mark.parametrize("kind", ["plain", "parts"])
async def test_overwriting_export_after_any_deaths_never_mixes_old_and_new(
    kind: str, power: bool, memory_path: Path, report: Report
) -> None:
    """At each moment there is the old export with its manifest, or a checkpoint that the same command resumes from."""
    other = {"part_contacts": PER_PAGE} if kind == "parts" else {"max_contacts": 3 * PER_PAGE - 1}
    async with small_job(kind, memory_path / "old", pages=3, **other) as old:
        new = await undisturbed(old.intercom, kind, memory_path / "new")
        job = replace(new, options={**new.options, "overwrite": True})
        case = case_of(job, old.undisturbed)

        def check_moment(tree: Tree) -> None:
            case.check_moment(tree)
            # Parts are removed at once: for that time the manifest is gone and the new checkpoint not there yet.
            assert {job.manifest, job.checkpoint} & tree.keys() or kind == "parts"

        deaths = 2 if power else None
        tally = await explore(replace(case, check_moment=check_moment), memory_path, power=power, deaths=deaths)
    report(tally)


@pytest.mark.parametrize("kind", ["plain", "parts"])
async def test_restart_killed_at_any_moment_takes_nothing_from_the_dropped_export(
    kind: str, memory_path: Path, report: Report
) -> None:
    """With `restart` over an unfinished export of other settings, none of its bytes get into the output."""
    async with small_job(kind, memory_path / "other", pages=3, max_contacts=3 * PER_PAGE - 1) as other:
        unfinished = (await trees_of(other, memory_path / "unfinished"))[-20]
        new = await undisturbed(other.intercom, kind, memory_path / "undisturbed")
        job = replace(new, options={**new.options, "restart": True})
        tally = await explore(case_of(job, unfinished), memory_path)
    report(tally)


@pytest.mark.parametrize(("kind", "pages", "power"), [("parts", 3, True), ("tables", 1, False)])
async def test_unfinished_export_of_0_1_0_dies_at_any_moment_and_is_still_resumed(
    kind: str, pages: int, power: bool, memory_path: Path, report: Report
) -> None:
    """A folder with the names of version 0.1.0 gets those of today, whatever dies while that happens."""
    async with small_job(kind, memory_path / "undisturbed", pages) as job:
        stages: dict[tuple[str, ...], Tree] = {}
        for tree in await trees_of(job, memory_path / "unfinished"):
            if job.checkpoint in tree:
                stages.setdefault(tuple(sorted(tree)), tree)
        for tree in stages.values():
            old = {as_0_1_0(name): content for name, content in tree.items()}
            report(await explore(case_of(job, old), memory_path, power=power, deaths=1))
    assert len(stages) >= 4


def as_0_1_0(name: str) -> str:
    """Name a file in a folder of parts as version 0.1.0 did."""
    return name.replace("/_", "/")


async def trees_of(job: Job, root: Path) -> list[Tree]:
    """Return what is there at each moment of an undisturbed job."""
    write_tree({}, root)
    trees: list[Tree] = []
    disk = Disk({})
    with Watch(root, disk, lambda _words: trees.append(disk.tree())).watching():
        await job.run(root)
    return trees


@pytest.mark.parametrize("kind", ["plain", "parts"])
def test_crash_model_matches_what_a_killed_process_really_leaves(
    kind: str, serve: Callable[..., AbstractContextManager[Any]], memory_path: Path, report: Report
) -> None:
    """A child process dies at each moment and leaves what the model says; another process finishes the export."""
    with serve(f"--contacts={3 * PER_PAGE}") as served:

        async def resume(root: Path) -> None:
            async with exporter.Intercom(served.token, base_url=served.base_url, per_page=PER_PAGE) as intercom:
                await export(intercom, root, *KINDS[kind])

        async def baseline() -> tuple[Job, list[Tree]]:
            async with exporter.Intercom(served.token, base_url=served.base_url, per_page=PER_PAGE) as intercom:
                job = await undisturbed(intercom, kind, memory_path / "undisturbed")
                return job, await trees_of(job, memory_path / "watched")

        (job, trees), root = asyncio.run(baseline()), memory_path / "dies"
        for moment, tree in enumerate(trees):
            write_tree({}, root)
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of other tests' threads
                assert die(resume, root, moment)
            assert timeless(lies_in(root)) == timeless(tree)
            asyncio.run(resume(root))
            job.check_finished(lies_in(root))
    report(f"{len(trees)} real deaths")


def do_nothing(*_anything: Any) -> None:
    """Skip what should be done."""


def commit_checkpoint_first(output: Any, figures: Any) -> None:
    """Save the checkpoint, and sync the data that it lists only afterwards."""
    committed = output.part.summary(output.paths.file(1).name) if output.part else None
    output._save(figures, committed)
    if output.part:
        output.part.sync_and_check()


def finish_manifest_first(output: Any, figures: Any, summarise: Any) -> Any:
    """Write the manifest before the file has its name."""
    summary = summarise((output.part.summary(output.paths.file(1).name),))
    replace_durably(write_temporary(output.paths.manifest, encode_manifest(summary)), output.paths.manifest)
    return correct_finish(output, figures, summarise)


correct_finish = Output.finish
MUTATIONS: dict[str, tuple[bool, Sequence[tuple[Any, str, Any]]]] = {
    "data not synced": (True, [(part, "sync", do_nothing)]),
    "small files not synced": (True, [(durable, "sync", do_nothing)]),
    "folders not synced": (True, [(where, "sync_folder", do_nothing) for where in (durable, naming, output)]),
    "checkpoint before data": (True, [(Output, "commit", commit_checkpoint_first)]),
    "manifest before name": (False, [(Output, "finish", finish_manifest_first)]),
    "new part not emptied": (False, [(part.Part, "make_empty", do_nothing)]),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_crash_explorer_detects_a_faulty_exporter(
    mutation: str, memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These proofs can fail: an exporter that syncs too little, or in the wrong order, does not pass them."""
    power, patches = MUTATIONS[mutation]
    async with small_job("plain", memory_path / "undisturbed", pages=3) as job:
        for where, name, faulty in patches:
            monkeypatch.setattr(where, name, faulty)
        with pytest.raises((AssertionError, ValueError, exporter.ExporterError)) as caught:
            await explore(case_of(job), memory_path, power=power, deaths=2)
    assert "What happened before" in caught.value.__notes__[0]
