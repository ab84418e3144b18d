"""The benchmarks run, and every program in them delivers every contact. How fast is no matter of tests."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import benchmarks as package
from benchmarks.measuring import Unusable, measure
from benchmarks.rows import PIPE, WEB, Row

ROOT = Path(package.__file__).parent.parent
SMALL = ("--contacts=600", "--slow-contacts=301", "--rounds=1")
SMALLER = (
    *("--sizes", "10", "151", "--latency-ms=1", "--latency-pages=2", "--gap-pages=3"),
    *("--cursors", "1", "2", "--cursor-contacts=151", "--cursor-latency-ms=1"),
)
SPEED = ("raw-discard", "raw-write", "ndjson", "undurable", "gzip", "gzip-1", "pipe", "web", "requests")
PEERS = ("dlt", "airbyte", "singer", "sdk")
SHAPES = ("zstd", "normalized", "fields", "drop", "csv", "parquet")
EXPAND = ("ndjson@50-ms", "expand@50-ms")
LATENCY = ("raw-write@2-pages", "ndjson@2-pages", "requests@2-pages")
MEMORY = ("ndjson", "gzip", "pipe")
DELIVERED = (
    *((name, 600) for name in SPEED),
    *((name, 301) for name in PEERS),
    *((name, 600) for name in SHAPES),
    *((name, 301) for name in EXPAND),
    *((name, 300) for name in LATENCY),
    ("gap", 450),
    *((f"{name}@{size}", size) for name in MEMORY for size in (10, 151)),
    *(("cursors-1", 151), ("cursors-2", 302)),
    ("resume", 600),
)


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def json_lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Read what a successful command printed."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


OURS = ("raw-discard", "ndjson", "gzip", "pipe", "web", "normalized", "csv", "parquet", "expand@50-ms")
SLOW = (
    "sdk",
    *LATENCY[:-1],
    "gap",
    *(f"{name}@{size}" for name in MEMORY for size in (10, 151)),
    "cursors-2",
    "resume",
)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("options", "jobs"),
    [
        pytest.param((), [name for name, _ in DELIVERED], marks=pytest.mark.peers, id="everything"),
        pytest.param(("--gzip", "--hostile", "--only", *OURS), OURS, id="gzip, hostile"),
        pytest.param(("--only", *SLOW), SLOW, id="latency, gap, memory, resume"),
    ],
)
def test_benchmark_job_delivers_every_contact(tmp_path: Path, options: tuple[str, ...], jobs: Sequence[str]) -> None:
    """Each job delivers exactly the contacts there are, whatever the server does, and the file gets what is printed."""
    path = tmp_path / "results.jsonl"
    done = benchmarks(*SMALL, *SMALLER, "--json", "--results", str(path), *options)
    heading, *measurements = json_lines(done)
    assert heading["scale"]["contacts"] == 600
    assert {"commit", "versions", "machine", "started_at", "command"} <= heading.keys()
    expected = [pair for pair in DELIVERED if pair[0] in jobs]
    assert [(one["job"], one["contacts"]) for one in measurements] == expected
    for one in measurements:
        assert one["wall_s"] > 0
        assert one["peak_rss_bytes"] > 5_000_000
        if one["job"] not in {"gap", "resume"}:
            assert one["contacts_per_s"] == round(one["contacts"] / one["wall_s"], 1)
    assert path.read_text(encoding="utf-8") == done.stdout


def test_benchmark_rounds_are_interleaved() -> None:
    """Each round runs every job once, those that were asked for and in the table's order."""
    done = benchmarks("--contacts=151", "--rounds=2", "--json", "--only", "raw-write", "raw-discard")
    _, *measurements = json_lines(done)
    ran = [(one["round"], one["job"]) for one in measurements]
    assert ran == [(1, "raw-discard"), (1, "raw-write"), (2, "raw-discard"), (2, "raw-write")]


@pytest.mark.peers
def test_benchmark_table_has_a_line_for_each_job_and_target() -> None:
    """Without --json a table is printed: one line a job, and its targets with whether they are met."""
    done = benchmarks("--contacts=10", "--rounds=1", "--only", "requests", "gzip")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("10 contacts")
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [row[0] for row in cells] == ["gzip", "", "requests"]
    assert cells[0][6] == "≥ 9 × requests"  # noqa: RUF001 - as the table has it
    assert cells[0][8] in {"yes", "NO"}
    assert cells[1][7:] == ["-", "?"]
    assert lines[-1].endswith("1 not measured")


def test_section_name_selects_its_jobs() -> None:
    """What --only takes may be a section."""
    _, *measurements = json_lines(benchmarks("--only", "memory", "--sizes", "10", "--rounds=1", "--json"))
    assert [(one["job"], one["contacts"]) for one in measurements] == [(f"{name}@10", 10) for name in MEMORY]


def test_unknown_job_is_refused() -> None:
    """A misspelt name does not pass as a job that was run."""
    done = benchmarks("--only", "requets")
    assert done.returncode == 1
    assert "no job requets" in done.stderr


WITHOUT = """
import sys
sys.modules["dlt"] = sys.modules["requests"] = None
from benchmarks import __main__
sys.argv = ["benchmarks", "--only", "dlt", "ndjson", "requests", "latency"]
__main__.main()
"""


def test_benchmarks_without_a_tool_end_before_the_first_job() -> None:
    """Without the extra [benchmarks] one line names the tools and the command that installs them."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "benchmarks: cannot measure requests, dlt: not installed; "
        "run pip install -e '.[benchmarks]', or name other jobs with --only\n"
    )


LOSING = """
import sys
from benchmarks import __main__, rows
count = rows.NDJSON.count
object.__setattr__(rows.NDJSON, "count", lambda outcome: count(outcome) - 1)
sys.argv = ["benchmarks", "--contacts=10", "--rounds=1", "--only", "ndjson"]
__main__.main()
"""
FAILING = """
import sys
from benchmarks import __main__, rows
object.__setattr__(rows.NDJSON, "command", (sys.executable, "-c", "raise SystemExit('it broke')"))
sys.argv = ["benchmarks", "--contacts=10", "--rounds=1", "--only", "ndjson"]
__main__.main()
"""


@pytest.mark.parametrize(
    ("program", "complaint"), [(LOSING, "ndjson delivered 9 contacts of 10"), (FAILING, "ndjson failed: it broke")]
)
def test_job_that_loses_contacts_fails_the_command(program: str, complaint: str) -> None:
    """No table is printed about a program that lost contacts or failed: exit 1 says which."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("row", "complaint"),
    [(WEB, "web failed: .*CredentialsError"), (PIPE, "pipe failed: .*401"), (replace(PIPE, reader=("false",)), "pipe")],
    ids=["web", "pipe", "reader"],
)
def test_job_with_truncated_stream_fails(
    serve: Callable[..., AbstractContextManager[Any]], row: Row, complaint: str
) -> None:
    """What was read of a stream that did not come to its end, or not read, is no measurement."""
    from benchmarks.served import Served  # noqa: PLC0415 - not to be mixed up with the fixture's

    with serve("--contacts=10") as sandbox, pytest.raises(Unusable, match=f"(?s){complaint}"):
        measure(row, Served(sandbox.base_url, "none", 10))


def test_resume_job_with_one_page_is_refused() -> None:
    """Where nothing is committed before the last page, the resumed run has nothing to hash."""
    done = benchmarks("--contacts=150", "--rounds=1", "--only", "resume")
    assert done.returncode == 1
    assert "nothing is committed" in done.stderr


@pytest.mark.parametrize(("program", "least", "most"), [("pass", 5, 25), ("b'x' * 100_000_000", 100, 125)])
def test_peak_memory_is_the_program_s_own(tmp_path: Path, program: str, least: int, most: int) -> None:
    """Peak memory does not begin with that of the big process that measures, as this one is made to be."""
    ballast = b"x" * 200_000_000
    report = tmp_path / "report"
    timed = [sys.executable, "-I", "-S", str(ROOT / "benchmarks" / "timed.py"), str(report)]
    subprocess.run([*timed, sys.executable, "-c", program], check=True)
    del ballast
    assert least < int(report.read_text().split()[2]) / 1_000_000 < most


@pytest.mark.peers
def test_comparison_programs_write_every_contact(
    serve: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    """The loop's lines and the raw bodies hold the same contacts, in the same order."""
    with serve("--contacts", "301", "--no-hostile") as served:
        for module in ("requests_loop", "raw_socket"):
            subprocess.run(
                [sys.executable, "-m", f"benchmarks.{module}", served.base_url, str(tmp_path / module)],
                cwd=ROOT,
                env={"INTERCOM_ACCESS_TOKEN": served.token},
                check=True,
                capture_output=True,
            )
    bodies, at, pages = (tmp_path / "raw_socket").read_text(encoding="utf-8"), 0, []
    while at < len(bodies):
        page, at = json.JSONDecoder().raw_decode(bodies, at)
        pages += page["data"]
    lines = (tmp_path / "requests_loop").read_text(encoding="utf-8").splitlines()
    assert len(pages) == 301
    assert [json.loads(line) for line in lines] == pages
