"""Exports with several cursors that are stopped: everything committed stays, and the same command resumes."""

import json
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Command
from tests.support.ranges import data_files

OPTIONS = ("contacts", "-q", "--format=ndjson", "--settle=0")
CURSORS = "--cursors=6"
Serve = Callable[..., AbstractContextManager[Any]]


def contacts_saved(folder: Path) -> int:
    """Return the contacts that the checkpoint covers."""
    return int(json.loads((folder / "_checkpoint.json").read_bytes())["totals"]["position"]["contacts"])


def finish_and_compare(command: Command, served: Any, cursors: str = CURSORS) -> None:
    """Finish the export, and compare it with one that nothing has stopped."""
    for name in ("out", "calm"):
        done = command.run(*OPTIONS, cursors, "-o", f"{name}/", served=served)
        assert (done.returncode, done.stderr) == (0, b"")
    files = data_files(command.folder / "out")
    lines = sorted(b"".join(files.values()).splitlines())
    assert lines == sorted(b"".join(data_files(command.folder / "calm").values()).splitlines())
    assert len(lines) == len(set(lines)) == 9_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_export_with_several_cursors_ends_with_a_signal_and_is_resumed(
    serve: Serve, command: Command, number: signal.Signals
) -> None:
    """One line, the usual exit code; what all lanes have written is on record."""
    folder = command.folder / "out"
    with serve("--contacts=9000", "--years=3", "--latency-ms=20") as served:
        run = command.start(*OPTIONS, CURSORS, "-o", "out/", "--checkpoint-every=1000", served=served)
        while sum(path.stat().st_size for path in folder.glob("*.part")) < 1_000_000:
            assert run.poll() is None
            time.sleep(0.001)
        run.send_signal(number)
        stdout, stderr = run.communicate(timeout=60)
        assert (run.returncode, stdout, stderr.count(b"\n")) == (128 + number, b"", 1)
        saved = contacts_saved(folder)
        assert f" {saved:,} contacts saved".encode() in stderr
        assert 300 <= saved < 9_000
        finish_and_compare(command, served)


def test_export_with_several_cursors_stops_after_its_maximum_duration(serve: Serve, command: Command) -> None:
    """Exit code 8; the same command, also with another number of cursors, continues."""
    with serve("--contacts=9000", "--years=3", "--latency-ms=150") as served:
        done = command.run(*OPTIONS, CURSORS, "-o", "out/", "--max-duration=2500ms", served=served)
        assert done.returncode == 8
        if (command.folder / "out" / "_checkpoint.json").exists():  # a slow machine may still be planning
            assert contacts_saved(command.folder / "out") < 9_000
        finish_and_compare(command, served, "--cursors=128")


def test_export_with_several_cursors_keeps_the_minimum_of_free_space(serve: Serve, command: Command) -> None:
    """Exit code 5 before anything is written, and one line."""
    with serve("--contacts=9000", "--years=3") as served:
        done = command.run(*OPTIONS, CURSORS, "-o", "out/", "--min-free-disk=900000TB", served=served)
        assert (done.returncode, done.stderr.count(b"\n")) == (5, 1)
        finish_and_compare(command, served)


def test_check_and_export_name_the_option_where_it_saves_much_time(serve: Serve, command: Command) -> None:
    """With a workspace that takes an hour; not with several cursors already."""
    with serve("--contacts=500000", "--latency-ms=1100") as served:
        checked = command.run("check", served=served)
        assert b"faster:     --cursors 32 would save about " in checked.stdout
        for arguments, is_suggested in ((("-o", "a.ndjson"), True), (("-o", "b/", "--cursors=8"), False)):
            run = command.start("contacts", "--checkpoint-every=0", *arguments, served=served)
            while not any(path.stat().st_size > 100_000 for path in command.folder.rglob("*.part")):
                assert run.poll() is None
                time.sleep(0.01)
            run.send_signal(signal.SIGTERM)
            stderr = run.communicate(timeout=60)[1]
            assert run.returncode == 128 + signal.SIGTERM
            assert (b"with one cursor: --cursors 32 would save about " in stderr) is is_suggested
            for path in command.folder.rglob("*.part"):
                path.unlink()


def test_single_file_names_the_two_ways(command: Command) -> None:
    """A folder, and how its parts become one file."""
    done = command.run("demo", "--cursors=4", "-o", "a.ndjson.gz")
    assert done.returncode == 2
    assert b"end the output with a slash" in done.stderr
    assert b"cat joins the parts" in done.stderr
