"""stdout as other programs see it: readers that leave, are slow, or were never there."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and /dev/full")
Serve = Callable[..., AbstractContextManager[Any]]


def test_closed_pipe_ends_the_export_silently(serve: Serve, command: Any) -> None:
    """`| head -n 3` gets its lines; the command ends with 141 and says nothing."""
    with serve("--contacts=100000") as served:
        run = command.start("contacts", served=served)
        head = subprocess.run(["head", "-n", "3"], stdin=run.stdout, capture_output=True, check=True)
        run.stdout.close()
        assert run.wait(60) == 141
        assert run.stderr.read() == b""
        run.stderr.close()
    assert head.stdout.count(b"\n") == 3


@linux
def test_slow_reader_does_not_increase_memory(serve: Serve, command: Any) -> None:
    """A reader that stops reading stops the memory from growing, and still gets everything."""
    with serve("--contacts=30000", "--no-gzip") as served:
        run = command.start("contacts", "-q", "--per-page=150", served=served)
        first = os.read(run.stdout.fileno(), 1)
        memory = _steady_memory(run.pid)
        rest = run.stdout.read()
        assert run.wait(60) == 0
        run.stdout.close()
        run.stderr.close()
    assert memory < 64 * 1024 * 1024
    assert (first + rest).count(b"\n") == 30_000


@linux
def test_full_device_as_stdout_ends_with_5(serve: Serve, command: Any) -> None:
    """Stdout on a full disk ends with 5 and one line."""
    with serve("--contacts=1000") as served, Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            command.line("contacts"),
            stdout=full,
            stderr=subprocess.PIPE,
            env=command.environment(served),
            check=False,
            timeout=60,
        )
    assert run.returncode == 5
    assert run.stderr.count(b"\n") == 1
    assert b"No space left" in run.stderr


def test_closed_stdout_is_not_replaced_by_another_file(serve: Serve, command: Any) -> None:
    """With stdout closed nothing is requested or written."""
    with serve("--contacts=1000") as served:
        run = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command.line("contacts")],
            stderr=subprocess.PIPE,
            env=command.environment(served),
            check=False,
            timeout=60,
        )
    assert run.returncode == 2
    assert run.stderr.count(b"\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("progress", ["auto", "bar", "json"])
@pytest.mark.parametrize("closing", ["2>&-", pytest.param("2>/dev/full", marks=linux)])
def test_full_stderr_does_not_change_the_export(command: Any, closing: str, progress: str) -> None:
    """With stderr closed or full, stdout still carries the records and nothing else."""
    run = subprocess.run(
        [
            "/bin/sh",
            "-c",
            f'exec "$@" {closing}',
            "sh",
            *command.line("demo", "--contacts=999", f"--progress={progress}"),
        ],
        stdout=subprocess.PIPE,
        env=command.environment(),
        check=False,
        timeout=60,
    )
    assert run.returncode == 0
    assert run.stdout.count(b"\n") == 999
    assert all(line.startswith(b'{"type":"contact"') for line in run.stdout.splitlines())


def test_unread_stderr_does_not_delay_the_stop(serve: Serve, command: Any) -> None:
    """With stderr a full pipe, SIGTERM still ends the run."""
    with serve("--contacts=1000000") as served:
        run = command.start("contacts", "--per-page=1", "--progress=json", "-o", "a.ndjson", served=served)
        _wait_until_full(run.stderr.fileno())
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143
        run.stdout.close()
        run.stderr.close()


@linux
@pytest.mark.parametrize("arguments", [["--help"], ["sandbox"]])
def test_full_stdout_is_reported(command: Any, arguments: list[str]) -> None:
    """Help and sandbox, which speak on stdout, end with 5 when it is full."""
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            command.line(*arguments), stdout=full, stderr=subprocess.PIPE, env=command.environment(), check=False
        )
    assert (run.returncode, run.stderr.count(b"\n")) == (5, 1)


def test_help_into_a_closed_pipe_is_quiet(command: Any) -> None:
    """`--help | true` ends with 141 and says nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        command.line("--help"), stdout=writer, stderr=subprocess.PIPE, env=command.environment(), check=False
    )
    os.close(writer)
    assert (run.returncode, run.stderr) == (141, b"")


def _steady_memory(pid: int) -> int:
    """Wait until a process has stopped growing; give its resident bytes."""
    before, now = -1, 0
    for _ in range(200):
        before, now = now, _resident_bytes(pid)
        if now == before:
            break
        time.sleep(0.2)
    return now


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _wait_until_full(descriptor: int) -> None:
    """Wait until a pipe that nobody reads holds no more than a moment ago, and that is much."""
    waiting = -1
    for _ in range(600):
        before, waiting = waiting, struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]
        if waiting == before > 1_000:
            return
        time.sleep(0.1)
    raise AssertionError(f"only {waiting} bytes were written")
