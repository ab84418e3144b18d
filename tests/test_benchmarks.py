"""The benchmarks run, and every program in them delivers every contact. How fast is no matter of tests."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
ROWS = ["raw-discard", "raw-write", "ndjson", "gzip", "pipe", "requests"]


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def json_lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Read what a successful command printed."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("options", [(), ("--gzip",), ("--hostile",)])
def test_every_row_delivers_every_contact(options: tuple[str, ...]) -> None:
    """Each row delivers exactly the contacts there are, whatever the server does to them."""
    setting, *measurements = json_lines(benchmarks("--contacts", "600", "--rounds", "1", "--json", *options))
    assert setting["contacts"] == 600
    assert {"commit", "versions", "machine", "json_bytes"} <= setting.keys()
    assert [(one["row"], one["contacts"]) for one in measurements] == [(name, 600) for name in ROWS]
    for one in measurements:
        assert one["wall_s"] > 0
        assert one["peak_rss_bytes"] > 5_000_000
        assert one["contacts_per_s"] == pytest.approx(600 / one["wall_s"], rel=0.01)


def test_rounds_are_interleaved() -> None:
    """Each round runs every row once, those that were asked for and in the table's order."""
    done = benchmarks("--contacts", "151", "--rounds", "2", "--json", "--only", "raw-write", "raw-discard")
    _, *measurements = json_lines(done)
    ran = [(one["round"], one["row"]) for one in measurements]
    assert ran == [(1, "raw-discard"), (1, "raw-write"), (2, "raw-discard"), (2, "raw-write")]


def test_the_table_has_a_line_for_each_row() -> None:
    """Without --json a table is printed: one line a row, and the ratio to the requests loop."""
    done = benchmarks("--contacts", "10", "--rounds", "1", "--only", "requests", "raw-discard")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("10 contacts")
    cells = [line.split("│")[1:-1] for line in lines if line.startswith("│")]
    assert [row[0].strip() for row in cells] == ["raw-discard", "requests"]
    assert cells[1][-1].strip() == "1.00"


def test_memory_shows_each_size() -> None:
    """The memory command exports a workspace of each size."""
    _, *measurements = json_lines(benchmarks("memory", "--contacts", "10", "151", "--json"))
    assert [(one["row"], one["contacts"]) for one in measurements] == [("ndjson", 10), ("ndjson", 151)]
    table = benchmarks("memory", "--contacts", "10").stdout
    assert any("│       10 │" in line for line in table.splitlines())


def test_an_unknown_row_is_refused() -> None:
    """A misspelt name does not pass as a row that was run."""
    done = benchmarks("--only", "requets")
    assert done.returncode == 1
    assert "no row requets" in done.stderr


LOSING = """
import sys
from benchmarks import __main__, measuring, rows
count = rows.NDJSON.count
object.__setattr__(rows.NDJSON, "count", lambda outcome: count(outcome) - 1)
sys.argv = ["benchmarks", "--contacts", "10", "--rounds", "1", "--only", "ndjson"]
__main__.main()
"""
FAILING = """
import sys
from benchmarks import __main__, rows
object.__setattr__(rows.NDJSON, "command", (sys.executable, "-c", "raise SystemExit('it broke')"))
sys.argv = ["benchmarks", "--contacts", "10", "--rounds", "1", "--only", "ndjson"]
__main__.main()
"""


@pytest.mark.parametrize(
    ("program", "complaint"), [(LOSING, "ndjson delivered 9 contacts of 10"), (FAILING, "ndjson failed: it broke")]
)
def test_a_row_that_loses_contacts_fails_the_command(program: str, complaint: str) -> None:
    """No table is printed about a program that lost contacts or failed: exit 1 says which."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(("program", "least", "most"), [("pass", 5, 25), ("b'x' * 100_000_000", 100, 125)])
def test_peak_memory_is_the_program_s_own(tmp_path: Path, program: str, least: int, most: int) -> None:
    """Peak memory does not begin with that of the big process that measures, as this one is made to be."""
    ballast = b"x" * 200_000_000
    report = tmp_path / "report"
    timed = [sys.executable, "-I", "-S", str(ROOT / "benchmarks" / "timed.py"), str(report)]
    subprocess.run([*timed, sys.executable, "-c", program], check=True)
    del ballast
    assert least < int(report.read_text().split()[2]) / 1_000_000 < most


def test_the_comparison_programs_write_what_the_server_has(
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
