"""The measurements of a run, as lines of JSON: the first says of what and where, each other one is a measurement."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TextIO

from benchmarks.jobs import Scale
from benchmarks.measuring import Measurement

Line = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """One run.

    Attributes:
        heading: what it was measured with, and where.
        scale: how large everything was.
        measured: the measurements of each job, in the order they were taken.
    """

    heading: Mapping[str, Any]
    scale: Scale
    measured: dict[str, list[Line]] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """Take in a measurement."""
        self.measured.setdefault(line["job"], []).append(line)

    def figure(self, job: str, name: str) -> float | None:
        """Return the median of a job's figure; None if there is none."""
        figures = [line[name] for line in self.measured.get(job, ()) if line.get(name) is not None]
        return median(figures) if figures else None

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read a run.

        Raises:
            ValueError: the file holds something else.
        """
        heading, *lines = map(json.loads, path.read_text(encoding="utf-8").splitlines() or ["{}"])
        if "scale" not in heading:
            raise ValueError(f"{path.name} does not hold a run of the benchmarks")
        results = cls(heading, Scale.load(heading["scale"]))
        for line in lines:
            results.add(line)
        return results


def line_of(job: str, round_number: int, measurement: Measurement) -> Line:
    """Make a line of a measurement, its own figures among the others."""
    members = asdict(measurement)
    figures = members.pop("figures")
    return {"job": job, "round": round_number, **members, **figures}


class Log:
    """Keeps the lines of a run, in its results and in files.

    Args:
        heading: the first line.
        scale: how large everything is.
        files: get each line as it comes.
    """

    def __init__(self, heading: Mapping[str, Any], scale: Scale, *files: TextIO) -> None:
        self.results = Results(heading, scale)
        self._files = files
        self._put(heading)

    def add(self, line: Line) -> None:
        """Keep a measurement."""
        self.results.add(line)
        self._put(line)

    def _put(self, members: Mapping[str, Any]) -> None:
        for file in self._files:
            print(json.dumps(members), file=file, flush=True)
