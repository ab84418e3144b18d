"""The command `schema`: prints the known fields of a contact, as a table or as JSON Schema, or the schema of events."""

from typing import TYPE_CHECKING, Literal

from exporter.cli.exit_codes import COMPLETE
from exporter.errors import ConfigError

if TYPE_CHECKING:
    from exporter.formats.schema import Field

_HEADINGS = ("field", "type", "null", "since", "meaning")


def schema(
    *,
    of: Literal["contacts", "events"] = "contacts",
    format: Literal["table", "json-schema"] | None = None,  # noqa: A002 - the option's name
) -> int:
    """Print the known contact fields.

    Exports do not depend on it: unknown fields are exported too.

    Parameters
    ----------
    of
        The fields of contacts; or the events of --progress json, always as JSON Schema.
    format
        A table to read (of contacts; the default), or JSON Schema.
    """
    print(_events_schema(format) if of == "events" else _contacts_schema(format))  # noqa: T201
    return COMPLETE


def _events_schema(output_format: str | None) -> str:
    if output_format == "table":
        raise ConfigError("--format table is for contacts: events are shown as JSON Schema")
    from exporter.cli.progress.json_events import events_schema

    return events_schema()


def _contacts_schema(output_format: str | None) -> str:
    import orjson

    from exporter.formats.schema import CONTACT_FIELDS, json_schema

    if output_format == "json-schema":
        return orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode()
    rows = [_HEADINGS, *map(_row, CONTACT_FIELDS)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(field: "Field") -> tuple[str, ...]:
    meaning = field.meaning if field.documented else f"{field.meaning} (seen, not documented)"
    return field.path, field.type, "yes" if field.nullable else "no", field.since_version or "?", meaning
