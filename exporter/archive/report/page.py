"""The page of the report: one HTML file without external resources."""

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
from exporter.layout.summary import RangeSummary, Summary
from exporter.model import Timeline
from exporter.text import duration, one_line, size

REPORT_MARKER = "<!-- a report of intercom-exporter -->"
"""A comment in the first lines of each report; it tells a report from other files."""

_MAX_BARS = 15
_MAX_RANGES = 1_000
_MAX_NAME_CHARACTERS, _MAX_UNBROKEN_CHARACTERS = 80, 24
_PARTS = re.compile(r"[0-9a-f]{16}(?=(?:[0-9a-f]{16})*$)|[^._/:@-]*[._/:@-]+|[^._/:@-]+")
"""The parts of a name, each with its separator; the parts of a digest have sixteen digits each."""


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field in the page's table of fields.

    Attributes:
        name: path of the field, or name of the custom attribute.
        filled: number of contacts in which the field is filled.
        share: share of all contacts, from 0 to 1.
        kinds: the JSON types of its values with their numbers, the most frequent first.
        distinct: the number of different values, as text.
    """

    name: str
    filled: int
    share: float
    kinds: tuple[tuple[str, int], ...]
    distinct: str


def render_report(path: Path, summary: Summary, statistics: Statistics, duplicates: int | None) -> str:
    """Return the HTML of a report.

    Args:
        path: path of the export.
        summary: the summary in its manifest.
        statistics: the statistics of its contacts.
        duplicates: number of contacts with the id of an earlier contact, None if the export has no ids.

    Raises:
        MissingExtraError: the extra ``[report]`` is not installed.
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
    standard, custom = _fields(statistics)
    text: str = environment.from_string(source).render(
        mark=REPORT_MARKER,
        name=one_line(path.name),
        verify=f"intercom-exporter verify {shlex.quote(path.name)}",
        summary=summary,
        took=duration(summary.timeline.ran_s),
        waited=duration(summary.rate_limit_wait_s),
        contacts=statistics.contacts,
        duplicates=duplicates,
        charts=_charts(statistics, summary),
        standard=standard,
        custom=custom,
        drift=[(one_line(path), kind, n) for path, kinds in summary.schema_drift.items() for kind, n in kinds.items()],
    )
    return text


def _breakable(text: str) -> Any:
    """Allow line breaks between the parts of a long name or digest, but not inside a part that fits on a line."""
    from markupsafe import Markup, escape  # noqa: PLC0415 - it comes with an extra

    text = one_line(text)
    return (
        escape(text)
        if len(text) <= _MAX_UNBROKEN_CHARACTERS
        else Markup("<wbr>").join(map(escape, _PARTS.findall(text)))
    )


def template_engine() -> Any:
    """Return jinja2, after a check that all libraries of the report are installed.

    Raises:
        ConfigError: the extra ``[report]`` is not installed.
    """
    with needing("report", "a report needs"):
        import jinja2  # noqa: PLC0415 - it needs an extra

        plotting()
    return jinja2


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its title, and a table of the same data.

    Attributes:
        title: heading above the chart.
        chart: the chart.
        headings: column headings of the table.
        rows: rows of the table.
        note: text below the chart.
    """

    title: str
    chart: charts.Chart
    headings: tuple[str, str]
    rows: Sequence[tuple[str, int]]
    note: str = ""


def _charts(statistics: Statistics, summary: Summary) -> Iterator[Figure]:
    if statistics.contacts:
        roles = _ranked(statistics.roles)
        yield _bars("roles", "Contacts by role", "role", roles)
        yield from _months(statistics)
        countries = _ranked(statistics.countries)
        yield _bars("countries", "Contacts by country", "country", countries)
    timeline = summary.timeline
    if timeline.contacts:
        peak = _peak_rate(timeline)
        caption = f"Contacts per second during the export, {peak}; with marks for retries and rate-limit waits"
        rows = [(f"{index * timeline.slice_s:,.0f} s", count) for index, count in enumerate(timeline.contacts)]
        chart = charts.rate("pace", caption, timeline)
        marked = any(timeline.retries) or any(timeline.waited_s)
        note = "▼ marks where requests were retried or waited for the rate limit." if marked else ""
        yield Figure("Contacts per second", chart, ("from", "contacts"), rows, note)
    if summary.ranges:
        yield _lanes(summary.ranges)


def _lanes(ranges: Sequence[RangeSummary]) -> Figure:
    """Return the chart of an export with several cursors."""
    lanes = max(one.lane for one in ranges)
    caption = f"{len(ranges):,} ranges of creation dates, read by {lanes:,} cursors side by side"
    rows = [(f"{one.number}", one.contacts) for one in sorted(ranges, key=lambda one: one.number)][:_MAX_RANGES]
    note = "Each bar is a range, from its first page to its last; each row is a cursor, which reads one after another."
    return Figure("Ranges by cursor", charts.lanes("lanes", caption, ranges), ("range", "contacts"), rows, note)


def _peak_rate(timeline: Timeline) -> str:
    return f"{max(timeline.contacts) / timeline.slice_s:,.0f} per second at most"


def _bars(name: str, title: str, heading: str, counts: list[tuple[str, int]]) -> Figure:
    caption = f"{title}: " + ", ".join(f"{label} {count:,}" for label, count in counts[:5])
    return Figure(title, charts.bars(name, caption, counts), (heading, "contacts"), counts)


def _ranked(counts: "dict[str, int]") -> list[tuple[str, int]]:
    """Return the largest counts in descending order, then the sum of the others, then the unknown ones."""
    known = sorted(
        ((label, count) for label, count in counts.items() if label not in (UNKNOWN, OTHERS)),
        key=lambda pair: (-pair[1], pair[0]),
    )
    others = sum(count for _, count in known[_MAX_BARS:]) + counts.get(OTHERS, 0)
    last = [(OTHERS, others), (UNKNOWN, counts.get(UNKNOWN, 0))]
    return [(one_line(label), count) for label, count in [*known[:_MAX_BARS], *last] if count]


def _months(statistics: Statistics) -> Iterator[Figure]:
    known = sorted((month, count) for month, count in statistics.months.items() if month != UNKNOWN)
    if not known:
        return
    by_index = [(int(month[:4]) * 12 + int(month[5:]) - 1, count) for month, count in known]
    peak = max(known, key=lambda pair: pair[1])
    caption = f"Contacts by month of creation, {known[0][0]} to {known[-1][0]}; maximum in {peak[0]}: {peak[1]:,}"
    unknown = [(UNKNOWN, count)] if (count := statistics.months.get(UNKNOWN)) else []
    yield Figure(
        "Contacts by month of creation",
        charts.months("months", caption, by_index),
        ("month", "contacts"),
        known + unknown,
    )


def _fields(statistics: Statistics) -> tuple[list[FieldRow], list[FieldRow]]:
    """Return the standard fields in the API's order, and the custom attributes, the most often filled first."""
    standard: list[FieldRow] = []
    custom: list[FieldRow] = []
    for path, field in statistics.fields.items():
        name = path.removeprefix(f"{CUSTOM}.")
        (custom if name != path else standard).append(_row(name, field, statistics.contacts))
    return standard, sorted(custom, key=lambda row: (-row.filled, row.name))


def _row(name: str, field: FieldStatistics, contacts: int) -> FieldRow:
    count = len(field.distinct)
    distinct = f"{MAX_DISTINCT} or more" if count >= MAX_DISTINCT else str(count) if count else "-"
    short_name = name if len(name) <= _MAX_NAME_CHARACTERS else f"{name[:_MAX_NAME_CHARACTERS]}…"
    kinds = tuple(field.kinds.most_common())
    return FieldRow(
        one_line(short_name), field.filled, min(field.filled / contacts, 1.0) if contacts else 0.0, kinds, distinct
    )
