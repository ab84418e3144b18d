"""The command `contacts`, stopped: by signals, the time limit, another process."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., AbstractContextManager[Any]]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_stops_gracefully(serve: Serve, command: Any, number: signal.Signals, code: int) -> None:
    """A first signal ends the run with its code, one line, complete lines in the part and no finished file."""
    with serve("--contacts=100000", "--latency-ms=20") as served:
        run = command.start("contacts", "-o", "a.ndjson", served=served)
        _wait_for(lambda: _size(command.folder / "a.ndjson.part") > 0)
        run.send_signal(number)
        _out, stderr = run.communicate(timeout=60)
    assert run.returncode == code
    assert stderr.count(b"\n") == 1
    content = (command.folder / "a.ndjson.part").read_bytes()
    saved = json.loads((command.folder / "a.ndjson.checkpoint.json").read_bytes())["figures"]["position"]
    assert content.endswith(b"\n")
    assert (saved["contacts"], saved["written_bytes"]) == (content.count(b"\n"), len(content))
    assert f"{saved['contacts']:,} contacts saved; run the same command again to resume" in stderr.decode()
    assert not (command.folder / "a.ndjson").exists()


@pytest.mark.slow
def test_time_limit_stops_gracefully(serve: Serve, command: Any) -> None:
    """--max-duration ends with 8; the same command resumes, until the file is complete."""
    with serve("--contacts=1500", "--latency-ms=100") as served:
        codes: list[int] = []
        while (done := command.run("contacts", "-o", "a.ndjson", "--max-duration=0.35s", served=served)).returncode:
            codes.append(done.returncode)
            assert b"stopped by --max-duration" in done.stderr
            assert len(codes) < 20
    assert codes
    assert set(codes) == {8}
    manifest = json.loads((command.folder / "a.ndjson.manifest.json").read_bytes())
    assert 1 <= manifest["interruptions"] <= len(codes)  # a run may end before it has begun to write
    assert (command.folder / "a.ndjson").read_bytes().count(b"\n") == manifest["contacts"] == 1500


def test_killed_run_is_resumed(serve: Serve, command: Any) -> None:
    """SIGKILL leaves no finished file and no lock: the same command then completes the export."""
    with serve("--contacts=3000", "--latency-ms=20") as served:
        run = command.start("contacts", "-o", "a.ndjson", served=served)
        _wait_for(lambda: _size(command.folder / "a.ndjson.part") > 0)
        run.kill()
        run.communicate(timeout=60)
        assert run.returncode == -signal.SIGKILL
        left = sorted(path.name for path in command.folder.iterdir() if path.suffix != ".tmp")
        assert left == ["a.ndjson.checkpoint.json", "a.ndjson.part"]
        done = command.run("contacts", "-o", "a.ndjson", served=served)
    assert done.returncode == 0
    assert (command.folder / "a.ndjson").read_bytes().count(b"\n") == 3000


def test_signal_does_not_wait_for_a_reader_or_a_server(serve: Serve, command: Any) -> None:
    """SIGTERM ends a run whose reader has stopped reading, and one whose server does not respond."""
    with serve("--contacts=100000") as served:
        run = command.start("contacts", served=served)
        os.read(run.stdout.fileno(), 1)
        time.sleep(0.5)
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143
        run.communicate()
    with serve("--contacts=1", "--latency-ms=600000") as served:
        run = command.start("contacts", "-o", "a.ndjson", served=served)
        _wait_for((command.folder / "a.ndjson.part").exists)
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)
        assert run.returncode == 143


def test_second_process_on_an_output_is_refused(serve: Serve, command: Any) -> None:
    """While one process writes an output, another one ends with 5."""
    with serve("--contacts=100000", "--latency-ms=100") as served:
        first = command.start("contacts", "-o", "a.ndjson", served=served)
        _wait_for(lambda: _size(command.folder / "a.ndjson.part") > 0)
        second = command.run("contacts", "-o", "a.ndjson", served=served)
        first.kill()
        first.communicate()
    assert second.returncode == 5
    assert b"another export" in second.stderr


def test_interruption_while_the_token_is_read_ends_the_command(command: Any) -> None:
    """Ctrl-C ends a command at once that waits for its token."""
    run = subprocess.Popen(
        command.line("contacts", "-o", "a.ndjson", "--token-file=-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=command.folder,
        env=command.environment(),
    )
    command.started.append(run)
    for _ in range(100):
        time.sleep(0.05)
        if Path(f"/proc/{run.pid}/wchan").exists() and len(list(Path(f"/proc/{run.pid}/task").iterdir())) > 1:
            break  # the thread that reads has begun
    run.send_signal(signal.SIGINT)
    assert run.wait(30) == 130
    assert run.stdin is not None
    run.stdin.close()


@pytest.mark.parametrize("options", [(), ("--part-contacts=150",)])
def test_part_changed_by_another_process_gets_no_manifest(serve: Serve, command: Any, options: tuple[str, ...]) -> None:
    """A part that is truncated while it is written, or a finished one that is removed."""
    output = "out/" if options else "a.ndjson"
    written = command.folder / ("out/contacts-00001.ndjson.gz" if options else "a.ndjson.part")
    with serve("--contacts=1500", "--latency-ms=50") as served:
        run = command.start("contacts", "-o", output, *options, served=served)
        _wait_for(lambda: _size(written) > 1000)
        if options:
            written.unlink()
        else:
            os.truncate(written, 100)
        _out, stderr = run.communicate(timeout=60)
    assert run.returncode in (5, 6)
    assert b" saved" not in stderr
    assert not list(command.folder.rglob("*manifest.json"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _wait_for(state: Callable[[], bool]) -> None:
    for _ in range(600):
        if state():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")
