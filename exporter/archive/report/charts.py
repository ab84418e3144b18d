"""Charts as SVG that stands in the page itself, in colours that the page decides.

Each is drawn for several widths of screen, and stretched to the page's: text
that shrinks with its chart cannot be read. Needs the extra ``[report]``.
"""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.archive.report.plotting import default_style, plotting
from exporter.model import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator, MultipleLocator

_INCH_PX = 72
SCREENS_PX = {"phone": 350, "small": 560, "medium": 860, "wide": 1360}
"""The widths that charts are drawn for. The page shows the one that is nearest to its own."""

_ROW_PX, _HEIGHT_PX, _TICK_PX = 26, 220, 110
_NUMBER_PX = 70
_LABEL_LETTERS_PER_INCH, _MAX_LABEL_CHARACTERS = 4, 40
_FEW = 6
_COLOURS = {"#010203": "ink", "#010204": "faint", "#010205": "bar", "#010206": "mark"}
_INK, _FAINT, _BAR, _MARK = _COLOURS
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, found and copied
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
        drawings: its SVG for each of the `SCREENS_PX`.
    """

    drawings: Mapping[str, str]


def bars(name: str, caption: str, counts: Sequence[tuple[str, int]]) -> Chart:
    """Draw how many of each, below one another.

    Args:
        name: of the chart, unique on the page.
        caption: what it shows, for those who do not see it.
        counts: labels and numbers, in the order in which they are drawn.
    """

    def draw(axes: "Axes") -> None:
        most = min(round(_width_px(axes) / _INCH_PX * _LABEL_LETTERS_PER_INCH), _MAX_LABEL_CHARACTERS)
        labels = [label if len(label) <= most else f"{label[: most - 1]}…" for label, _ in counts]
        numbers = [number for _, number in counts]
        drawn = axes.barh(range(len(counts)), numbers, color=_BAR, height=0.7)
        axes.set_yticks(range(len(counts)), labels)
        axes.set_ylim(len(counts) - 0.5, -0.5)  # from above, and each bar as thick as those of other charts
        axes.bar_label(drawn, [f"{number:,}" for number in numbers], color=_INK, padding=4)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, max(numbers, default=1) * (1 + 1.5 * _NUMBER_PX / _width_px(axes)) or 1)
        axes.xaxis.set_visible(False)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)

    return _drawings(name, caption, draw, len(counts) * _ROW_PX + 8)


def months(name: str, caption: str, counts: Sequence[tuple[int, int]]) -> Chart:
    """Draw how many in each month: a few below one another, more along an axis.

    Args:
        name: of the chart.
        caption: what it shows.
        counts: months, counted from the year 0, and numbers; in order, gaps left out.
    """
    first, last = counts[0][0], counts[-1][0]
    if last - first < _FEW:
        known = dict(counts)
        return bars(name, caption, [(_month(month), known.get(month, 0)) for month in range(first, last + 1)])

    def draw(axes: "Axes") -> None:
        axes.bar([month for month, _ in counts], [number for _, number in counts], color=_BAR, width=0.9)
        axes.set_xlim(first - 0.5, last + 0.5)
        axes.xaxis.set_major_formatter(lambda at, _: _month(round(at)))
        axes.xaxis.set_major_locator(_months_apart(last - first, _width_px(axes) / _TICK_PX))
        axes.yaxis.set_major_formatter(lambda at, _: f"{at:,.0f}")
        axes.yaxis.set_major_locator(_steps(4))
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="x")

    return _drawings(name, caption, draw, _HEIGHT_PX)


def rate(name: str, caption: str, timeline: Timeline) -> Chart:
    """Draw contacts a second over the time that the export ran, with marks where it repeated or waited.

    What ran for a moment is a bar or two: along an axis of time it would be a wall.

    Args:
        name: of the chart.
        caption: what it shows.
        timeline: the export's.
    """
    unit_s, unit = next((one for one in _UNITS if timeline.slice_s * len(timeline.contacts) >= one[0] * 2), _UNITS[-1])
    width = timeline.slice_s / unit_s
    rates = [count / timeline.slice_s for count in timeline.contacts]
    if len(rates) <= _MOMENT:
        return bars(
            name, caption, [(f"{place * timeline.slice_s:,.0f} s", round(rate)) for place, rate in enumerate(rates)]
        )

    def draw(axes: "Axes") -> None:
        starts = [place * width for place in range(len(rates))]
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
        axes.yaxis.set_major_locator(_steps(4))
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="x")

    return _drawings(name, caption, draw, _HEIGHT_PX)


_MOMENT = 3
_STEPS = (1, 2, 3, 6, 12, 24, 36, 60, 120, 240, 600, 1_200, 6_000, 24_000)
_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds"))


def _month(month: int) -> str:
    """Return a month as text, as in 2026-11."""
    return f"{month // 12}-{month % 12 + 1:02}"


def _width_px(axes: "Axes") -> float:
    """Return the width of the drawing that something is drawn in."""
    return axes.figure.bbox.width


def _months_apart(months: int, limit: float) -> "MultipleLocator":
    """Return ticks for a number of months: of a year and more they are on Januaries."""
    from matplotlib.ticker import MultipleLocator  # noqa: PLC0415 - it needs an extra

    return MultipleLocator(next((step for step in _STEPS if months / step <= limit), _STEPS[-1]))


def _steps(limit: int) -> "MaxNLocator":
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - it needs an extra

    return MaxNLocator(nbins=limit, integer=True)


def _drawings(name: str, caption: str, draw: Callable[["Axes"], None], height_px: int) -> Chart:
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
        warnings.simplefilter("ignore")  # of letters that its font lacks, and the page's has
        figure = Figure(figsize=(width_px / _INCH_PX, height_px / _INCH_PX), dpi=_INCH_PX, layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(content, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _inlined(content.getvalue().decode(), name, caption, size_px)


def _inlined(document: str, name: str, caption: str, size_px: tuple[int, int]) -> str:
    """Make a part of a page of a document: without its head, with names and colours that are the page's."""
    from markupsafe import escape  # noqa: PLC0415 - it comes with an extra

    svg = document[document.index("<svg ") :]
    for colour, role in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{role})")
    svg = _ID.sub(rf"\g<1>{name}-", svg)
    width, height = size_px
    told = f'width="{width}" height="{height}" role="img" aria-label="{escape(caption)}"'
    return _SIZE.sub(lambda found: found[1] + told, svg, count=1)
