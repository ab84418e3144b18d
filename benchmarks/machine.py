"""The facts about a machine that belong to a measurement."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.served import ROOT

OURS = ("intercom-exporter", "aiohttp", "anyio", "deflate", "isal", "msgspec", "orjson", "stamina")
PEERS = ("requests", "dlt", "airbyte-cdk", "singer-sdk", "python-intercom")


def surroundings() -> dict[str, Any]:
    """Return commit, versions and machine."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain")),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in (*OURS, *PEERS)},
        "machine": {
            "cores": os.cpu_count(),
            "cpu": _cpu(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": platform.platform(terse=True),
        },
    }


def _git(*arguments: str) -> str | None:
    """Return the output of git; None without git, a repository or a commit."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    """Return the name of the CPU; on Linux `platform` returns only the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
