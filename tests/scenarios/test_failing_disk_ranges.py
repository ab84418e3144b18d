"""A disk that fails or is full during an export with several cursors: one error, and the next run completes it."""

import errno
import os
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import exporter
from tests.scenarios.crashing import Case
from tests.scenarios.disk import lies_in, write_tree
from tests.scenarios.failing_disk import FailingDisk
from tests.scenarios.test_crashes_ranges import KINDS, case_of
from tests.support.processes import Command
from tests.support.ranges import data_files

Serve = Callable[..., AbstractContextManager[Any]]
CONTACTS, PER_PAGE = 6_000, 50
LINE = ("contacts", "-q", "--format=ndjson", "--settle=0", "--cursors=3", f"--per-page={PER_PAGE}")


async def run_undisturbed(case: Case, root: Path, disk: FailingDisk) -> None:
    """Run an export to its end in a new folder."""
    write_tree({}, root)
    with disk.failing():
        await case.run(root)
    case.check_end(lies_in(root))


@pytest.mark.parametrize(("kind", "lasting"), [("parts of ranges", False), ("parts of ranges", True), ("tables", True)])
async def test_export_with_three_cursors_after_any_failed_call_reports_it_and_resumes(
    kind: str, lasting: bool, memory_path: Path
) -> None:
    """Whichever call fails, once or from then on, nothing is committed after it, and the next run has all bytes."""
    root = memory_path / "disk"
    async with case_of(memory_path / "undisturbed", **KINDS[kind]) as case:
        baseline = FailingDisk(root, 0, None)
        await run_undisturbed(case, root, baseline)
        for number in range(1, len(baseline.calls) + 1):
            write_tree({}, root)
            disk = FailingDisk(root, number, errno.ENOSPC, lasting=lasting)
            with disk.failing(), pytest.raises(exporter.SinkError) as caught:
                await case.run(root)
            assert os.strerror(errno.ENOSPC) in str(caught.value)
            assert "\n" not in str(caught.value)
            # Another cursor's page may still be written, but no checkpoint can cover it.
            assert not {"fsync", "replace", "rename"} & set(disk.calls[number:]), (number, disk.calls[number - 1 :])
            case.check_moment(lies_in(root))
            await case.run(root)
            case.check_end(lies_in(root))
    assert len(baseline.calls) > 80


async def test_short_write_with_three_cursors_is_continued(memory_path: Path) -> None:
    """Where the system takes only half of what it is given, it gets the rest, and the output is the same."""
    root = memory_path / "disk"
    async with case_of(memory_path / "undisturbed", **KINDS["ranges"]) as case:
        await run_undisturbed(case, root, FailingDisk(root, 1, None, lasting=True))


def check_failed(done: subprocess.CompletedProcess[bytes], what: bytes) -> None:
    """Check that a command ended with 5 and one line."""
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (5, b"", 1)
    assert what in done.stderr
    assert b"Traceback" not in done.stderr


def check_resumes(command: Command, served: Any, folder: Path, *more: str) -> None:
    """Check that the same command completes the export, with the files of one that nothing has disturbed."""
    done = command.run(*LINE, "-o", f"{folder}/", *more, served=served)
    assert (done.returncode, done.stderr) == (0, b"")
    done = command.run(*LINE, "-o", "calm/", served=served)
    assert (done.returncode, done.stderr) == (0, b"")
    files = data_files(folder)
    assert files == data_files(command.folder / "calm")
    assert sum(content.count(b"\n") for content in files.values()) == CONTACTS
    assert {path.name for path in folder.iterdir()} == {*files, "_manifest.json", "_plan.json"}


def test_full_disk_ends_an_export_with_three_cursors_which_resumes_with_more_space(
    serve: Serve, command: Command, small_disk: Callable[..., Path]
) -> None:
    """The command ends with 5 and one line, as often as it is run."""
    disk = small_disk("size=6m")
    with serve(f"--contacts={CONTACTS}", "--years=3") as served:
        for _ in range(2):
            done = command.run(*LINE, "-o", f"{disk}/out/", "--checkpoint-every=0", served=served)
            check_failed(done, os.strerror(errno.ENOSPC).encode())
        small_disk("size=100m")
        check_resumes(command, served, disk / "out", "--checkpoint-every=0")


def test_minimum_of_free_space_is_kept_by_an_export_with_three_cursors(
    serve: Serve, command: Command, small_disk: Callable[..., Path]
) -> None:
    """Neither pages nor the keys of their contacts use it, and all pages before it are committed."""
    disk = small_disk("size=64m")
    left = 56_000_000
    with serve(f"--contacts={CONTACTS}", "--years=3") as served:
        done = command.run(*LINE, "-o", f"{disk}/out/", f"--min-free-disk={left}", served=served)
        check_failed(done, b"less than the minimum of")
        state = os.statvfs(disk)
        assert left <= state.f_bavail * state.f_frsize < left + 2_000_000
        assert (disk / "out" / "_checkpoint.json").exists()
        check_resumes(command, served, disk / "out")


def test_limit_of_file_size_ends_an_export_with_three_cursors_which_resumes_without_it(
    serve: Serve, command: Command
) -> None:
    """Exit code 5 and one line."""
    with serve(f"--contacts={CONTACTS}", "--years=3") as served:
        limited = command.run_with_file_limit(2_000, *LINE, "-o", "out/", "--checkpoint-every=0", served=served)
        check_failed(limited, os.strerror(errno.EFBIG).encode())
        check_resumes(command, served, command.folder / "out", "--checkpoint-every=0")
