"""A search that looks at every contact, to compare others with."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

ZONES = ("UTC", "America/Los_Angeles", "Europe/Dublin", "Pacific/Apia", "America/Sao_Paulo", "Australia/Lord_Howe")
"""Time zones with different daylight-saving rules, or none."""


def is_match(row: dict[str, Any], query: dict[str, Any], zone: ZoneInfo, precision: str) -> bool:
    """Return whether a contact matches a query; dates are compared as calendar days or as seconds."""
    operator, value = query["operator"], query["value"]
    if operator in ("AND", "OR"):
        results = [is_match(row, one, zone, precision) for one in value]
        return all(results) if operator == "AND" else any(results)
    found = row[query["field"]]
    if query["field"].endswith("_at"):
        if found is None:
            return False
        if precision == "day":
            found, value = (datetime.fromtimestamp(stamp, zone).date() for stamp in (found, int(value)))
    checks: dict[str, Any] = {
        "=": lambda: found == value,
        ">": lambda: found > value,
        "<": lambda: found < value,
        ">=": lambda: found >= value,
        "<=": lambda: found <= value,
        "!=": lambda: found != value,
        "IN": lambda: found in value,
        "NIN": lambda: found not in value,
        "^": lambda: found is not None and found.lower().startswith(value.lower()),
        "$": lambda: found is not None and found.lower().endswith(value.lower()),
        "~": lambda: found is not None and value.lower() in found.lower(),
    }
    return bool(checks[operator]())
