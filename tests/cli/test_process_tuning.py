"""What the command switches for its process: less work for the same memory."""

import os
import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
from exporter.cli.process_tuning import tune_process

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
def test_tuned_process_keeps_memory_for_the_next_page() -> None:
    """It does not ask the system for memory that it has just returned."""
    assert _faults("tuned") < 1_000


_HEAPS = """
import sys, threading
from exporter.cli.process_tuning import tune_process

if sys.argv[1:] == ["tuned"]:
    tune_process()
kept, together = [], threading.Barrier(6)

def keep():
    together.wait(60)
    kept.append(bytearray(100_000))
    together.wait(60)

threads = [threading.Thread(target=keep) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sizes = []
with open("/proc/self/maps") as maps:
    for line in maps:
        span, rights = line.split()[:2]
        start, end = (int(number, 16) for number in span.split("-"))
        if rights == "---p":
            sizes.append(end - start)
print(sum(size > 32 << 20 for size in sizes))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has something to tune")
def test_threads_of_a_tuned_process_share_one_heap() -> None:
    """Each heap would reserve 64 MB of addresses."""

    def heaps(*arguments: str) -> int:
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
        command = [sys.executable, "-c", _HEAPS, *arguments]
        return int(subprocess.run(command, capture_output=True, check=True, timeout=60, env=environment).stdout)

    assert heaps("tuned") == 0
    if platform.libc_ver()[0] == "glibc":
        assert heaps() > 0


def test_library_changes_no_process_setting() -> None:
    """Only the command changes how its process collects garbage."""
    code = (
        "import gc, exporter; before = gc.get_threshold(); import exporter.exports; print(before, gc.get_threshold())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert done.stdout.split(b") (")[0].strip(b"()\n") == done.stdout.split(b") (")[1].strip(b"()\n")
    assert b"50000" not in done.stdout


_FILES = """
import resource
from exporter.cli.process_tuning import allow_open_files

resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
allow_open_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_many_cursors_may_open_as_many_files_as_the_system_allows() -> None:
    """Each has a connection and a file; the limit that a shell sets is often lower than the system's."""
    done = subprocess.run([sys.executable, "-c", _FILES], capture_output=True, check=True, timeout=60)
    assert int(done.stdout) > 64
