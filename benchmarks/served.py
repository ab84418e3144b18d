"""The servers that all rows meet: the sandbox, and the replay of what it answered, in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.recording import Recording

ROOT = Path(__file__).parent.parent
SEED = 1
_REPLAY_TOKEN = "dG9rOnJlcGxheQ=="  # made up: base64, as real ones are
_STOP_S = 30


@dataclass(frozen=True)
class Served:
    """A running server."""

    base_url: str
    token: str
    contacts: int

    def environment(self) -> dict[str, str]:
        """Return what a client finds in its environment: the token, and no settings of whoever measures."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("INTERCOM_")}
        return own | {"INTERCOM_ACCESS_TOKEN": self.token}


@contextmanager
def serve(contacts: int, *, gzip: bool = False, hostile: bool = False, latency_ms: float = 0.0) -> Iterator[Served]:
    """Serve a workspace for the length of a block, without a rate limit."""
    command = [sys.executable, "-m", "exporter", "sandbox", "--contacts", str(contacts), "--seed", str(SEED)]
    command += ["--gzip" if gzip else "--no-gzip", "--hostile" if hostile else "--no-hostile"]
    command += ["--latency-ms", str(latency_ms)]
    with _running(command, contacts) as served:
        yield served


@contextmanager
def replay(recording: "Recording", *, latency_ms: float = 0.0, gaps: Path | None = None) -> Iterator[Served]:
    """Serve a recording for the length of a block.

    Args:
        recording: what to serve, 150 contacts a page.
        latency_ms: milliseconds each answer waits before it is sent.
        gaps: file that gets the seconds between the end of each answer and the next request, a line each.
    """
    command = [sys.executable, "-m", "benchmarks.replay", str(recording.path), "--token", _REPLAY_TOKEN]
    command += ["--latency-ms", str(latency_ms), *(("--gaps", str(gaps)) if gaps else ())]
    with _running(command, recording.contacts) as served:
        yield served


@contextmanager
def _running(command: list[str], contacts: int) -> Iterator[Served]:
    """Run a server that says its address first."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            address = json.loads(process.stdout.readline()) if process.stdout else {}
            yield Served(address["base_url"], address["token"], contacts)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()  # else the block would wait for it for good
                raise
