"""The page: one HTML file that needs nothing else."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from exporter.archive.report import charts
from exporter.archive.report.plotting import plotting
from exporter.archive.report.statistics import MAX_DISTINCT, OTHERS, UNKNOWN, FieldStatistics, Statistics
from exporter.extras import needing
from exporter.formats.columns import CUSTOM
from exporter.model import Summary, Timeline
from exporter.text import duration, one_line, size

REPORT_MARKER = "<!-- a report of intercom-exporter -->"
"""Stands in the first lines of each report."""

_MAX_BARS = 15
_MAX_NAME_CHARACTERS, _SHORT = 80, 24
_PARTS = re.compile(r"[0-9a-f]{16}(?=(?:[0-9a-f]{16})*$)|[^._/:@-]*[._/:@-]+|[^._/:@-]+")
"""The parts of a name, each with what ends it; of a digest sixteen digits each."""


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field, as the page shows it.

    Attributes:
        name: its path, or an attribute's name.
        filled: contacts that have it.
        share: of all contacts, 0 to 1.
        kinds: JSON types seen, the most frequent first, with their numbers.
        distinct: how many different values, in words.
    """

    name: str
    filled: int
    share: float
    kinds: tuple[tuple[str, int], ...]
    distinct: str


def render_report(path: Path, summary: Summary, tally: Statistics, duplicates: int | None) -> str:
    """Make the page of a report.

    Args:
        path: of the export.
        summary: its manifest.
        tally: what is in it.
        duplicates: contacts with the id of an earlier one, None where ids are unknown.

    Raises:
        MissingExtraError: the extra is not installed.
    """
    jinja2 = template_engine()
    source = resources.files("exporter.archive.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: one_line(value) if type(value) is str else value,
    )
    environment.filters["number"] = lambda number: f"{number:,}"
    environment.filters["megabytes"] = size
    environment.filters["breakable"] = _breakable
    environment.filters["moment"] = lambda moment: moment.replace("T", " ").replace("Z", " UTC")
    own, custom = _fields(tally)
    text: str = environment.from_string(source).render(
        mark=REPORT_MARKER,
        name=one_line(path.name),
        verify=f"intercom-exporter verify {shlex.quote(path.name)}",
        summary=summary,
        took=duration(summary.timeline.ran_s),
        waited=duration(summary.rate_limit_wait_s),
        contacts=tally.contacts,
        duplicates=duplicates,
        charts=_charts(tally, summary),
        own=own,
        custom=custom,
        drift=[(one_line(path), kind, n) for path, kinds in summary.schema_drift.items() for kind, n in kinds.items()],
    )
    return text


def _breakable(text: str) -> Any:
    """Let a name, or a digest, be broken where its parts end, and nowhere else while a part fits on a line."""
    from markupsafe import Markup, escape  # noqa: PLC0415 - it comes with an extra

    text = one_line(text)
    return escape(text) if len(text) <= _SHORT else Markup("<wbr>").join(map(escape, _PARTS.findall(text)))


def template_engine() -> Any:
    """Return jinja2, once it is sure that all a page needs is there.

    Raises:
        ConfigError: the extra is not installed.
    """
    with needing("report", "a report needs"):
        import jinja2  # noqa: PLC0415 - it needs an extra

        plotting()
    return jinja2


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its heading.

    Attributes:
        title: above it.
        chart: the drawing.
        headings: of the table that says the same.
        rows: of that table.
        note: below it.
    """

    title: str
    chart: charts.Chart
    headings: tuple[str, str]
    rows: Sequence[tuple[str, int]]
    note: str = ""


def _charts(tally: Statistics, summary: Summary) -> Iterator[Figure]:
    if tally.contacts:
        roles = _ranked(tally.roles)
        yield _bars("roles", "Contacts by role", "role", roles)
        yield from _months(tally)
        countries = _ranked(tally.countries)
        yield _bars("countries", "Contacts by country", "country", countries)
    timeline = summary.timeline
    if timeline.contacts:
        peak = _peak_rate(timeline)
        says = f"Contacts a second while the export ran, {peak}; marks where requests were repeated or waited"
        rows = [(f"{place * timeline.slice_s:,.0f} s", count) for place, count in enumerate(timeline.contacts)]
        chart = charts.rate("pace", says, timeline)
        marked = any(timeline.retries) or any(timeline.waited_s)
        note = "▼ marks where requests were retried or waited for the rate limit." if marked else ""
        yield Figure("Contacts a second while it ran", chart, ("from", "contacts"), rows, note)


def _peak_rate(timeline: Timeline) -> str:
    return f"{max(timeline.contacts) / timeline.slice_s:,.0f} a second at most"


def _bars(name: str, title: str, what: str, counts: list[tuple[str, int]]) -> Figure:
    says = f"{title}: " + ", ".join(f"{label} {count:,}" for label, count in counts[:5])
    return Figure(title, charts.bars(name, says, counts), (what, "contacts"), counts)


def _ranked(counts: "dict[str, int]") -> list[tuple[str, int]]:
    """Give the largest, the rest together, and those that are not known, last."""
    known = sorted(
        ((label, count) for label, count in counts.items() if label not in (UNKNOWN, OTHERS)),
        key=lambda pair: (-pair[1], pair[0]),
    )
    rest = sum(count for _, count in known[_MAX_BARS:]) + counts.get(OTHERS, 0)
    last = [(OTHERS, rest), (UNKNOWN, counts.get(UNKNOWN, 0))]
    return [(one_line(label), count) for label, count in [*known[:_MAX_BARS], *last] if count]


def _months(tally: Statistics) -> Iterator[Figure]:
    known = sorted((month, count) for month, count in tally.months.items() if month != UNKNOWN)
    if not known:
        return
    places = [(int(month[:4]) * 12 + int(month[5:]) - 1, count) for month, count in known]
    most = max(known, key=lambda pair: pair[1])
    says = f"Contacts by month of creation, {known[0][0]} to {known[-1][0]}; most in {most[0]}: {most[1]:,}"
    unknown = [(UNKNOWN, count)] if (count := tally.months.get(UNKNOWN)) else []
    yield Figure(
        "Contacts by month of creation", charts.months("months", says, places), ("month", "contacts"), known + unknown
    )


def _fields(tally: Statistics) -> tuple[list[FieldRow], list[FieldRow]]:
    """Give the API's own fields in its order, and custom attributes by name."""
    own: list[FieldRow] = []
    custom: list[FieldRow] = []
    for path, field in tally.fields.items():
        name = path.removeprefix(f"{CUSTOM}.")
        (custom if name != path else own).append(_row(name, field, tally.contacts))
    return own, sorted(custom, key=lambda row: (-row.filled, row.name))


def _row(name: str, field: FieldStatistics, contacts: int) -> FieldRow:
    count = len(field.distinct)
    distinct = f"{MAX_DISTINCT} or more" if count >= MAX_DISTINCT else str(count) if count else "-"
    shown = name if len(name) <= _MAX_NAME_CHARACTERS else f"{name[:_MAX_NAME_CHARACTERS]}…"
    kinds = tuple(field.kinds.most_common())
    return FieldRow(
        one_line(shown), field.filled, min(field.filled / contacts, 1.0) if contacts else 0.0, kinds, distinct
    )
