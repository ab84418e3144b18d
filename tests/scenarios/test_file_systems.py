"""Network and FUSE file systems, which refuse what local disks do: the command goes on where nothing depends on it.

A small library stands between the real command and the system, and lets chosen
calls below the folder of the output fail with a chosen error number.
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.disk import Tree, lies_in
from tests.support.warm_interpreter import WarmInterpreter

SOURCE = Path(__file__).parent.parent / "support" / "refusing.c"
OUTPUTS = {"a.ndjson": (), "parts/": ("--format=ndjson", "--part-contacts=150")}
UNSUPPORTED = ("EINVAL", "EOPNOTSUPP", "ENOSYS")
CONSEQUENCES = {
    "fsync-folder": b"cannot sync a folder (a power cut may undo the latest renames)",
    "fsync": b"cannot sync a file (a power cut may lose the latest data)",
    "flock": b"has no locks (do not start a second export to the same output)",
}
REFUSED = {
    "fsync-folder": (*UNSUPPORTED, "EACCES", "EPERM", "EBADF"),
    "fsync": UNSUPPORTED,
    "flock": (*UNSUPPORTED, "ENOLCK"),
    "fchmod": (*UNSUPPORTED, "EPERM", "EACCES"),
    "statvfs": (*UNSUPPORTED, "EACCES"),
}
FAILED = {
    "fsync-folder": ("EIO", "ENOSPC"),
    "fsync": ("EIO", "ENOSPC", "EDQUOT"),
    "flock": ("EIO",),
    "write": ("EIO", "ENOSPC", "EFBIG"),
    "rename": ("EIO", "EACCES"),
    "open": ("EIO", "EACCES", "EROFS"),
}
UNREADABLE = (("open", "EACCES"), ("open", "EIO"), ("read", "EIO"), ("stat", "EACCES"))


def cases(calls: Mapping[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    """Pair each call with each of its error numbers for a single file, and with the first one for a folder."""
    return [
        (output, call, code)
        for output in OUTPUTS
        for call, codes in calls.items()
        for code in (codes if output == "a.ndjson" else codes[:1])
    ]


Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile what stands between the command and the system."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    path = tmp_path_factory.mktemp("library") / "refusing.so"
    done = subprocess.run([compiler, "-shared", "-fPIC", "-o", path, SOURCE, "-ldl"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"the library cannot be compiled here: {done.stderr.decode().splitlines()[0]}")
    return path


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, str]]:
    """Serve 300 contacts for all tests."""
    command = [sys.executable, "-m", "exporter", "sandbox", "--contacts=300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())
            yield {
                "INTERCOM_EXPORTER_BASE_URL": address["base_url"],
                "INTERCOM_ACCESS_TOKEN": address["token"],
            }
        finally:
            process.terminate()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Return the folder below which calls are refused."""
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


@pytest.fixture
def environment(served: dict[str, str], library: Path, disk: Path) -> dict[str, str]:
    """Return the variables of a command that is to meet refusals."""
    return served | {"LD_PRELOAD": str(library), "REFUSE_BELOW": str(disk)}


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Iterator[WarmInterpreter]:
    """Return an interpreter for commands that have the library between them and the system."""
    warm = WarmInterpreter(tmp_path_factory.mktemp("preloaded") / "s", LD_PRELOAD=str(library))
    yield warm
    warm.close()


@pytest.fixture
def run(command: Any, preloaded: WarmInterpreter, environment: dict[str, str]) -> Run:
    """Run the command with some calls refused: ``fsync-folder=EINVAL``, or a kind without a number."""
    refusing = replace(command, interpreter=preloaded)

    def start(*arguments: str, refused: str = "") -> subprocess.CompletedProcess[bytes]:
        name, _, code = refused.partition("=")
        number = code if code.isdigit() else getattr(errno, code, "")
        variables = environment | {"REFUSE": f"{name}={number}".rstrip("=")}
        done: subprocess.CompletedProcess[bytes] = refusing.run(*arguments, **variables)
        return done

    return start


def export(run: Run, disk: Path, output: str, *options: str, refused: str = "") -> subprocess.CompletedProcess[bytes]:
    """Export to an output on the disk."""
    return run("contacts", "-o", f"{disk}/{output}", *OUTPUTS[output], *options, refused=refused)


def warnings_of(done: subprocess.CompletedProcess[bytes]) -> list[bytes]:
    """Return the lines that speak of the file system."""
    return [line for line in done.stderr.splitlines() if b"the file system of the output" in line]


def check_whole(disk: Path, output: str) -> None:
    """Check that a finished export is there and nothing else, hidden files included."""
    tree = lies_in(disk)
    assert not [name for name in tree if "checkpoint" in name or name.endswith((".part", ".tmp"))]
    assert not [name for name in tree if "/." in f"/{name}"]
    lines = b"".join(content or b"" for name, content in sorted(tree.items()) if name.endswith(".ndjson"))
    assert lines.count(b"\n") == 300


@pytest.mark.parametrize(("output", "call", "code"), cases(REFUSED))
def test_export_where_an_operation_is_unsupported_goes_on(
    run: Run, disk: Path, output: str, call: str, code: str
) -> None:
    """The export is whole; one line says what is missing, where something is, and a second run finds it complete."""
    options = ("--min-free-disk=1kB",) if call == "statvfs" else ()
    done = export(run, disk, output, *options, refused=f"{call}={code}")
    assert done.returncode == 0, done.stderr
    check_whole(disk, output)
    expected = b"does not report its free space" if call == "statvfs" else CONSEQUENCES.get(call)
    assert len(warnings_of(done)) == (expected is not None)
    assert expected is None or expected in warnings_of(done)[0]


@pytest.mark.parametrize(("output", "call", "code"), cases(FAILED))
def test_export_where_the_disk_fails_ends_with_5(run: Run, disk: Path, output: str, call: str, code: str) -> None:
    """A real failure is one line and 5; no empty part is left, and the same command makes the export whole."""
    done = export(run, disk, output, "-q", refused=f"{call}={code}")
    assert done.returncode == 5, done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    left: Tree = lies_in(disk)
    assert not [name for name, content in left.items() if name.endswith(".part") and not content]
    assert export(run, disk, output, "-q").returncode == 0
    check_whole(disk, output)


@pytest.mark.parametrize("output", OUTPUTS)
def test_export_where_a_lock_needs_a_writable_descriptor_is_locked(run: Run, disk: Path, output: str) -> None:
    """On NFS the first run, a complete one and one that overwrites all work, and no lock is missing."""
    for options in ((), (), ("--overwrite",), ("--overwrite", "--per-page=100")):
        done = export(run, disk, output, *options, refused="flock-nfs")
        assert done.returncode == 0, done.stderr
        assert warnings_of(done) == []
        check_whole(disk, output)


@pytest.mark.parametrize("output", OUTPUTS)
def test_export_where_a_lock_needs_a_writable_descriptor_refuses_a_second_process(
    run: Run, command: Any, environment: dict[str, str], disk: Path, output: str
) -> None:
    """On NFS too an output is one process's at a time."""
    variables = environment | {"REFUSE": "flock-nfs"}
    arguments = ("contacts", "-q", "-o", f"{disk}/{output}", *OUTPUTS[output], "--per-page=1")
    first = command.start(*arguments, **variables)
    while not list(disk.rglob("*checkpoint.json")):
        assert first.poll() is None
    first.send_signal(signal.SIGSTOP)  # it keeps its lock
    second = export(run, disk, output, "-q", "--per-page=1", refused="flock-nfs")
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 5
    assert b"another export is writing" in second.stderr
    assert first.wait(60) == 0
    check_whole(disk, output)


@pytest.mark.parametrize("kind", ["locked", "EACCES"])
def test_export_where_another_process_has_the_lock_ends_with_5(run: Run, disk: Path, kind: str) -> None:
    """A lock that is held is told by EWOULDBLOCK, on some network disks by EACCES."""
    done = export(run, disk, "a.ndjson", "-q", refused="flock=EACCES" if kind == "EACCES" else "flock=EWOULDBLOCK")
    assert done.returncode == 5
    assert b"another export is writing" in done.stderr


@pytest.mark.parametrize("output", OUTPUTS)
def test_export_where_modes_are_ignored_says_so(run: Run, disk: Path, output: str) -> None:
    """A file that others can read, whatever is asked, is worth one line; the export is made."""
    first = export(run, disk, output)
    assert first.returncode == 0
    for path in disk.rglob("*json*"):
        path.chmod(0o644)
    (disk / "a.ndjson.part").write_bytes(b"")
    (disk / "a.ndjson.part").chmod(0o644)
    if output != "a.ndjson":
        (disk / "a.ndjson.part").unlink()
        (disk / "parts" / "_checkpoint.json.tmp").write_bytes(b"")
        (disk / "parts" / "_checkpoint.json.tmp").chmod(0o644)
    done = export(run, disk, output, "--overwrite", "--per-page=100", refused="fchmod-ignored")
    assert done.returncode == 0, done.stderr
    (warning,) = warnings_of(done)
    assert b"does not make files private (check who can read them)" in warning


@pytest.mark.parametrize("output", OUTPUTS)
def test_export_where_all_files_have_another_owner_is_made(run: Run, disk: Path, output: str) -> None:
    """A file system that gives all files to one user, whoever makes them, is as good as another."""
    other = str(os.geteuid() + 65_534)
    for options in ((), ("--overwrite", "--per-page=100")):
        done = export(run, disk, output, *options, refused=f"owner={other}")
        assert done.returncode == 0, done.stderr
        check_whole(disk, output)


def test_export_where_free_space_is_unknown_goes_on(run: Run, disk: Path) -> None:
    """A disk that says it has no blocks at all does not report its free space."""
    done = export(run, disk, "a.ndjson", "--min-free-disk=1kB", refused="statvfs-zero")
    assert done.returncode == 0, done.stderr
    assert b"does not report its free space (the minimum free space has no effect)" in warnings_of(done)[0]
    checked = run("check", "-o", str(disk / "b.ndjson"), "--min-free-disk=1kB", "--json", refused="statvfs-zero")
    found = json.loads(checked.stdout)
    assert (checked.returncode, found["free_disk_bytes"]) == (0, None)
    assert any("does not report its free space" in warning for warning in found["warnings"])


@pytest.mark.parametrize(("call", "code"), UNREADABLE)
@pytest.mark.parametrize("output", OUTPUTS)
def test_verify_and_report_where_nothing_can_be_read_end_with_5(
    run: Run, disk: Path, output: str, call: str, code: str
) -> None:
    """Permissions and a failing disk are no difference of the export; a path that is not there is 2."""
    assert export(run, disk, output, "-q").returncode == 0
    path = f"{disk}/{output}".rstrip("/")
    for arguments in (("verify", path), ("report", path, "--html", f"{disk.parent}/page.html")):
        done = run(*arguments, refused=f"{call}={code}")
        assert done.returncode == 5, done.stderr
        assert b"cannot be read" in done.stderr
        assert b"Traceback" not in done.stderr
        assert run(*arguments).returncode == 0
        assert run(arguments[0], f"{path}.not", *arguments[2:]).returncode == 2
