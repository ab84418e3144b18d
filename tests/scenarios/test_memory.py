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


# Keys of contacts are kept in memory up to 50,000 of them, and take three times their size when they leave it. A short
# export would never have that many, and its peak would say nothing about a longer one.
FEW_KEYS = """
import sys
from exporter.archive.key_count import KeyCount
KeyCount.__init__.__kwdefaults__["buffered_keys"] = 1_000
from exporter.cli.app import main
sys.exit(main(sys.argv[1:]))
"""


def peak_bytes(command: Any, served: Any, program: list[str], *arguments: str) -> int:
    """Run an export; return the most memory it had."""
    done = subprocess.run(
        [sys.executable, "-c", SHIM, *program, "contacts", "-q", *arguments],
        capture_output=True,
        env=command.environment(served),
        cwd=command.folder,
        check=True,
    )
    return int(done.stdout) * 1024


LINES = (64 if sys.version_info < (3, 14) else 72) * MB  # Python itself takes more
TABLE = 300 * MB
OUTPUTS: dict[str, tuple[int, int]] = {
    "-o a.ndjson.gz": (LINES, 4 * MB),
    "-o a.ndjson.zst": (LINES, 4 * MB),
    "-o a.csv.gz": (LINES, 4 * MB),
    "-o a.parquet": (TABLE, 40 * MB),  # a row group, and what pyarrow itself takes
    "-o a.ndjson --drop phone,tags.data.url --pseudonymise email --key-file key": (LINES, 4 * MB),
}


def test_memory_of_a_large_export_does_not_grow(
    serve: Callable[..., AbstractContextManager[Any]], command: Any
) -> None:
    """Once the first keys have left the memory, nearly three times the contacts take hardly more."""
    with serve("--contacts=150000", "--no-gzip") as served:
        arguments = (command.line(), "-o", "a.ndjson", "--overwrite")
        few = peak_bytes(command, served, *arguments, "--max-contacts=55000")
        many = peak_bytes(command, served, *arguments)
    assert many < LINES
    assert many - few < 4 * MB, (few, many)


@pytest.mark.parametrize("output", OUTPUTS)
def test_memory_of_any_output_does_not_grow(
    serve: Callable[..., AbstractContextManager[Any]], command: Any, output: str
) -> None:
    """An export peaks under its bound, and four times the contacts take hardly more."""
    key = command.folder / "key"
    key.touch(0o600)
    key.write_bytes(b"a key of more than sixteen bytes")
    most, growth = OUTPUTS[output]
    program = [sys.executable, "-c", FEW_KEYS]
    with serve("--contacts=48000", "--no-gzip") as served:
        # Threads make the allocator's fragments differ by some MB from run to run; a leak would be there each time.
        arguments = ("--overwrite", *output.split())
        few = max(peak_bytes(command, served, program, *arguments, "--max-contacts=12000") for _ in range(2))
        many = peak_bytes(command, served, program, *arguments)
    assert many < most
    assert many - few < growth, (few, many)


@pytest.mark.parametrize("cursors", [1, 8, 32, 128])
def test_memory_of_many_cursors_is_bounded_by_their_number(
    serve: Callable[..., AbstractContextManager[Any]], command: Any, cursors: int
) -> None:
    """Two pages a cursor: 1.5 MB each, on top of what an export takes."""
    contacts = 6_000 if cursors == 1 else 40_000  # at 50 ms a page
    with serve(f"--contacts={contacts}", "--years=3", "--latency-ms=50", "--no-gzip") as served:
        program = [sys.executable, "-c", FEW_KEYS]
        peak = peak_bytes(command, served, program, "-o", f"{command.folder}/out/", f"--cursors={cursors}")
    assert peak <= LINES + 1.5 * MB * cursors
