"""What verifying costs is measured, of ids alone and of whole exports."""

import subprocess
import sys

from benchmarks.served import ROOT


def test_ids_and_exports_are_measured() -> None:
    """A line for each, with how many there were, seconds and peak memory."""
    command = [sys.executable, "-m", "benchmarks.verify", "--ids", "200000", "--contacts", "300"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    measured = [line.split()[:2] for line in done.stdout.splitlines() if "MB peak" in line]
    assert measured == [["ids", "200,000"], ["contacts.ndjson", "300"], ["contacts.ndjson.gz", "300"]]
