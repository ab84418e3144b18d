"""Memory: measured on the process that exports, as the system counts it."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

MB = 1024 * 1024


# A process starts with the peak of the one that forked it, so a small one has to stand between.
SHIM = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_bytes(command: Any, served: Any, *arguments: str) -> int:
    """Run an export; give the most memory it had."""
    done = subprocess.run(
        [sys.executable, "-c", SHIM, *command.line("contacts", "-q", *arguments)],
        capture_output=True,
        env=command.environment(served),
        cwd=command.folder,
        check=True,
    )
    return int(done.stdout) * 1024


@pytest.mark.parametrize("arguments", [("-o", "a.ndjson"), ("-o", "a.ndjson.gz"), ("--gzip",)], ids=" ".join)
def test_memory_does_not_depend_on_the_workspace(
    serve: Callable[..., AbstractContextManager[Any]], command: Any, arguments: tuple[str, ...]
) -> None:
    """An export peaks under 64 MB, and ten times the contacts take less than 4 MB more."""
    with serve("--contacts=150000", "--no-gzip") as served:
        # Threads make the allocator's fragments differ by some MB from run to run; a leak would be there each time.
        few = max(peak_bytes(command, served, "--overwrite", "--max-contacts=15000", *arguments) for _ in range(3))
        many = peak_bytes(command, served, "--overwrite", *arguments)
        if many - few >= 4 * MB:
            many = min(many, peak_bytes(command, served, "--overwrite", *arguments))
    assert few < 64 * MB
    assert many < 64 * MB
    assert many - few < 4 * MB, (few, many)
