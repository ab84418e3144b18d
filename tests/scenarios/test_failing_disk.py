"""A disk that fails, at every call in turn: the export reports it at once, and resumes once the disk is fixed."""

import asyncio
import errno
import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import exporter
from tests.scenarios.disk import Tree, lies_in, write_tree
from tests.scenarios.failing_disk import FailingDisk
from tests.scenarios.jobs import CORE, KINDS, Job, check_manifests, data_of, small_job
from tests.support.memory import MEMORY

Serve = Callable[..., AbstractContextManager[Any]]
CONTACTS, PER_PAGE, PART_CONTACTS = 1_500, 50, 300
OUTPUTS = {"a.ndjson": (), "a.parquet": (), "parts/": ("--format=ndjson", f"--part-contacts={PART_CONTACTS}")}


def check_committed(tree: Tree) -> None:
    """Check that the bytes that a checkpoint lists are there."""
    for name, content in tree.items():
        if name.endswith("checkpoint.json"):
            checkpoint, folder = json.loads(content or b""), name.removesuffix(Path(name).name)
            for file in (*checkpoint["files"], *filter(None, [checkpoint["part"]])):
                path = folder + file["name"]
                names = (f"{path}.part", f"{folder}_{file['name']}.part", path)
                data = next(filter(None, map(tree.get, names)), b"")
                assert hashlib.sha256(data[: file["bytes"]]).hexdigest() == file["sha256"]


def check_failure(error: exporter.SinkError, code: int, root: Path) -> None:
    """Check that an error reports in one line what failed, and where."""
    assert os.strerror(code) in str(error)
    assert "\n" not in str(error)
    assert isinstance(error.__cause__, OSError)
    assert error.path is not None
    assert root in error.path.parents


def check_left(tree: Tree, job: Job) -> None:
    """Check that everything committed, and every file with its final name, is complete."""
    check_committed(tree)
    check_manifests(tree)
    assert data_of(tree).items() <= data_of(job.undisturbed).items()


async def calls_of(job: Job, root: Path, disk: FailingDisk) -> int:
    """Run a job to its end in a new folder; return the number of its calls."""
    write_tree({}, root)
    with disk.failing():
        await job.run(root)
    job.check_finished(lies_in(root))
    return len(disk.calls)


@pytest.mark.parametrize(
    ("kind", "code", "lasting"),
    [
        *((kind, errno.ENOSPC, lasting) for kind in ("plain", "parts") for lasting in (False, True)),
        ("plain", errno.EIO, False),  # the number of an error is only reported
        ("plain", errno.EDQUOT, False),
    ],
)
async def test_export_after_any_failed_call_reports_it_and_resumes(
    kind: str, code: int, lasting: bool, memory_path: Path
) -> None:
    """Whichever call fails, once or from then on, no committed byte is lost, and the next run completes the output."""
    root = memory_path / "disk"
    async with small_job(kind, memory_path / "undisturbed", pages=3) as job:
        calls = await calls_of(job, root, FailingDisk(root, 0, None))
        for number in range(1, calls + 1):
            write_tree({}, root)
            disk = FailingDisk(root, number, code, lasting=lasting)
            with disk.failing(), pytest.raises(exporter.SinkError) as caught:
                await job.run(root)
            check_failure(caught.value, code, root)
            assert set(disk.calls[number:]) <= {"unlink"}, disk.calls[number - 1 :]
            check_left(lies_in(root), job)
            await job.run(root)
            job.check_finished(lies_in(root))


@pytest.mark.parametrize("kind", CORE)
async def test_failed_fsync_is_never_repeated_in_the_same_run(kind: str, memory_path: Path) -> None:
    """After a failed fsync the disk is not trusted any more: no sync, no checkpoint and no rename follow."""
    root = memory_path / "disk"
    async with small_job(kind, memory_path / "undisturbed", pages=3) as job:
        baseline = FailingDisk(root, 0, None)
        await calls_of(job, root, baseline)
        syncs = [number for number, call in enumerate(baseline.calls, 1) if call == "fsync"]
        for number in syncs:
            write_tree({}, root)
            disk = FailingDisk(root, number, errno.EIO)
            with disk.failing(), pytest.raises(exporter.SinkError):
                await job.run(root)
            assert disk.calls[:number] == baseline.calls[:number]
            assert not {"fsync", "replace", "rename", "write"} & set(disk.calls[number:])
    assert len(syncs) > 20


@pytest.mark.parametrize("kind", KINDS)
async def test_short_write_is_continued_until_everything_is_written(kind: str, memory_path: Path) -> None:
    """Where the system takes only half of what it is given, it gets the rest, and the output is the same."""
    root = memory_path / "disk"
    async with small_job(kind, memory_path / "undisturbed", pages=3) as job:
        baseline = FailingDisk(root, 0, None)
        calls = await calls_of(job, root, baseline)
        writes = [number for number, call in enumerate(baseline.calls, 1) if call == "write"]
        for number in writes:
            assert await calls_of(job, root, FailingDisk(root, number, None)) == calls + 1
        assert await calls_of(job, root, FailingDisk(root, 1, None, lasting=True)) > calls + 5 * len(writes)


@cache
def undisturbed_data(output: str) -> dict[str, tuple[int, str]]:
    """Return length and hash of each data file of an undisturbed export, which the library writes."""

    async def run(folder: str) -> None:
        parts = {"file_format": "ndjson", "part_contacts": PART_CONTACTS} if output.endswith("/") else {}
        async with (
            exporter.Sandbox(CONTACTS, hostile=True) as sandbox,
            exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=PER_PAGE) as intercom,
        ):
            await exporter.export(intercom, f"{folder}/{output}", **parts)  # type: ignore[arg-type]

    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        asyncio.run(run(folder))
        return data_of(lies_in(Path(folder)))


def arguments(output: str, *more: str) -> tuple[str, ...]:
    """Return the command's arguments for an output."""
    return ("contacts", "-q", "-o", output, f"--per-page={PER_PAGE}", *OUTPUTS[output], *more)


def check_end(done: subprocess.CompletedProcess[bytes], code: int) -> None:
    """Check that a command ended with 5 and one line about an error's number."""
    assert done.returncode == 5
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert os.strerror(code).encode() in done.stderr
    assert b"Traceback" not in done.stderr


def check_resumes(command: Any, served: Any, output: str, *more: str) -> None:
    """Check that the same command resumes, and leaves the files of an undisturbed export and no others."""
    assert command.run(*arguments(output, *more), served=served).returncode == 0
    tree = lies_in(command.folder)
    assert data_of(tree) == undisturbed_data(output)
    assert not [name for name in tree if "checkpoint" in name or name.endswith((".part", ".tmp"))]


@pytest.mark.parametrize("output", OUTPUTS)
def test_full_disk_ends_the_command_which_resumes_with_more_space(
    serve: Serve, command: Any, small_disk: Callable[[str], Path], output: str
) -> None:
    """On a disk that gets full the command ends with 5 and one line, as often as it is run."""
    small_disk("size=500k")
    with serve(f"--contacts={CONTACTS}") as served:
        for _ in range(2):
            check_end(command.run(*arguments(output, "--checkpoint-every=0"), served=served), errno.ENOSPC)
        small_disk("size=100m")
        check_resumes(command, served, output, "--checkpoint-every=0")


@pytest.mark.parametrize(("output", "left"), [*((output, 400_000) for output in OUTPUTS), ("a.parquet", 1_000_000)])
def test_export_with_min_free_disk_never_goes_below_it(
    serve: Serve, command: Any, small_disk: Callable[[str], Path], output: str, left: int
) -> None:
    """Whatever is written, a part, a journal or a table, the free space is kept, and all pages are committed."""
    lowest = free_in(small_disk("size=16m"))
    floor = lowest - left
    with serve(f"--contacts={CONTACTS}") as served:
        line = arguments(output, "--checkpoint-every=1000")
        run = command.start(*line, f"--min-free-disk={floor}", served=served)
        while run.poll() is None:
            lowest = min(lowest, free_in(command.folder))
            time.sleep(0.001)
        assert (run.returncode, run.stdout.read(), run.stderr.read().count(b"less than the minimum of")) == (5, b"", 1)
        assert min(lowest, free_in(command.folder)) >= floor
        checkpoint = json.loads(next(command.folder.rglob("*checkpoint.json")).read_bytes())
        journal = next(command.folder.rglob("*.part")).stat().st_size
        assert journal == checkpoint["part"]["bytes"] > 0
        check_resumes(command, served, output, "--checkpoint-every=1000")


def free_in(folder: Path) -> int:
    """Return the free bytes of a disk."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


@pytest.mark.parametrize("output", ["a.ndjson", "parts/"])
def test_read_only_disk_ends_the_command_which_then_exports_to_a_writable_one(
    serve: Serve, command: Any, small_disk: Callable[[str], Path], output: str
) -> None:
    """On a read-only disk the command ends with 5 and one line."""
    small_disk("size=100m,ro")
    with serve(f"--contacts={CONTACTS}") as served:
        check_end(command.run(*arguments(output), served=served), errno.EROFS)
        small_disk("size=100m,rw")
        check_resumes(command, served, output)


@pytest.mark.parametrize("output", ["a.ndjson", "parts/"])
def test_read_only_folder_ends_the_command_which_then_exports_to_a_writable_one(
    serve: Serve, command: Any, output: str
) -> None:
    """In a folder without permission to write the command ends with 5 and one line."""
    command.folder.chmod(0o555)
    if os.access(command.folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    with serve(f"--contacts={CONTACTS}") as served:
        check_end(command.run(*arguments(output), served=served), errno.EACCES)
        command.folder.chmod(0o755)
        check_resumes(command, served, output)


@pytest.mark.parametrize("output", OUTPUTS)
def test_limit_of_file_size_ends_the_command_which_resumes_without_it(serve: Serve, command: Any, output: str) -> None:
    """Under a limit of the files' size the command ends with 5 and one line."""
    with serve(f"--contacts={CONTACTS}") as served:
        limited = command.run_with_file_limit(500, *arguments(output, "--checkpoint-every=0"), served=served)
        check_end(limited, errno.EFBIG)
        check_resumes(command, served, output, "--checkpoint-every=0")
