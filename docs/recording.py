"""Record a session on a real terminal into `session.svg`: interrupted, resumed, verified.

python docs/recording.py
"""

import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.text import Text

PICTURE = Path(__file__).parent / "session.svg"
COLUMNS, ROWS = 96, 24
_FONT_FACES = re.compile(r"@font-face \{\{.*?\}\}", re.DOTALL)  # a browser would load them from the network
_STEPS = (
    ("demo --contacts 400000 -o contacts.ndjson.gz", 6.0),
    ("demo --contacts 400000 -o contacts.ndjson.gz", None),
    ("verify contacts.ndjson.gz", None),
)
"""Commands, and the seconds until Ctrl+C; None if it is not pressed."""


def main() -> None:
    """Record the session."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: PTH123, SIM115
    with tempfile.TemporaryDirectory() as folder:
        for words, stop_after_s in _STEPS:
            console.print(Text(f"$ intercom-exporter {words}", style="bold"))
            for line in _session(words, folder, stop_after_s):
                console.print(Text(line), soft_wrap=False)
    template = _FONT_FACES.sub("", CONSOLE_SVG_FORMAT)
    PICTURE.write_text(
        console.export_svg(title="intercom-exporter", code_format=template, unique_id="session"), encoding="utf-8"
    )


def _session(words: str, folder: str, stop_after_s: float | None) -> Iterator[str]:
    """Run a command on a terminal; yield the last progress that it showed, and the lines that stay at its end."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "exporter", *shlex.split(words)]
    run = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, cwd=folder)
    os.close(follower)
    began_at, progress = time.monotonic(), list[str]()
    while True:
        try:
            stream.feed(os.read(leader, 65536))
        except OSError:
            break
        shown = [line.rstrip() for line in screen.display if line.strip()]
        if shown and ("█" in shown[-1] or "░" in shown[-1] or "left" in shown[-1]):
            progress = shown[-2:]
        if stop_after_s is not None and time.monotonic() - began_at > stop_after_s:
            run.send_signal(signal.SIGINT)
            stop_after_s = None
    run.wait()
    os.close(leader)
    left = [line.rstrip() for line in screen.display if line.strip()]
    first = 1 if left and "resuming" in left[0] else 0
    yield from [*left[:first], *progress, *left[first:]]


if __name__ == "__main__":
    main()
