"""Measurements as a table, or as lines of JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Measurement
from benchmarks.rows import REQUESTS, Row

_MB = 1_000_000
_COLUMNS = 120


def line(**members: Any) -> None:
    """Print one line of JSON."""
    print(json.dumps(members), flush=True)


def figures(measurement: Measurement, json_bytes: int) -> dict[str, Any]:
    """Return a measurement with the rates that follow from it."""
    return asdict(measurement) | {
        "contacts_per_s": round(measurement.contacts / measurement.wall_s, 1),
        "json_mb_per_s": round(json_bytes / _MB / measurement.wall_s, 2),
    }


def comparison(rows: Sequence[Row], measurements: Sequence[Measurement], json_bytes: int) -> None:
    """Print one line for each row: the medians of its rounds."""
    contacts = measurements[0].contacts
    table = Table()
    table.add_column("row")
    table.add_column("what")
    for heading in ("seconds", "contacts/s", "MB/s", "peak MB", "vs requests"):
        table.add_column(heading, justify="right")
    walls = {row.name: median(one.wall_s for one in measurements if one.row == row.name) for row in rows}
    for row in rows:
        wall_s, peak = walls[row.name], _peak_mb([one for one in measurements if one.row == row.name])
        ratio = f"{walls[REQUESTS.name] / wall_s:.2f}" if REQUESTS.name in walls else "-"
        speed = f"{contacts / wall_s:,.0f}", f"{json_bytes / _MB / wall_s:,.0f}"
        table.add_row(row.name, row.does, f"{wall_s:.2f}", *speed, f"{peak:.1f}", ratio)
    rounds = len(measurements) // len(rows)
    _print(f"{contacts:,} contacts, {json_bytes / _MB:,.0f} MB of JSON, median of {rounds}", table)


def memory(row: Row, measurements: Sequence[Measurement]) -> None:
    """Print the peak memory at each size."""
    table = Table()
    table.add_column("contacts", justify="right")
    table.add_column("peak MB", justify="right")
    for measurement in measurements:
        table.add_row(f"{measurement.contacts:,}", f"{_peak_mb([measurement]):.1f}")
    _print(f"Peak memory: {row.does}", table)


def _peak_mb(measurements: Sequence[Measurement]) -> float:
    return median(one.peak_rss_bytes for one in measurements) / _MB


def _print(heading: str, table: Table) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:  # rich would take 80 columns for granted and fold the rows
        console.width = _COLUMNS
    console.print(heading, table)
