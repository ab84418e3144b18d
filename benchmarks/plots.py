"""The plots beside the results. The same results give the same bytes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from benchmarks import rows
from benchmarks.jobs import DEFAULT_RESERVE, jobs_for
from benchmarks.raw_socket import PER_PAGE
from benchmarks.results import Results
from exporter.source.rate_limit import WINDOW_S

_MB = 1_000_000
_GREY = "#777777"  # the same contrast to white and to black
_OURS, _OTHERS, _LIMITS = "#2f81f7", "#a371f7", "#8b949e"
_KINDS = {_OURS: "ours", _OTHERS: "others", _LIMITS: "raw socket, nothing parsed"}
_LINES = ((rows.NDJSON, "#2f81f7", "o"), (rows.GZIP, "#3fb950", "s"), (rows.PIPE, "#db6d28", "^"))
_STYLE: Any = {  # of matplotlib's own names only, which its types would have spelled out
    "svg.hashsalt": "benchmarks",
    "font.size": 10,
    "text.color": _GREY,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
_OTHER_NAMES = {row.name for row in (rows.REQUESTS, *rows.PEERS)}
_LIMIT_NAMES = {rows.RAW_DISCARD.name, rows.RAW_WRITE.name}
_LEFT_OUT = {rows.GZIP_1.name, rows.UNDURABLE.name}


def draw_speed(results: Results, path: Path) -> None:
    """Draw the contacts per second of each tool, the fastest on top. The scale is logarithmic: factors reach 1,000."""
    speeds, names = zip(*sorted(_speeds(results)), strict=True)
    with _axes(path, height=0.38 * len(speeds) + 1.3) as axes:
        bars = axes.barh(names, speeds, color=[_colour(name) for name in names], height=0.7)
        axes.bar_label(bars, [f"{speed:,.0f}" for speed in speeds], padding=4, color=_GREY)
        axes.set_xscale("log")
        axes.set_xlim(10 ** math.floor(math.log10(speeds[0] / 2)), speeds[-1] * 5)
        axes.set_xlabel("contacts a second")
        axes.legend(handles=[Patch(color=colour, label=kind) for colour, kind in _KINDS.items()], loc="lower right")


def _speeds(results: Results) -> Iterator[tuple[float, str]]:
    for job in jobs_for(results.scale):
        speed = results.figure(job.name, "contacts_per_s")
        if job.section in {"speed", "peers", "shapes"} and job.name not in _LEFT_OUT and speed is not None:
            yield speed, job.name


def _colour(name: str) -> str:
    if name in _OTHER_NAMES:
        return _OTHERS
    return _LIMITS if name in _LIMIT_NAMES else _OURS


def draw_memory(results: Results, path: Path) -> None:
    """Draw our peak memory by the size of the workspace."""
    with _axes(path, height=3.2) as axes:
        for row, colour, marker in _LINES:
            peaks = {size: results.figure(f"{row.name}@{size}", "peak_rss_bytes") for size in results.scale.sizes}
            points = sorted((size, peak / _MB) for size, peak in peaks.items() if peak is not None)
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=row.name)
        axes.set_xscale("log")
        axes.set_xticks(results.scale.sizes, [f"{size:,}" for size in results.scale.sizes])
        axes.minorticks_off()
        axes.set_ylim(0, axes.get_ylim()[1] * 1.2)
        axes.set_xlabel("contacts")
        axes.set_ylabel("peak MB")
        axes.legend(loc="lower right", ncols=3)


def draw_cursors(results: Results, path: Path) -> None:
    """Draw the contacts per second by the number of cursors, beside the rate limit and tools with one cursor."""
    scale = results.scale
    speeds = {cursors: results.figure(f"cursors-{cursors}", "contacts_per_s") for cursors in scale.cursors}
    points = sorted((cursors, speed) for cursors, speed in speeds.items() if speed is not None)
    if not points:
        return
    limit = scale.window_limit / WINDOW_S * PER_PAGE
    one = PER_PAGE / (scale.cursor_latency_ms / 1_000)
    with _axes(path, height=3.6) as axes:
        axes.plot(*zip(*points, strict=True), color=_OURS, marker="o", label="ours, by cursors")
        lines = ((limit, "--", "rate limit"), (limit * (1 - DEFAULT_RESERVE), ":", "rate limit less the reserve"))
        for speed, style, label in lines:
            axes.axhline(speed, color=_LIMITS, linestyle=style, label=label)
        axes.axhline(one, color=_OTHERS, label="any tool with one cursor")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(scale.cursors, [f"{cursors}" for cursors in scale.cursors])
        axes.set_xlabel("cursors")
        axes.set_ylabel("contacts a second")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.1))


@contextmanager
def _axes(path: Path, height: float) -> Iterator[Axes]:
    """Yield axes to draw on, and save the plot."""
    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(8, height), layout="constrained")
        try:
            yield axes
            figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        finally:
            plt.close(figure)
