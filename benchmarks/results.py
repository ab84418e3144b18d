"""The measurements of a run, as lines of JSON: a heading with scale and machine, then one line per measurement.

A later run of some of the jobs may follow in the same file.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from pathlib import Path
from statistics import median
from typing import Any, TextIO

from benchmarks.jobs import Scale
from benchmarks.measuring import Measurement

Line = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """One run, with later runs of some of its jobs.

    Attributes:
        heading: versions, command and machine.
        scale: the sizes of workspaces and the number of rounds.
        measured: the measurements of each job, in order.
        later: headings of the later runs.
    """

    heading: Mapping[str, Any]
    scale: Scale
    measured: dict[str, list[Line]] = field(default_factory=dict)
    later: tuple[Mapping[str, Any], ...] = ()

    def add(self, line: Line) -> None:
        """Add a measurement."""
        self.measured.setdefault(line["job"], []).append(line)

    def figure(self, job: str, name: str) -> float | None:
        """Return the median of one figure of a job; None if it was not measured."""
        figures = [line[name] for line in self.measured.get(job, ()) if line.get(name) is not None]
        return median(figures) if figures else None

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read a run.

        Raises:
            ValueError: the file is malformed.
        """
        runs: list[Results] = []
        for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            if "scale" in line:
                runs.append(cls(line, Scale.load(line["scale"])))
            elif runs:
                runs[-1].add(line)
        if not runs:
            raise ValueError(f"{path.name} does not hold a run of the benchmarks")
        return reduce(cls._with_later, runs)

    def _with_later(self, run: "Results") -> "Results":
        """Return the results with the jobs of a later run, whose scale differs only in the numbers of cursors."""
        scale = replace(self.scale, cursors=run.scale.cursors)
        return Results(self.heading, scale, self.measured | run.measured, (*self.later, run.heading))


def line_of(job: str, round_number: int, measurement: Measurement) -> Line:
    """Return the line of a measurement, with the further figures of its job."""
    members = asdict(measurement)
    figures = members.pop("figures")
    return {"job": job, "round": round_number, **members, **figures}


class Log:
    """Records a run, in memory and in files.

    Args:
        heading: the first line.
        scale: the sizes of workspaces and the number of rounds.
        files: files that get each line at once.
    """

    def __init__(self, heading: Mapping[str, Any], scale: Scale, *files: TextIO) -> None:
        self.results = Results(heading, scale)
        self._files = files
        self._put(heading)

    def add(self, line: Line) -> None:
        """Record a measurement."""
        self.results.add(line)
        self._put(line)

    def _put(self, members: Mapping[str, Any]) -> None:
        for file in self._files:
            print(json.dumps(members), file=file, flush=True)
