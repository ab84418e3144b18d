"""The command `schema`."""

from typing import Literal

from exporter.cli import exits


def schema(
    *,
    of: Literal["contacts", "events"] = "contacts",
    format: Literal["table", "json-schema"] | None = None,  # noqa: A002 - the option's name
) -> int:
    """Print every field that is known of a contact.

    Exports do not depend on it: what a contact has besides is written all the same.

    Parameters
    ----------
    of
        The fields of contacts; or the events of --progress json, always as JSON Schema.
    format
        A table to read (of contacts; the default), or JSON Schema.
    """
    from exporter.cli.listing import shown

    print(shown(of, format))  # noqa: T201
    return exits.COMPLETE
