"""An export that dies at any moment, by any death, as often as it may: the same command makes the same bytes."""

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
from tests.scenarios.disk import Disk, Tree, lay_out, lies_in, timeless
from tests.scenarios.jobs import KINDS, PER_PAGE, Job, check_manifests, data_of, export, small_job, undisturbed

Say = Callable[[str], None]


@pytest.fixture
def say(request: pytest.FixtureRequest, tell: Callable[[str, str], None]) -> Say:
    """Tell how much a test has explored."""
    return lambda figures: tell("Moments of death", f"{request.node.name}: {figures}")


def case_of(job: Job, start: Tree | None = None) -> Case:
    """Let a job begin on a folder, and never have a manifest that lies or half a file under its final name."""
    start = start or {}
    may_be = data_of(start).items() | data_of(job.whole).items()

    def sound(tree: Tree) -> None:
        check_manifests(tree)
        assert data_of(tree).items() <= may_be

    return Case(job.run, sound, job.done, start)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_process_dies_at_every_moment(kind: str, tmp_path: Path, say: Say) -> None:
    """Before, after and in the middle of every call, also of every resumed run, however often: nothing differs."""
    # A table is made of its journal in steps of its own, which lie behind the pages: fewer of those show as much.
    contacts = 40 if kind in ("table", "tables") else 60
    async with small_job(kind, tmp_path / "whole", contacts) as job:
        tally = await explore(case_of(job), tmp_path)
    assert tally.runs > 70
    say(str(tally))


@pytest.mark.parametrize("kind", ["plain", "parts", "table"])
async def test_the_power_fails_at_every_moment(kind: str, tmp_path: Path, say: Say) -> None:
    """Whatever was not synced is lost, torn or kept, twice in any mix with killed processes: nothing differs."""
    async with small_job(kind, tmp_path / "whole", contacts=20 if kind == "table" else 30) as job:
        tally = await explore(case_of(job), tmp_path, power=True, deaths=2)
    assert tally.runs > 250
    say(str(tally))


@pytest.mark.parametrize("kind", ["plain", "parts"])
async def test_a_limited_export_dies_at_every_moment(kind: str, tmp_path: Path, say: Say) -> None:
    """With `max_contacts` in the middle of a page, the finished output is as limited as without any death."""
    async with small_job(kind, tmp_path / "whole", contacts=60, max_contacts=25) as job:
        tally = await explore(case_of(job), tmp_path)
    say(str(tally))


@pytest.mark.parametrize(
    ("kind", "power"),
    [("plain", False), ("gzip", False), ("parts", False), ("plain", True), ("parts", True)],
    ids=["plain", "gzip", "parts", "plain, with power cuts", "parts, with power cuts"],
)
async def test_an_overwriting_export_dies_at_every_moment(kind: str, power: bool, tmp_path: Path, say: Say) -> None:
    """At each moment there is the old export with its manifest, or what the same command resumes from."""
    other = {"part_contacts": 10} if kind == "parts" else {"max_contacts": 25}
    async with small_job(kind, tmp_path / "old", contacts=30, **other) as old:
        whole = await undisturbed(old.intercom, kind, tmp_path / "new")
        job = replace(whole, options={**whole.options, "overwrite": True})
        case = case_of(job, old.whole)

        def sound(tree: Tree) -> None:
            case.sound(tree)
            # Parts go at once, and while they do the manifest is gone and the new checkpoint not there yet.
            assert {job.manifest, job.checkpoint} & tree.keys() or kind == "parts"

        tally = await explore(replace(case, sound=sound), tmp_path, power=power, deaths=2 if power else None)
    say(str(tally))


@pytest.mark.parametrize("kind", ["plain", "parts"])
async def test_a_restarting_export_dies_at_every_moment(kind: str, tmp_path: Path, say: Say) -> None:
    """With `restart` over an unfinished export of other settings, nothing of that gets into the output."""
    async with small_job(kind, tmp_path / "other", contacts=30, max_contacts=25) as other:
        unfinished = (await trees_of(other, tmp_path / "unfinished"))[-20]
        whole = await undisturbed(other.intercom, kind, tmp_path / "whole")
        job = replace(whole, options={**whole.options, "restart": True})
        tally = await explore(case_of(job, unfinished), tmp_path)
    say(str(tally))


@pytest.mark.parametrize(("kind", "power"), [("parts", False), ("parts", True), ("tables", False)])
async def test_an_export_of_0_1_0_resumed_dies_at_every_moment(
    kind: str, power: bool, tmp_path: Path, say: Say
) -> None:
    """A folder with the names of version 0.1.0 gets those of today, whatever dies meanwhile, and is resumed."""
    async with small_job(kind, tmp_path / "whole", contacts=30 if kind == "parts" else 10) as job:
        moments = await trees_of(job, tmp_path / "unfinished")
        stages: dict[tuple[str, ...], Tree] = {}
        for tree in moments:
            if job.checkpoint in tree:
                stages.setdefault(tuple(sorted(tree)), tree)
        for tree in stages.values():
            old = {as_0_1_0(name): content for name, content in tree.items()}
            tally = await explore(case_of(job, old), tmp_path, power=power, deaths=1)
            say(str(tally))
    assert len(stages) >= 4


def as_0_1_0(name: str) -> str:
    """Name a file in a folder of parts as version 0.1.0 did."""
    return name.replace("/_", "/")


async def trees_of(job: Job, root: Path) -> list[Tree]:
    """Give what is there at each moment of a job that nothing disturbs."""
    lay_out({}, root)
    trees: list[Tree] = []
    disk = Disk({})
    with Watch(root, disk, lambda _words: trees.append(disk.tree())).watching():
        await job.run(root)
    return trees


@pytest.mark.parametrize("kind", ["plain", "parts"])
def test_a_process_that_really_dies_leaves_what_is_said(
    kind: str, serve: Callable[..., AbstractContextManager[Any]], tmp_path: Path, say: Say
) -> None:
    """A process of its own dies at each moment, leaves what was foreseen, and the next process makes it whole."""
    with serve("--contacts=30") as served:

        async def anew(root: Path) -> None:
            async with exporter.Intercom(served.token, base_url=served.base_url, per_page=PER_PAGE) as intercom:
                await export(intercom, root, *KINDS[kind])

        async def calmly() -> tuple[Job, list[Tree]]:
            async with exporter.Intercom(served.token, base_url=served.base_url, per_page=PER_PAGE) as intercom:
                job = await undisturbed(intercom, kind, tmp_path / "whole")
                return job, await trees_of(job, tmp_path / "watched")

        (job, trees), root = asyncio.run(calmly()), tmp_path / "dies"
        for moment, tree in enumerate(trees):
            lay_out({}, root)
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of other tests' threads
                assert die(anew, root, moment)
            assert timeless(lies_in(root)) == timeless(tree)
            asyncio.run(anew(root))
            job.done(lies_in(root))
    say(f"{len(trees)} real deaths")


def nothing(*_anything: Any) -> None:
    """Do not do what should be done."""


def commit_first(output: Any, figures: Any) -> None:
    """Save the checkpoint, and only then bring to the disk what it speaks of."""
    committed = output.part.summary(output.place.file(1).name) if output.part else None
    output._save(figures, committed)
    if output.part:
        output.part.sync_and_check()


def manifest_first(output: Any, figures: Any, summarise: Any) -> Any:
    """Vouch for the file before it has its name."""
    summary = summarise((output.part.summary(output.place.file(1).name),))
    replace_durably(write_temporary(output.place.manifest, encode_manifest(summary)), output.place.manifest)
    return rightly_finish(output, figures, summarise)


rightly_finish = Output.finish
WRONGS: dict[str, tuple[bool, Sequence[tuple[Any, str, Any]]]] = {
    "the data is not synced": (True, [(part, "sync", nothing)]),
    "small files are not synced": (True, [(durable, "sync", nothing)]),
    "names are not synced": (True, [(where, "sync_folder", nothing) for where in (durable, naming, output)]),
    "the checkpoint comes first": (True, [(Output, "commit", commit_first)]),
    "the manifest comes first": (False, [(Output, "finish", manifest_first)]),
    "what is not committed stays": (False, [(part.Part, "begin", nothing)]),
}


@pytest.mark.parametrize("wrong", WRONGS)
async def test_what_is_done_wrong_is_found(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """These proofs can fail: an exporter that syncs too little, or in the wrong order, does not pass them."""
    power, patches = WRONGS[wrong]
    async with small_job("plain", tmp_path / "whole", contacts=30) as job:
        for where, name, instead in patches:
            monkeypatch.setattr(where, name, instead)
        with pytest.raises((AssertionError, ValueError, exporter.ExporterError)) as caught:
            await explore(case_of(job), tmp_path, power=power, deaths=2)
    assert "What had happened" in caught.value.__notes__[0]
