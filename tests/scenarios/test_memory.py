"""Memory: measured on the process that exports, as the system counts it."""

import re
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


LINES = (64 if sys.version_info < (3, 14) else 72) * MB  # Python itself takes more
TABLE = 300 * MB
OUTPUTS: dict[str, tuple[int, int]] = {
    "-o a.ndjson": (LINES, 4 * MB),
    "-o a.ndjson.gz": (LINES, 4 * MB),
    "-o a.ndjson.zst": (LINES, 4 * MB),
    "-o a.csv.gz": (LINES, 4 * MB),
    "-o a.parquet": (TABLE, 40 * MB),  # a row group, and what pyarrow itself takes
    "--gzip": (LINES, 4 * MB),
    "-o a.ndjson --drop phone,tags.data.url --pseudonymise email --key-file key": (LINES, 4 * MB),
}
SLOW = {output: ("--max-contacts=75000",) for output in OUTPUTS if re.search(r"csv|parquet|drop", output)}


@pytest.mark.parametrize("output", OUTPUTS)
def test_memory_does_not_depend_on_the_workspace(
    serve: Callable[..., AbstractContextManager[Any]], command: Any, output: str
) -> None:
    """An export peaks under its bound, and five or ten times the contacts take hardly more."""
    key = command.folder / "key"
    key.touch(0o600)
    key.write_bytes(b"a key of more than sixteen bytes")
    most, growth = OUTPUTS[output]
    with serve("--contacts=150000", "--no-gzip") as served:
        # Threads make the allocator's fragments differ by some MB from run to run; a leak would be there each time.
        again = ("--overwrite",) if "-o " in output else ()
        first = (*again, "--max-contacts=15000")
        few = max(peak_bytes(command, served, *first, *output.split()) for _ in range(3))
        more = (*again, *SLOW.get(output, ()))
        many = peak_bytes(command, served, *more, *output.split())
        if many - few >= growth:
            many = min(many, peak_bytes(command, served, *more, *output.split()))
    assert few < most
    assert many < most
    assert many - few < growth, (few, many)
