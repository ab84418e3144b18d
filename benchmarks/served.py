"""The server that all rows meet: the sandbox, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SEED = 1
_STOP_S = 30


@dataclass(frozen=True)
class Served:
    """A running sandbox."""

    base_url: str
    token: str
    contacts: int

    def environment(self) -> dict[str, str]:
        """Return what a client finds in its environment: the token, and no settings of whoever measures."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("INTERCOM_")}
        return own | {"INTERCOM_ACCESS_TOKEN": self.token}


@contextmanager
def serve(contacts: int, *, gzip: bool = False, hostile: bool = False) -> Iterator[Served]:
    """Serve a workspace for the length of a block, without a rate limit."""
    command = [sys.executable, "-m", "exporter", "sandbox", "--contacts", str(contacts), "--seed", str(SEED)]
    command += ["--gzip" if gzip else "--no-gzip", "--hostile" if hostile else "--no-hostile"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            address = json.loads(process.stdout.readline()) if process.stdout else {}
            yield Served(address["base_url"], address["token"], contacts)
        finally:
            process.terminate()
            process.wait(_STOP_S)
