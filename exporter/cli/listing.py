"""The schema as a table, for people and for grep: a line a field."""

from exporter.schema import FIELDS, Field

_HEADINGS = ("field", "type", "null", "since", "meaning")


def table() -> str:
    """Lay the fields out in columns."""
    rows = [_HEADINGS, *map(_row, FIELDS)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(field: Field) -> tuple[str, ...]:
    meaning = field.meaning if field.documented else f"{field.meaning} (seen, not documented)"
    return field.path, field.type, "yes" if field.nullable else "no", field.since or "?", meaning
