"""Schemas, printed: as a table for people and for grep, a line a field, or as JSON Schema."""

import orjson

from exporter.cli.telling import events_schema
from exporter.errors import ConfigError
from exporter.formats.schema import CONTACT_FIELDS, Field, json_schema

_HEADINGS = ("field", "type", "null", "since", "meaning")


def shown(of: str, form: str | None) -> str:
    """Give what `schema` prints.

    Args:
        of: ``contacts`` or ``events``.
        form: of contacts, ``table``, which None means too, or ``json-schema``.

    Raises:
        ConfigError: events are to be a table.
    """
    if of == "events":
        if form == "table":
            raise ConfigError("--format table is for contacts: events are shown as JSON Schema")
        return events_schema()
    return table() if form in (None, "table") else orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode()


def table() -> str:
    """Lay the fields out in columns."""
    rows = [_HEADINGS, *map(_row, CONTACT_FIELDS)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(field: Field) -> tuple[str, ...]:
    meaning = field.meaning if field.documented else f"{field.meaning} (seen, not documented)"
    return field.path, field.type, "yes" if field.nullable else "no", field.since_version or "?", meaning
