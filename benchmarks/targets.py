"""The targets, as data: limits for figures of a job, alone or relative to another job of the same run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.jobs import Scale

_MB = 1_000_000
_GB = 1_000_000_000


@dataclass(frozen=True)
class Target:
    """A limit for one figure.

    Attributes:
        job: the job with the figure.
        figure: name of the figure.
        limit: the minimum, or the maximum if `at_most` is set; in units of `unit`.
        at_most: whether the limit is a maximum.
        times: job by whose figure it is divided first.
        above: job whose figure is subtracted from it first.
        unit: size and name of the unit, for figures with units.
        beside: job whose line shows the target, if it is another one.
        expected: whether it is an expectation rather than a target.
    """

    job: str
    figure: str
    limit: float
    at_most: bool = False
    times: str = ""
    above: str = ""
    unit: tuple[float, str] = (1, "")
    beside: str = ""
    expected: bool = False

    @property
    def line(self) -> str:
        """The job whose line shows the target."""
        return self.beside or self.job

    def reached(self, figure_of: Callable[[str, str], float | None]) -> float | None:
        """Return the reached value; None if a figure was not measured.

        Args:
            figure_of: function that returns a figure of a job.
        """
        value, other = figure_of(self.job, self.figure), self.times or self.above
        reference = figure_of(other, self.figure) if other else 0.0
        if value is None or reference is None:
            return None
        if self.times:
            return value / reference
        return (value - reference) / self.unit[0]

    def met(self, reached: float) -> bool:
        """Return whether a value meets the target."""
        return reached <= self.limit if self.at_most else reached >= self.limit

    def text(self) -> str:
        """Return the target as text, for the table."""
        words = [
            self.job if self.beside else "",
            _SPOKEN[self.figure],
            "≤" if self.at_most else "≥",
            f"{self.limit:g}",
            self.unit[1],
            _TIMES if self.times else "",
            "" if self.times == self.beside else self.times,
            f"over {self.above}" if self.above else "",
            "(expected)" if self.expected else "",
        ]
        return " ".join(word for word in words if word)


_SPOKEN = {
    "contacts_per_s": "",
    "wall_s": "time",
    "peak_rss_bytes": "peak",
    "gap_p50_ms": "p50",
    "gap_p99_ms": "p99",
    "hashed_bytes_per_s": "hashed",
    "of_allowed_time": "of the time that the rate limit allows",
}
_TIMES = "×"  # noqa: RUF001 - it is one
_SPEED = "contacts_per_s"
_PEAK = "peak_rss_bytes"
_MOST_LATENCY_BOUND_CURSORS, _CURSOR_SHARE = 32, 0.85
_MOST_LATENCY_RATIO = {20: 1.20, 200: 1.03}
_FIXED = (
    Target("ndjson", _SPEED, 11, times="requests"),
    Target("ndjson", _SPEED, 0.45, times="raw-write"),
    Target("ndjson", _SPEED, 0.9, times="undurable"),
    Target("gzip", _SPEED, 9, times="requests"),
    Target("gzip", _SPEED, 1.2, times="gzip-1", expected=True),
    Target("pipe", _SPEED, 0.9, times="ndjson"),
    Target("normalized", _SPEED, 0.35, times="ndjson"),
    Target("fields", _SPEED, 0.4, times="ndjson"),
    Target("drop", _SPEED, 0.4, times="ndjson"),
    Target("expand@50-ms", "wall_s", 1.15, at_most=True, times="ndjson@50-ms"),
    Target("web", _SPEED, 0.8, times="pipe"),
    Target("ndjson", _SPEED, 22, times="dlt", beside="dlt"),
    Target("ndjson", _SPEED, 28, times="airbyte", beside="airbyte"),
    Target("ndjson", _SPEED, 55, times="singer", beside="singer"),
    Target("ndjson", _SPEED, 300, times="sdk", beside="sdk"),
    Target("gap", "gap_p50_ms", 1, at_most=True, unit=(1, "ms")),
    Target("gap", "gap_p99_ms", 5, at_most=True, unit=(1, "ms")),
    Target("resume", "hashed_bytes_per_s", 1, unit=(_GB, "GB/s")),
)


def targets_for(scale: Scale) -> tuple[Target, ...]:
    """Return all targets at a scale."""
    return (*_FIXED, *_latency_targets(scale), *_memory_targets(scale), *_cursors_targets(scale))


def _cursors_targets(scale: Scale) -> Iterator[Target]:
    for cursors in scale.cursors:
        if 1 < cursors <= _MOST_LATENCY_BOUND_CURSORS and 1 in scale.cursors:
            yield Target(f"cursors-{cursors}", _SPEED, _CURSOR_SHARE * cursors, times="cursors-1")
    if 128 in scale.cursors:  # noqa: PLR2004 - the most that there can be
        yield Target("cursors-128", "of_allowed_time", 1.15, at_most=True)


def _latency_targets(scale: Scale) -> Iterator[Target]:
    for pages in scale.latency_pages:
        if ratio := _MOST_LATENCY_RATIO.get(pages):
            yield Target(f"ndjson@{pages}-pages", "wall_s", ratio, at_most=True, times=f"raw-write@{pages}-pages")


def _memory_targets(scale: Scale) -> Iterator[Target]:
    for size in scale.sizes:
        yield Target(f"ndjson@{size}", _PEAK, 64, at_most=True, unit=(_MB, "MB"))
    smallest, largest = f"ndjson@{min(scale.sizes)}", f"ndjson@{max(scale.sizes)}"
    if smallest != largest:
        yield Target(largest, _PEAK, 2, at_most=True, above=smallest, unit=(_MB, "MB"))
