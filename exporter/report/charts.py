"""Charts as SVG that stands in the page itself, in colours that the page decides.

Each is drawn twice, for a wide screen and for a phone: text that shrinks with
its chart cannot be read. Needs the extra ``[report]``.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.model import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator

_INCH_PX = 72
_WIDE_PX, _NARROW_PX = 700, 330
_ROW_PX, _HEIGHT_PX = 24, 210
_LABEL_LETTERS_PER_INCH = 4
_COLOURS = {"#010203": "ink", "#010204": "faint", "#010205": "bar", "#010206": "mark"}
_INK, _FAINT, _BAR, _MARK = _COLOURS
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, found and copied
    "text.parse_math": False,
    "font.size": 12,
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
        wide: SVG for screens.
        narrow: SVG for phones.
    """

    wide: str
    narrow: str


def bars(name: str, says: str, counts: Sequence[tuple[str, int]]) -> Chart:
    """Draw how many of each, below one another.

    Args:
        name: of the chart, unique on the page.
        says: what it shows, for those who do not see it.
        counts: labels and numbers, in the order in which they are drawn.
    """

    def draw(axes: "Axes") -> None:
        most = round(axes.figure.bbox.width / _INCH_PX * _LABEL_LETTERS_PER_INCH)
        labels = [label if len(label) <= most else f"{label[: most - 1]}…" for label, _ in counts]
        numbers = [number for _, number in counts]
        drawn = axes.barh(range(len(counts)), numbers, color=_BAR, height=0.7)
        axes.set_yticks(range(len(counts)), labels)
        axes.invert_yaxis()
        axes.bar_label(drawn, [f"{number:,}" for number in numbers], color=_INK, padding=4)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, max(numbers, default=1) * 1.25 or 1)
        axes.xaxis.set_visible(False)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)

    return _drawn(name, says, draw, len(counts) * _ROW_PX + 20)


def months(name: str, says: str, counts: Sequence[tuple[int, int]]) -> Chart:
    """Draw how many in each month.

    Args:
        name: of the chart.
        says: what it shows.
        counts: months, counted from the year 0, and numbers; in order, gaps left out.
    """

    def draw(axes: "Axes") -> None:
        axes.bar([month for month, _ in counts], [number for _, number in counts], color=_BAR, width=0.9)
        first, last = counts[0][0], counts[-1][0]
        around = max(12 - (last - first), 1) / 2  # a year at least: a single month is no wall
        axes.set_xlim(first - around, last + around)
        axes.xaxis.set_major_formatter(lambda at, _: f"{int(at) // 12}-{int(at) % 12 + 1:02}")
        axes.xaxis.set_major_locator(_few_steps())
        axes.yaxis.set_major_formatter(lambda at, _: f"{at:,.0f}")
        axes.yaxis.set_major_locator(_few_steps())
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="x")

    return _drawn(name, says, draw, _HEIGHT_PX)


def pace(name: str, says: str, timeline: Timeline) -> Chart:
    """Draw contacts a second over the time that the export ran, with marks where it repeated or waited.

    Args:
        name: of the chart.
        says: what it shows.
        timeline: the export's.
    """
    unit_s, unit = next((one for one in _UNITS if timeline.slice_s * len(timeline.contacts) >= one[0] * 2), _UNITS[-1])
    width = timeline.slice_s / unit_s

    def draw(axes: "Axes") -> None:
        rates = [count / timeline.slice_s for count in timeline.contacts]
        starts = [place * width for place in range(len(rates))]
        axes.bar(starts, rates, width=width, align="edge", color=_BAR)
        marked = [
            start + width / 2
            for start, retries, waited_s in zip(starts, timeline.retries, timeline.waited_s, strict=True)
            if retries or waited_s
        ]
        axes.plot(marked, [max(rates, default=1) * 1.08] * len(marked), "v", color=_MARK, markersize=6, clip_on=False)
        axes.set_xlabel(unit)
        axes.set_xlim(0, len(rates) * width or 1)
        axes.yaxis.set_major_formatter(lambda at, _: f"{at:,.0f}")
        axes.yaxis.set_major_locator(_few_steps())
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="x")

    return _drawn(name, says, draw, _HEIGHT_PX)


_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds"))


def _few_steps() -> "MaxNLocator":
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - it needs an extra

    return MaxNLocator(nbins=4, integer=True)


def _drawn(name: str, says: str, draw: Callable[["Axes"], None], height_px: int) -> Chart:
    return Chart(
        _svg(f"{name}-wide", says, draw, (_WIDE_PX, height_px)),
        _svg(f"{name}-narrow", says, draw, (_NARROW_PX, height_px)),
    )


def _svg(name: str, says: str, draw: Callable[["Axes"], None], size_px: tuple[int, int]) -> str:
    import matplotlib as mpl  # noqa: PLC0415 - it needs an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    width_px, height_px = size_px
    content = io.BytesIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its font lacks, and the page's has
        figure = Figure(figsize=(width_px / _INCH_PX, height_px / _INCH_PX), dpi=_INCH_PX, layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(content, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _inlined(content.getvalue().decode(), name, says, size_px)


def _inlined(document: str, name: str, says: str, size_px: tuple[int, int]) -> str:
    """Make a part of a page of a document: without its head, with names and colours that are the page's."""
    from markupsafe import escape  # noqa: PLC0415 - it comes with an extra

    svg = document[document.index("<svg ") :]
    for colour, role in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{role})")
    svg = _ID.sub(rf"\g<1>{name}-", svg)
    width, height = size_px
    told = f'width="{width}" height="{height}" role="img" aria-label="{escape(says)}"'
    return _SIZE.sub(lambda found: found[1] + told, svg, count=1)
