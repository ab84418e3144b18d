"""Each stage of an export is measured alone."""

import re
import subprocess
import sys

from benchmarks.served import ROOT


def test_stages_are_all_measured() -> None:
    """The table has a positive figure for each stage, their sums, and the exports."""
    command = [sys.executable, "-m", "benchmarks.stages", "--contacts", "600"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    figures = dict(re.findall(r"│ ([^│]*?) *│ *([0-9.]+) *│", done.stdout))
    assert len(figures) == 12
    assert all(float(figure) > 0 for name, figure in figures.items() if name != "find the next cursor")
    assert {"sum without gzip", "sum with gzip", "an export, ndjson", "an export, ndjson.gz"} <= figures.keys()
