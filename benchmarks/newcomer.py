"""Measure the time from a clone to the first exported file: the README's first command, in a new folder, no cache.

    python -m benchmarks.newcomer

It needs the network, to install packages.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FIRST = re.compile(r"^```sh\n(.*)\n", re.MULTILINE)


def main() -> int:
    """Measure the time, and check that the file exists."""
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder) / "clone", Path(folder) / "home"
        home.mkdir()
        # As in a container: without settings or caches of this user, and without the environment of this process.
        kept = {
            name: value for name, value in os.environ.items() if name in ("PATH", "LANG") or name.startswith("PIP_")
        }
        environment = {**kept, "HOME": str(home), "PIP_NO_CACHE_DIR": "1", "PYTHONDONTWRITEBYTECODE": ""}
        began_at = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        cloned_at = time.perf_counter()
        found = _FIRST.search((clone / "README.md").read_text(encoding="utf-8"))
        command = found[1] if found else ""
        done = subprocess.run(["bash", "-c", command], cwd=clone, env=environment, check=False)
        ended_at = time.perf_counter()
        exported = clone / "contacts.ndjson.gz"
        if done.returncode or not exported.exists():
            print(f"{command!r} ended with {done.returncode}", file=sys.stderr)
            return 1
        print(f"clone {cloned_at - began_at:.1f} s, install and export {ended_at - cloned_at:.1f} s")
        print(f"from nothing to {exported.stat().st_size / 1e6:.1f} MB of contacts: {ended_at - began_at:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
