"""Signals at any moment: one line and the documented exit code, never a traceback."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., AbstractContextManager[Any]]
MOMENTS = 12
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(autouse=True)
def no_signal_is_ignored() -> Iterator[None]:
    """Undo what nohup and shells in the background hand on: a command that begins with a signal ignored keeps to it."""
    ignored = [number for number in CODES if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def _handles_signals(pid: int) -> bool:
    """Return whether a process has come to where it handles SIGTERM, which Python alone does not."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    raise AssertionError("a process has signals")


def _wait_for(state: Callable[[], bool]) -> None:
    for _ in range(6_000):
        if state():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come to that")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc, to see that a process has begun")
@pytest.mark.parametrize("number", CODES)
def test_command_signalled_while_it_starts_ends_with_one_line(command: Any, number: signal.Signals) -> None:
    """At any moment from its first step on, imports included."""
    for moment in range(MOMENTS):
        run = command.start("demo", "-o", "a.ndjson", "--restart", "--overwrite", "-q")
        _wait_for(lambda pid=run.pid: _handles_signals(pid))  # type: ignore[misc]
        time.sleep(moment**2 * 0.004)
        run.send_signal(number)
        _out, message = run.communicate(timeout=60)
        assert run.returncode in (CODES[number], 0)  # it may have been quicker
        assert message.count(b"\n") == (1 if run.returncode else 0), message
        assert b"Traceback" not in message


@pytest.mark.slow
@pytest.mark.parametrize("number", CODES)
def test_export_signalled_stops_gracefully(serve: Serve, command: Any, number: signal.Signals) -> None:
    """Written contacts are saved, and the same command resumes."""
    with serve("--contacts=3000", "--latency-ms=50") as served:
        run = command.start("contacts", "-o", "a.ndjson", served=served)
        part = command.folder / "a.ndjson.part"
        _wait_for(lambda: part.exists() and part.stat().st_size > 0)
        run.send_signal(number)
        _out, message = run.communicate(timeout=60)
        assert (run.returncode, message.count(b"\n")) == (CODES[number], 1)
        assert f"stopped by {number.name}: ".encode() in message
        done = command.run("contacts", "-o", "a.ndjson", "-q", served=served)
    assert done.returncode == 0
    assert (command.folder / "a.ndjson").read_bytes().count(b"\n") == 3_000


def test_export_under_nohup_continues_after_a_hangup(serve: Serve, command: Any) -> None:
    """SIGHUP that is ignored when the command starts stays ignored."""
    with serve("--contacts=1500", "--latency-ms=50") as served:
        run = subprocess.Popen(
            ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *command.line("contacts", "-o", "a.ndjson", "-q")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=command.folder,
            env=command.environment(served),
        )
        command.started.append(run)
        _wait_for((command.folder / "a.ndjson.part").exists)
        run.send_signal(signal.SIGHUP)
        _out, message = run.communicate(timeout=60)
    assert (run.returncode, message) == (0, b"")


def test_exit_codes_of_signals_are_documented(command: Any) -> None:
    """In the help, too."""
    assert "129, 130 and 143" in " ".join(command.run("contacts", "--help").stdout.decode().split())
