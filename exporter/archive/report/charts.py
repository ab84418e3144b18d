"""Charts as inline SVG; the page defines their colours.

Each chart is drawn for several screen widths, and the page shows the nearest
one: with one drawing for all widths, the text on small screens would be too small
to read. Needs the extra ``[report]``.
"""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.archive.report.plotting import default_style, plotting
from exporter.layout.summary import RangeSummary
from exporter.model import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator, MultipleLocator

_INCH_PX = 72
SCREENS_PX = {"phone": 350, "small": 560, "medium": 860, "wide": 1360}
"""The widths of the drawings. The page shows the drawing whose width is nearest to its own."""

_ROW_PX, _HEIGHT_PX, _TICK_PX = 26, 220, 110
_NUMBER_PX = 70
_LABEL_CHARACTERS_PER_INCH, _MAX_LABEL_CHARACTERS = 4, 40
_MAX_MONTH_ROWS = 6
_COLOURS = {"#010203": "ink", "#010204": "faint", "#010205": "bar", "#010206": "mark"}
_INK, _FAINT, _BAR, _MARK = _COLOURS
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # keeps text as text: screen readers read it, users can search and copy it
    "text.parse_math": False,
    "font.size": 13,
    "font.family": "sans-serif",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": _FAINT,
    "grid.linewidth": 0.5,
    "text.color": _INK,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "patch.linewidth": 0,
}
_ID = re.compile(r'(\bid="|url\(#|href="#)')
_SIZE = re.compile(r'(<svg [^>]*?)width="[0-9.]+pt" height="[0-9.]+pt"')


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart.

    Attributes:
        drawings: the SVG of the chart for each screen in `SCREENS_PX`.
    """

    drawings: Mapping[str, str]


def bars(name: str, caption: str, counts: Sequence[tuple[str, int]]) -> Chart:
    """Draw a horizontal bar for each count.

    Args:
        name: name of the chart, unique on the page.
        caption: description of the chart for screen readers.
        counts: labels and numbers, from top to bottom.
    """

    def draw(axes: "Axes") -> None:
        length = min(round(_width_px(axes) / _INCH_PX * _LABEL_CHARACTERS_PER_INCH), _MAX_LABEL_CHARACTERS)
        labels = [label if len(label) <= length else f"{label[: length - 1]}…" for label, _ in counts]
        numbers = [number for _, number in counts]
        container = axes.barh(range(len(counts)), numbers, color=_BAR, height=0.7)
        axes.set_yticks(range(len(counts)), labels)
        axes.set_ylim(len(counts) - 0.5, -0.5)  # from top to bottom; all charts have bars of the same thickness
        axes.bar_label(container, [f"{number:,}" for number in numbers], color=_INK, padding=4)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, max(numbers, default=1) * (1 + 1.5 * _NUMBER_PX / _width_px(axes)) or 1)
        axes.xaxis.set_visible(False)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)

    return _chart(name, caption, draw, len(counts) * _ROW_PX + 8)


def months(name: str, caption: str, counts: Sequence[tuple[int, int]]) -> Chart:
    """Draw a number for each month: at most six months as horizontal bars, more along a time axis.

    Args:
        name: name of the chart.
        caption: description of the chart.
        counts: months, counted from the year 0, and numbers; in order, without the months that have none.
    """
    first, last = counts[0][0], counts[-1][0]
    if last - first < _MAX_MONTH_ROWS:
        by_month = dict(counts)
        return bars(name, caption, [(_month(month), by_month.get(month, 0)) for month in range(first, last + 1)])

    def draw(axes: "Axes") -> None:
        axes.bar([month for month, _ in counts], [number for _, number in counts], color=_BAR, width=0.9)
        axes.set_xlim(first - 0.5, last + 0.5)
        axes.xaxis.set_major_formatter(lambda month, _: _month(round(month)))
        axes.xaxis.set_major_locator(_month_ticks(last - first, _width_px(axes) / _TICK_PX))
        axes.yaxis.set_major_formatter(lambda at, _: f"{at:,.0f}")
        axes.yaxis.set_major_locator(_integer_ticks(4))
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="x")

    return _chart(name, caption, draw, _HEIGHT_PX)


def rate(name: str, caption: str, timeline: Timeline) -> Chart:
    """Draw contacts per second over the duration of the export, with marks for retries and rate-limit waits.

    A very short export gets horizontal bars: on a time axis, one bar would fill the chart.

    Args:
        name: name of the chart.
        caption: description of the chart.
        timeline: the timeline of the export.
    """
    unit_s, unit = next((one for one in _UNITS if timeline.slice_s * len(timeline.contacts) >= one[0] * 2), _UNITS[-1])
    width = timeline.slice_s / unit_s
    rates = [count / timeline.slice_s for count in timeline.contacts]
    if len(rates) <= _MAX_SLICE_ROWS:
        return bars(
            name, caption, [(f"{index * timeline.slice_s:,.0f} s", round(rate)) for index, rate in enumerate(rates)]
        )

    def draw(axes: "Axes") -> None:
        starts = [index * width for index in range(len(rates))]
        axes.stairs(rates, [*starts, len(rates) * width], fill=True, color=_BAR)
        marked = [
            start + width / 2
            for start, retries, waited_s in zip(starts, timeline.retries, timeline.waited_s, strict=True)
            if retries or waited_s
        ]
        axes.plot(marked, [max(rates, default=1) * 1.08] * len(marked), "v", color=_MARK, markersize=6, clip_on=False)
        axes.set_xlabel(unit)
        axes.set_xlim(0, len(rates) * width)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda at, _: f"{at:,.0f}")
        axes.yaxis.set_major_locator(_integer_ticks(4))
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="x")

    return _chart(name, caption, draw, _HEIGHT_PX)


def lanes(name: str, caption: str, ranges: Sequence[RangeSummary]) -> Chart:
    """Draw a bar for each range, from its beginning to its end, in the row of the cursor that read it.

    Args:
        name: name of the chart.
        caption: description of the chart.
        ranges: the ranges.
    """
    longest_s = max(one.ended_s for one in ranges)
    unit_s, unit = next((one for one in _UNITS if longest_s >= one[0] * 2), _UNITS[-1])
    rows = max(one.lane for one in ranges)

    def draw(axes: "Axes") -> None:
        for number, one in enumerate(sorted(ranges, key=lambda one: (one.lane, one.began_s))):
            bar = (one.began_s / unit_s, max(one.ended_s - one.began_s, longest_s / 500) / unit_s)
            axes.broken_barh([bar], (one.lane - 0.4, 0.8), color=_MARK if number % 2 else _BAR)
        axes.set_xlabel(unit)
        axes.set_xlim(0, max(longest_s, 1) / unit_s)
        axes.set_ylim(rows + 0.5, 0.5)
        axes.set_ylabel("cursor")
        axes.yaxis.set_major_locator(_integer_ticks(4))
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False)

    return _chart(name, caption, draw, min(max(rows * 8, 120), 480))


_MAX_SLICE_ROWS = 3
_MONTH_STEPS = (1, 2, 3, 6, 12, 24, 36, 60, 120, 240, 600, 1_200, 6_000, 24_000)
_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds"))


def _month(month: int) -> str:
    """Return a month as text, as in 2026-11."""
    return f"{month // 12}-{month % 12 + 1:02}"


def _width_px(axes: "Axes") -> float:
    """Return the width of the drawing in pixels."""
    return axes.figure.bbox.width


def _month_ticks(months: int, max_ticks: float) -> "MultipleLocator":
    """Return the tick positions for a number of months; ticks that are a year or more apart are in January."""
    from matplotlib.ticker import MultipleLocator  # noqa: PLC0415 - it needs an extra

    return MultipleLocator(next((step for step in _MONTH_STEPS if months / step <= max_ticks), _MONTH_STEPS[-1]))


def _integer_ticks(max_ticks: int) -> "MaxNLocator":
    """Return tick positions that are whole numbers."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - it needs an extra

    return MaxNLocator(nbins=max_ticks, integer=True)


def _chart(name: str, caption: str, draw: Callable[["Axes"], None], height_px: int) -> Chart:
    """Return a chart with a drawing for each screen."""
    return Chart(
        {
            screen: _svg(f"{name}-{screen}", caption, draw, (width_px, height_px))
            for screen, width_px in SCREENS_PX.items()
        }
    )


def _svg(name: str, caption: str, draw: Callable[["Axes"], None], size_px: tuple[int, int]) -> str:
    mpl = plotting()
    from matplotlib.figure import Figure  # noqa: PLC0415 - it needs an extra

    width_px, height_px = size_px
    content = io.BytesIO()
    with warnings.catch_warnings(), mpl.rc_context({**default_style(mpl), **_STYLE, "svg.hashsalt": name}):
        warnings.simplefilter("ignore")  # about characters that matplotlib's font lacks; the page's font has them
        figure = Figure(figsize=(width_px / _INCH_PX, height_px / _INCH_PX), dpi=_INCH_PX, layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(content, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _inlined(content.getvalue().decode(), name, caption, size_px)


def _inlined(document: str, name: str, caption: str, size_px: tuple[int, int]) -> str:
    """Return an SVG document as an element of the page: without its head, with unique ids and the page's colours."""
    from markupsafe import escape  # noqa: PLC0415 - it comes with an extra

    svg = document[document.index("<svg ") :]
    for colour, role in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{role})")
    svg = _ID.sub(rf"\g<1>{name}-", svg)
    width, height = size_px
    attributes = f'width="{width}" height="{height}" role="img" aria-label="{escape(caption)}"'
    return _SIZE.sub(lambda match: match[1] + attributes, svg, count=1)
