"""The live display on a terminal."""

import os
import pty
import select
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

Serve = Callable[..., AbstractContextManager[Any]]


def test_live_display_is_removed_before_the_last_line(serve: Serve, command: Any) -> None:
    """On a terminal progress is drawn on stderr, and removed before the last line."""
    leader, follower = pty.openpty()
    with serve("--contacts=1500", "--no-hostile", "--latency-ms=100") as served:
        run = subprocess.Popen(
            command.line("contacts", "-o", "a.ndjson"),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=command.environment(served, TERM="xterm"),
            cwd=command.folder,
        )
        os.close(follower)
        shown = _read_terminal(leader)
        assert run.wait(60) == 0
    os.close(leader)
    assert b"contacts" in shown
    assert "█".encode() in shown
    assert b"1,500 contacts in 10 pages" in shown.splitlines()[-2]


def _read_terminal(leader: int) -> bytes:
    """Read what a terminal shows until its last program has left it."""
    shown = b""
    while select.select([leader], [], [], 60)[0]:
        try:
            piece = os.read(leader, 65_536)
        except OSError:
            break
        shown += piece
        if not piece:
            break
    return shown
