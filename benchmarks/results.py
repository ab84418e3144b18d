"""The measurements of a run, as lines of JSON: a heading with scale and machine, then one line per measurement."""

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
        heading: versions, command and machine.
        scale: the sizes of workspaces and the number of rounds.
        measured: the measurements of each job, in order.
    """

    heading: Mapping[str, Any]
    scale: Scale
    measured: dict[str, list[Line]] = field(default_factory=dict)

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
        heading, *lines = map(json.loads, path.read_text(encoding="utf-8").splitlines() or ["{}"])
        if "scale" not in heading:
            raise ValueError(f"{path.name} does not hold a run of the benchmarks")
        results = cls(heading, Scale.load(heading["scale"]))
        for line in lines:
            results.add(line)
        return results


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
