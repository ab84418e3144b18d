"""Small files that a command reads in a thread: a pipe that nobody writes to is not waited for."""

import errno
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

OPTIONS: dict[str, tuple[str, Sequence[str]]] = {
    "--token-file": ("", ()),
    "--key-file": ("dG9rOnRlc3Q=", ("--pseudonymise", "email")),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_signal_while_a_pipe_is_read_ends_the_command(command: Any, option: str) -> None:
    """A token or a key from a pipe may never arrive: exit code 130, and nothing is written."""
    pipe = command.folder / "pipe"
    os.mkfifo(pipe, 0o600)
    token, more = OPTIONS[option]
    where = ("--base-url", "http://127.0.0.1:9")
    run = command.start(
        *("contacts", "-q", "-o", "a.ndjson", option, str(pipe), *more, *where), INTERCOM_ACCESS_TOKEN=token
    )
    descriptor = opened_for_writing(pipe, run)
    try:
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130
    finally:
        os.close(descriptor)
    assert [path.name for path in command.folder.iterdir()] == ["pipe"]


def opened_for_writing(pipe: Path, run: Any) -> int:
    """Open a pipe once the command reads it."""
    descriptor = -1
    while descriptor < 0:
        assert run.poll() is None
        time.sleep(0.01)
        try:
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as exc:
            if exc.errno != errno.ENXIO:  # else nobody reads it yet
                raise
    return descriptor
