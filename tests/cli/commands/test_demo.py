"""The command `demo`."""

import gzip
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.smoke


def test_demo_run_again_reports_that_the_file_is_complete(command: Any) -> None:
    """The demo's file is complete; run again, it reports that and changes nothing."""
    first = command.run("demo", "-o", "contacts.ndjson.gz")
    path = command.folder / "contacts.ndjson.gz"
    content, stamp = path.read_bytes(), path.stat().st_mtime_ns
    again = command.run("demo", "-o", "contacts.ndjson.gz")
    assert (first.returncode, again.returncode, first.stdout, again.stdout) == (0, 0, b"", b"")
    assert b"10,000 contacts" in first.stderr
    assert b"already complete" in again.stderr
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, stamp)
    assert gzip.decompress(content).count(b"\n") == 10_000


def test_demo_takes_the_options_of_contacts(command: Any) -> None:
    """The demo's own option works with those of contacts; options that name the API have no effect."""
    done = command.run("demo", "--contacts=42", "--per-page=5", "--region=eu", "-q", INTERCOM_ACCESS_TOKEN="")
    assert (done.returncode, done.stdout.count(b"\n"), done.stderr) == (0, 42, b"")


@pytest.mark.parametrize("output", [["-o", "-"], ["--output", "-"], ["--output=-"], []])
def test_output_of_a_dash_is_stdout(command: Any, output: list[str]) -> None:
    """In any spelling, "-" means stdout, and no file of that name."""
    done = command.run("demo", "--max-contacts=2", "-q", *output)
    assert (done.returncode, done.stdout.count(b"\n"), done.stderr) == (0, 2, b"")
    assert list(command.folder.iterdir()) == []


def test_little_free_disk_stops_gracefully(command: Any) -> None:
    """--min-free-disk ends with 5 before the disk is full, in one line with the free space."""
    done = command.run("demo", "-o", "a.ndjson", "--min-free-disk=8000TB")
    assert (done.returncode, done.stderr.count(b"\n")) == (5, 1)
    assert b"are free in" in done.stderr
    assert list(command.folder.iterdir()) == []


def test_folder_gets_numbered_parts_and_one_manifest(command: Any) -> None:
    """The parts together are the export."""
    done = command.run("demo", "--contacts=1000", "-o", "out/", "--part-contacts=300", "--format=ndjson")
    assert done.returncode == 0
    names = sorted(path.name for path in (command.folder / "out").iterdir())
    assert names == ["_manifest.json", *(f"contacts-{number:05}.ndjson" for number in range(1, 5))]
    command.run("demo", "--contacts=1000", "-o", "a.ndjson")
    parts = b"".join((command.folder / "out" / name).read_bytes() for name in names if name != "_manifest.json")
    assert parts == (command.folder / "a.ndjson").read_bytes()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nothing can be written")
def test_read_only_folder_ends_with_5(command: Any) -> None:
    """A destination that takes no file ends with 5 and one line."""
    done = command.run("demo", "-o", "/proc/contacts.ndjson")
    assert done.returncode == 5
    assert done.stderr.count(b"\n") == 1


def test_compressed_output_to_a_terminal_is_refused(command: Any) -> None:
    """Compressed contacts on a terminal are refused."""
    leader, follower = pty.openpty()
    run = subprocess.run(
        command.line("demo", "--gzip"), stdout=follower, stderr=subprocess.PIPE, env=command.environment(), check=False
    )
    os.close(leader)
    os.close(follower)
    assert run.returncode == 2
