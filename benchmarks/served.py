"""The servers for all programs: the sandbox and the replay server, each in its own process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from benchmarks.recording import Recording

ROOT = Path(__file__).parent.parent
SEED = 1
_REPLAY_TOKEN = "dG9rOnJlcGxheQ=="  # invented: Base64, same as real ones
_STOP_S = 30


@dataclass(frozen=True)
class Served:
    """A running server."""

    base_url: str
    token: str
    contacts: int

    def environment(self) -> dict[str, str]:
        """Return the environment of a client: with the token, and without settings of this user."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("INTERCOM_")}
        return own | {"INTERCOM_ACCESS_TOKEN": self.token}


@contextmanager
def serve(  # noqa: PLR0913 - one keyword per setting
    contacts: int,
    *,
    gzip: bool = False,
    hostile: bool = False,
    latency_ms: float = 0.0,
    rate_limit: int | None = None,
    years: int | None = None,
) -> Iterator[Served]:
    """Serve a workspace within a block.

    Args:
        contacts: number of its contacts.
        gzip: whether responses are compressed.
        hostile: whether one contact in a thousand has values that break careless parsers.
        latency_ms: milliseconds before each response.
        rate_limit: calls in ten seconds; None for no limit.
        years: years over which the creation of the contacts is spread, for searches; None for one contact each 30
            seconds.
    """
    command = [sys.executable, "-m", "exporter", "sandbox", "--contacts", str(contacts), "--seed", str(SEED)]
    command += ["--gzip" if gzip else "--no-gzip", "--hostile" if hostile else "--no-hostile"]
    command += ["--latency-ms", str(latency_ms)]
    command += [] if rate_limit is None else ["--rate-limit", str(rate_limit)]
    command += [] if years is None else ["--years", str(years)]
    with _running(command, contacts) as served:
        if years is not None:
            _search_once(served)
        yield served


def _search_once(served: Served) -> None:
    """Search once, so that the sandbox makes its index before anything is measured: the real API always has one."""
    headers = {"Authorization": f"Bearer {served.token}", "Content-Type": "application/json"}
    content = json.dumps({"query": {"field": "created_at", "operator": ">", "value": 0}}).encode()
    with urlopen(Request(f"{served.base_url}/contacts/search", content, headers)) as response:
        response.read()


@contextmanager
def replay(recording: "Recording", *, latency_ms: float = 0.0, gaps: Path | None = None) -> Iterator[Served]:
    """Serve a recording within a block.

    Args:
        recording: the recording, 150 contacts per page.
        latency_ms: milliseconds before each response is sent.
        gaps: file for the seconds between the end of each response and the next request, one line each.
    """
    command = [sys.executable, "-m", "benchmarks.replay", str(recording.path), "--token", _REPLAY_TOKEN]
    command += ["--latency-ms", str(latency_ms), *(("--gaps", str(gaps)) if gaps else ())]
    with _running(command, recording.contacts) as served:
        yield served


@contextmanager
def _running(command: list[str], contacts: int) -> Iterator[Served]:
    """Run a server, whose first line is its address."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            address = json.loads(process.stdout.readline()) if process.stdout else {}
            yield Served(address["base_url"], address["token"], contacts)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()  # otherwise the block would wait for it without end
                raise
