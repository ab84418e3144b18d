"""The page and the plots of a run: made of its file alone, and the same each time."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import benchmarks
from benchmarks import report
from benchmarks.jobs import Scale, jobs_for
from benchmarks.results import Results
from benchmarks.targets import Target, targets_for

ROOT = Path(benchmarks.__file__).parent.parent
FIGURES = {
    "wall_s": 2.0,
    "cpu_s": 1.0,
    "peak_rss_bytes": 40_000_000,
    "contacts": 300_000,
    "contacts_per_s": 150_000.0,
    "json_mb_per_s": 400.0,
    "gap_p50_ms": 0.5,
    "gap_p99_ms": 7.0,
    "hashed_bytes_per_s": 2_000_000_000,
}
HEADING = {
    "started_at": "2026-11-22T10:00:00Z",
    "command": "python -m benchmarks --rounds 3",
    "commit": "c0ffee",
    "changed": False,
    "versions": {"python": "3.11.0", "requests": "2.34.2", "dlt": None, "airbyte-cdk": None}
    | {"singer-sdk": None, "python-intercom": None},
    "machine": {"cores": 2, "cpu": "a CPU", "memory_bytes": 8_000_000_000, "system": "Linux"},
    "scale": asdict(Scale()),
}


def results_of(others: Mapping[str, dict[str, float]]) -> Results:
    """Make up a run of three rounds, all alike but for some figures of some jobs."""
    results = Results(HEADING, Scale())
    for job in jobs_for(results.scale):
        for number in (1, 2, 3):
            results.add({"job": job.name, "round": number, **FIGURES, **others.get(job.name, {})})
    return results


def save(results: Results, path: Path) -> None:
    """Write a run as the command does."""
    lines = [results.heading, *(line for lines in results.measured.values() for line in lines)]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def make(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command that makes the page."""
    command = [sys.executable, "-m", "benchmarks", "report", "--results", str(path), "--folder", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_results_page_of_same_results_is_identical(tmp_path: Path) -> None:
    """One file of results makes one page and one pair of plots, byte for byte, without a date of their own."""
    path, made = tmp_path / "results.jsonl", []
    save(results_of({}), path)
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        done = make(path, folder)
        assert done.returncode == 0, done.stderr
        made.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert made[0] == made[1]
    assert made[0].keys() == {"RESULTS.md", "speed.svg", "memory.svg", "cursors.svg"}
    assert b"150,000" in made[0]["RESULTS.md"]
    for name in ("speed.svg", "memory.svg", "cursors.svg"):
        assert b"</svg>" in made[0][name]
        assert b"dc:date" not in made[0][name]


def test_results_page_explains_missed_targets() -> None:
    """A missed target stands below the table with what was reached, and the notes follow."""
    page = report.page(results_of({"sdk": {"contacts_per_s": 1.0}}), "The gap is long because.\n")
    missed = page.partition("## Missed targets")[2].partition("##")[0]
    assert "- `gap`: p99 ≤ 5 ms, reached 7.00" in missed
    assert "sdk" not in missed
    assert "gzip-1" not in missed  # that is only expected
    assert missed.strip().endswith("The gap is long because.")
    assert "| ndjson ≥ 300 × | 150000.00 | yes |" in page  # noqa: RUF001 - as the table has it
    assert "2 cores, a CPU, 8,000,000,000 bytes of memory, Linux" in page
    assert "commit c0ffee\n" in page
    assert "python -m benchmarks --rounds 3\n" in page


def test_results_page_without_missed_targets_has_no_notes() -> None:
    """Notes of an earlier run do not stay once every target is met."""
    results = results_of({})
    for target in (target for target in targets_for(results.scale) if not target.expected):
        for line in results.measured[target.job]:
            line[target.figure] = 1e-9 if target.at_most else 1e12
    for name in ("ndjson", "pipe"):  # each is compared with the other's neighbour too
        results.measured[name] = [{**line, "contacts_per_s": 1e11} for line in results.measured[name]]
    page = report.page(results, "The gap is long because.\n")
    assert "None of " in page
    assert "because" not in page


@pytest.mark.parametrize("content", ["", '{"job": "ndjson"}\n'], ids=["empty", "no heading"])
def test_another_file_makes_no_page(tmp_path: Path, content: str) -> None:
    """What is not a run is refused."""
    path = tmp_path / "results.jsonl"
    path.write_text(content, encoding="utf-8")
    done = make(path, tmp_path)
    assert done.returncode == 1
    assert done.stderr == "benchmarks: results.jsonl does not hold a run of the benchmarks\n"


def test_run_of_some_jobs_writes_no_results_page(tmp_path: Path) -> None:
    """A page without some of its lines would pass for a whole one."""
    path, results = tmp_path / "results.jsonl", results_of({})
    del results.measured["resume"]
    save(results, path)
    assert make(path, tmp_path).stderr == "benchmarks: the run has no resume\n"


def figure(job: str, name: str) -> float | None:
    """Look a figure up in a small table."""
    table: dict[tuple[str, str], float] = {("fast", "contacts_per_s"): 30.0, ("slow", "contacts_per_s"): 10.0}
    table |= {("few", "peak_rss_bytes"): 40e6, ("many", "peak_rss_bytes"): 41.5e6}
    return table.get((job, name))


GROWTH = Target("many", "peak_rss_bytes", 2, at_most=True, above="few", unit=(1_000_000, "MB"))


@pytest.mark.parametrize(
    ("target", "reached", "met", "text"),
    [
        (Target("fast", "contacts_per_s", 3, times="slow"), 3.0, True, "≥ 3 × slow"),  # noqa: RUF001
        (Target("fast", "contacts_per_s", 4, times="slow", beside="slow"), 3.0, False, "fast ≥ 4 ×"),  # noqa: RUF001
        (GROWTH, 1.5, True, "peak ≤ 2 MB over few"),
        (replace(GROWTH, above="", limit=41), 41.5, False, "peak ≤ 41 MB"),
    ],
)
def test_target_is_met_or_missed_by_its_measurement(target: Target, reached: float, met: Any, text: str) -> None:
    """A target compares a figure alone, divided by another job's, or above another job's."""
    assert target.reached(figure) == pytest.approx(reached)
    assert target.met(reached) is met
    assert target.text() == text


def test_target_without_measurements_is_undecided() -> None:
    """What was not measured is neither met nor missed."""
    assert Target("fast", "contacts_per_s", 3, times="absent").reached(figure) is None
    assert report.Verdict(GROWTH, None).word == "?"


def test_targets_name_only_existing_jobs() -> None:
    """No target is left out because a name in it is misspelt."""
    names = {job.name for job in jobs_for(Scale())}
    for target in targets_for(Scale()):
        assert {name for name in (target.job, target.line, target.times, target.above) if name} <= names


def test_later_run_of_some_jobs_replaces_their_results(tmp_path: Path) -> None:
    """It follows in the same file; the page names both runs."""
    path, first = tmp_path / "results.jsonl", results_of({})
    scale = Scale(cursors=(1, 4))
    later = Results({**HEADING, "scale": asdict(scale), "command": "python -m benchmarks --only cursors"}, scale)
    for name in ("cursors-1", "cursors-4"):
        later.add({"job": name, "round": 1, **FIGURES, "contacts_per_s": 42.0})
    save(first, path)
    content = path.read_text(encoding="utf-8")
    save(later, path)
    path.write_text(content + path.read_text(encoding="utf-8"), encoding="utf-8")
    joined = Results.load(path)
    assert joined.scale.cursors == (1, 4)
    assert joined.figure("cursors-4", "contacts_per_s") == 42.0
    assert joined.figure("ndjson", "contacts_per_s") == first.figure("ndjson", "contacts_per_s")
    assert "`python -m benchmarks --only cursors`" in report.page(joined, "")
