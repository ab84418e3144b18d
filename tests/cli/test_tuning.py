"""What the command switches for its process: less work for the same memory."""

import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
from exporter.cli.tuning import tune_process

if sys.argv[1:] == ["tuned"]:
    tune_process()
kept = [bytes(400_000) for _ in range(8)]  # as many pages as a run has alive

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        several = [b"x" * 400_000 for _ in range(8)]
        del several
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


def _faults(*arguments: str) -> int:
    """Count the page faults of a process that takes and drops pieces of memory as large as pages of contacts."""
    done = subprocess.run([sys.executable, "-c", _FAULTS, *arguments], capture_output=True, check=True, timeout=60)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has something to tune")
def test_memory_is_kept_for_the_next_page() -> None:
    """A tuned process does not ask the system for memory that it has just given back."""
    assert _faults("tuned") < 1_000


def test_the_library_tunes_nothing() -> None:
    """Only the command changes how its process collects garbage."""
    code = (
        "import gc, exporter; before = gc.get_threshold(); import exporter.exporting; print(before, gc.get_threshold())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert done.stdout.split(b") (")[0].strip(b"()\n") == done.stdout.split(b") (")[1].strip(b"()\n")
    assert b"50000" not in done.stdout
