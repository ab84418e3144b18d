"""The command: ``python -m benchmarks``, ``python -m benchmarks report``."""

import shlex
import signal
import sys
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from benchmarks import report
from benchmarks.jobs import Flag, Job, Scale, jobs_named
from benchmarks.machine import surroundings
from benchmarks.measuring import Unusable
from benchmarks.results import Log, Results, line_of
from benchmarks.served import SEED
from benchmarks.tools import check_tools
from benchmarks.workspaces import Workspaces

_FOLDER = Path(__file__).parent
_RESULTS = _FOLDER / "results.jsonl"
_EVERYTHING = Scale()

app = App(name="python -m benchmarks", help_format="plaintext", version_flags=[])


@app.default
def compare(
    scale: Scale = _EVERYTHING,
    *,
    only: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    results: Path | None = None,
    json: Flag = False,
) -> None:
    """Measure every job in several rounds, and print the medians beside their targets.

    Args:
        scale: the sizes of workspaces and the number of rounds.
        only: names of jobs or sections to run.
        results: file for all measurements; for a run of all jobs, the default is benchmarks/results.jsonl.
        json: print one line of JSON per measurement instead of the table.
    """
    jobs = jobs_named(only, scale)
    check_tools(job.name for job in jobs)
    path = results or (None if only else _RESULTS)
    with ExitStack() as stack:
        files = [sys.stdout] if json else []
        files += [stack.enter_context(path.open("w", encoding="utf-8"))] if path else []
        log = Log(_heading(scale), scale, *files)
        _measure(jobs, log, scale.rounds)
    if not json:
        report.print_table(log.results)


def _measure(jobs: tuple[Job, ...], log: Log, rounds: int) -> None:
    with Workspaces() as workspaces:
        for number in range(1, rounds + 1):
            for job in jobs:
                measurement = job.measure(workspaces)
                log.add(line_of(job.name, number, measurement))
                said = f"round {number} of {rounds}: {job.name} {measurement.wall_s:.2f} s"
                print(said, file=sys.stderr, flush=True)


def _heading(scale: Scale) -> dict[str, Any]:
    return {
        "started_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        **surroundings(),
        "seed": SEED,
        "scale": asdict(scale),
    }


@app.command(name="report")
def write_report(*, results: Path = _RESULTS, folder: Path = _FOLDER) -> None:
    """Write RESULTS.md, speed.svg and memory.svg for a run.

    Args:
        results: file with the measurements of the run.
        folder: folder to write to; it also holds MISSED.md, the notes about missed targets.
    """
    report.write_page(Results.load(results), folder)


def main() -> None:
    """Run the command. It ends with exit code 1 if a program failed or lost contacts."""
    # As an exception, so that folders in memory are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except (Unusable, ValueError, OSError) as error:
        sys.exit(f"benchmarks: {error}")


if __name__ == "__main__":
    main()
