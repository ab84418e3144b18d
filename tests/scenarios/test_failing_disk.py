"""A disk that fails, at every call in turn: the export says so at once, and once it is mended the same call goes on."""

import errno
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import exporter
from tests.scenarios.disk import Tree, lay_out, lies_in
from tests.scenarios.jobs import KINDS, Job, check_manifests, data_of, small_job

Serve = Callable[..., AbstractContextManager[Any]]
CALLS = ("open", "write", "fsync", "ftruncate", "replace", "rename", "unlink", "mkdir")
OUTPUTS = {
    "a.ndjson": (),
    "a.ndjson.gz": ("--per-page=50",),
    "a.csv": (),
    "a.parquet": (),
    "parts/": ("--format=ndjson", "--part-contacts=1500"),
}


class FailingDisk:
    """Stands between this process and a folder, and lets a call fail that would change it.

    The real disk is never waited for.

    Args:
        root: the folder.
        number: which call, from 1.
        code: the error's number; None lets a write take only half of what it is given.
        lasting: whether all calls fail from then on.

    Attributes:
        calls: the names of all calls so far.
    """

    def __init__(self, root: Path, number: int, code: int | None, *, lasting: bool = False) -> None:
        self.calls: list[str] = []
        self._root = f"{root}/"
        self._number, self._code, self._lasting = number, code, lasting
        self._descriptors: set[int] = set()
        self._real = {name: getattr(os, name) for name in CALLS}

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Stand there for the length of a block."""
        with pytest.MonkeyPatch.context() as patches:
            for name in CALLS:
                patches.setattr(os, name, self._open if name == "open" else self._instead_of(name))
            yield

    @property
    def has_failed(self) -> bool:
        """Whether the call that was to fail has come."""
        return len(self.calls) >= self._number

    def _open(self, path: Any, *others: Any, **more: Any) -> int:
        descriptor: int = self._instead_of("open")(path, *others, **more)
        (self._descriptors.add if self._is_below(path) else self._descriptors.discard)(descriptor)
        return descriptor

    def _instead_of(self, name: str) -> Callable[..., Any]:
        def call(what: Any, *others: Any, **more: Any) -> Any:
            if self._is_below(what):
                self.calls.append(name)
                if len(self.calls) == self._number or (self._lasting and self.has_failed):
                    others = self._fail(name, others)
                if name == "fsync":
                    return None
            return self._real[name](what, *others, **more)

        return call

    def _fail(self, name: str, others: tuple[Any, ...]) -> tuple[Any, ...]:
        """Raise, or give the call less to do."""
        if self._code is not None:
            raise OSError(self._code, os.strerror(self._code))
        return (others[0][: -(-len(others[0]) // 2)],) if name == "write" else others

    def _is_below(self, what: Any) -> bool:
        return what in self._descriptors if isinstance(what, int) else f"{what}/".startswith(self._root)


def check_committed(tree: Tree) -> None:
    """Check that the bytes are there which the checkpoint, if there is one, speaks of."""
    for name, content in tree.items():
        if name.endswith("checkpoint.json"):
            checkpoint, folder = json.loads(content or b""), name.removesuffix(Path(name).name)
            for file in (*checkpoint["files"], *filter(None, [checkpoint["part"]])):
                path = folder + file["name"]
                names = (f"{path}.part", f"{folder}_{file['name']}.part", path)
                data = next(filter(None, map(tree.get, names)), b"")
                assert hashlib.sha256(data[: file["bytes"]]).hexdigest() == file["sha256"]


def check_failure(error: exporter.SinkError, code: int, root: Path) -> None:
    """Check that an error says in one line what failed, and where."""
    assert os.strerror(code) in str(error)
    assert "\n" not in str(error)
    assert isinstance(error.__cause__, OSError)
    assert error.path is not None
    assert root in error.path.parents


def check_left(tree: Tree, job: Job) -> None:
    """Check that whatever claims to be finished or committed is."""
    check_committed(tree)
    check_manifests(tree)
    assert data_of(tree).items() <= data_of(job.whole).items()


async def calls_of(job: Job, root: Path, disk: FailingDisk) -> int:
    """Run a job to its end in a new folder; give the number of its calls."""
    lay_out({}, root)
    with disk.failing():
        await job.run(root)
    job.done(lies_in(root))
    return len(disk.calls)


@pytest.mark.parametrize(
    ("code", "lasting"),
    [(errno.ENOSPC, False), (errno.EIO, False), (errno.EDQUOT, False), (errno.ENOSPC, True)],
    ids=["ENOSPC", "EIO", "EDQUOT", "ENOSPC from then on"],
)
@pytest.mark.parametrize("kind", ["plain", "parts"])  # compressing makes the same calls
async def test_any_call_may_fail(kind: str, code: int, lasting: bool, tmp_path: Path) -> None:
    """Whichever call fails, it is told, nothing committed is harmed, and the same call makes the output whole."""
    root = tmp_path / "disk"
    async with small_job(kind, tmp_path / "whole", contacts=30) as job:
        calls = await calls_of(job, root, FailingDisk(root, 0, None))
        for number in range(1, calls + 1):
            lay_out({}, root)
            disk = FailingDisk(root, number, code, lasting=lasting)
            with disk.failing(), pytest.raises(exporter.SinkError) as caught:
                await job.run(root)
            check_failure(caught.value, code, root)
            assert set(disk.calls[number:]) <= {"unlink"}, disk.calls[number - 1 :]
            check_left(lies_in(root), job)
            await job.run(root)
            job.done(lies_in(root))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_failed_to_be_synced_is_never_synced_again(kind: str, tmp_path: Path) -> None:
    """After a failed fsync the disk is not believed any more: no sync, no checkpoint, no name follows in that run."""
    root = tmp_path / "disk"
    async with small_job(kind, tmp_path / "whole", contacts=30) as job:
        calm = FailingDisk(root, 0, None)
        await calls_of(job, root, calm)
        syncs = [number for number, call in enumerate(calm.calls, 1) if call == "fsync"]
        for number in syncs:
            lay_out({}, root)
            disk = FailingDisk(root, number, errno.EIO)
            with disk.failing(), pytest.raises(exporter.SinkError):
                await job.run(root)
            assert disk.calls[:number] == calm.calls[:number]
            assert not {"fsync", "replace", "rename", "write"} & set(disk.calls[number:])
    assert len(syncs) > 20


@pytest.mark.parametrize("kind", KINDS)
async def test_a_write_may_take_only_a_part(kind: str, tmp_path: Path) -> None:
    """A system that takes half of what it is given is given the rest, and nobody notices."""
    root = tmp_path / "disk"
    async with small_job(kind, tmp_path / "whole", contacts=30) as job:
        calm = FailingDisk(root, 0, None)
        calls = await calls_of(job, root, calm)
        writes = [number for number, call in enumerate(calm.calls, 1) if call == "write"]
        for number in writes:
            assert await calls_of(job, root, FailingDisk(root, number, None)) == calls + 1
        assert await calls_of(job, root, FailingDisk(root, 1, None, lasting=True)) > calls + 5 * len(writes)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system in memory at the folder of the commands, with options; called again, change them."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        again = ["-o", f"remount,{options}"] if mounted else ["-t", "tmpfs", "-o", options, "tmpfs"]
        done = subprocess.run(["mount", *again, tmp_path], capture_output=True, check=False)
        if done.returncode and not mounted:
            pytest.skip("mounting is not allowed here")
        assert done.returncode == 0, done.stderr
        mounted.append(tmp_path)
        return tmp_path

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


def check_end(done: subprocess.CompletedProcess[bytes], code: int) -> None:
    """Check that a command ended with 5 and one line about an error's number."""
    assert done.returncode == 5
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert os.strerror(code).encode() in done.stderr
    assert b"Traceback" not in done.stderr


def check_same(command: Any, served: Any, output: str, *options: str) -> None:
    """Check that the same command resumes, and makes what an undisturbed one makes."""
    assert command.run("contacts", "-q", "-o", output, *options, served=served).returncode == 0
    (command.folder / "calm").mkdir()
    assert command.run("contacts", "-q", "-o", f"calm/{output}", *options, served=served).returncode == 0
    tree = lies_in(command.folder)
    calm = {name.removeprefix("calm/"): facts for name, facts in data_of(tree).items() if name.startswith("calm/")}
    assert {name: facts for name, facts in data_of(tree).items() if not name.startswith("calm/")} == calm
    assert not [name for name in tree if "checkpoint" in name or name.endswith((".part", ".tmp"))]


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_full_disk(serve: Serve, command: Any, small_disk: Callable[[str], Path], output: str) -> None:
    """On a disk that is full before the end the command ends with 5 and one line; with more room it goes on."""
    small_disk("size=1m")
    options = ("--checkpoint-every=0", *OUTPUTS[output])
    with serve("--contacts=6000") as served:
        for _ in range(2):
            check_end(command.run("contacts", "-q", "-o", output, *options, served=served), errno.ENOSPC)
        small_disk("size=100m")
        check_same(command, served, output, *options)


@pytest.mark.parametrize(
    ("output", "left"), [*((output, 800_000) for output in OUTPUTS), ("a.parquet", 3_000_000)], ids=str
)
def test_export_with_min_free_disk_never_goes_below_it(
    serve: Serve, command: Any, small_disk: Callable[[str], Path], output: str, left: int
) -> None:
    """Whatever is written, a part, a journal or a table made of it, the floor is kept, and all pages are committed."""
    floor = 16_000_000 - left
    small_disk("size=16000k")
    options = ("--checkpoint-every=1000", *OUTPUTS[output])
    lowest = floor + left
    with serve("--contacts=6000") as served:
        arguments = ("contacts", "-q", "-o", output, *options, f"--min-free-disk={floor}")
        run = command.start(*arguments, served=served)
        while run.poll() is None:
            lowest = min(lowest, free_in(command.folder))
            time.sleep(0.001)
        assert (run.returncode, run.stdout.read(), run.stderr.read().count(b"less than the minimum of")) == (5, b"", 1)
        assert min(lowest, free_in(command.folder)) >= floor
        checkpoint = json.loads(next(command.folder.rglob("*checkpoint.json")).read_bytes())
        journal = next(command.folder.rglob("*.part")).stat().st_size
        assert journal == checkpoint["part"]["bytes"] > 0
        small_disk("size=100m")
        check_same(command, served, output, *options)


def free_in(folder: Path) -> int:
    """Return the free bytes of a disk."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_disk_that_can_only_be_read(
    serve: Serve, command: Any, small_disk: Callable[[str], Path], output: str
) -> None:
    """On a read-only disk the command ends with 5 and one line; once it can be written it goes on."""
    small_disk("size=100m,ro")
    with serve("--contacts=6000") as served:
        check_end(command.run("contacts", "-q", "-o", output, *OUTPUTS[output], served=served), errno.EROFS)
        small_disk("size=100m,rw")
        check_same(command, served, output, *OUTPUTS[output])


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_folder_that_can_only_be_read(serve: Serve, command: Any, output: str) -> None:
    """In a folder without permission to write the command ends with 5 and one line."""
    command.folder.chmod(0o555)
    if os.access(command.folder, os.W_OK):
        pytest.skip("who runs this may write everywhere")
    with serve("--contacts=6000") as served:
        check_end(command.run("contacts", "-q", "-o", output, *OUTPUTS[output], served=served), errno.EACCES)
        command.folder.chmod(0o755)
        check_same(command, served, output, *OUTPUTS[output])


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_limit_of_file_size(serve: Serve, command: Any, output: str) -> None:
    """Under a limit of the files' size the command ends with 5 and one line; without it it goes on."""
    line = command.line("contacts", "-q", "-o", output, "--checkpoint-every=0", *OUTPUTS[output])
    with serve("--contacts=6000") as served:
        for _ in range(2):
            limited = subprocess.run(
                ["/bin/sh", "-c", 'ulimit -f 1000; exec "$@"', "sh", *line],
                cwd=command.folder,
                env=command.environment(served),
                capture_output=True,
                check=False,
            )
            check_end(limited, errno.EFBIG)
        check_same(command, served, output, "--checkpoint-every=0", *OUTPUTS[output])
