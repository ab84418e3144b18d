"""Checks of a field selection: with a misspelled name, an export could write empty contacts for hours."""

from collections.abc import Iterator

from exporter.errors import ConfigError
from exporter.formats.columns import CUSTOM, is_subpath
from exporter.formats.schema import BY_PATH
from exporter.formats.selection import FieldSelection


def check_selection(selection: FieldSelection) -> None:
    """Refuse a field selection that leaves no fields.

    An unknown field next to a known one is no error: Intercom adds fields without notice.

    Raises:
        ConfigError: no selected field can exist, or every selected field is also dropped.
    """
    if selection.fields and not any(map(_can_exist, selection.fields)):
        names = ", ".join(repr(path) for path in selection.fields)
        raise ConfigError(
            f"fields must name at least one field of a contact, not {names}: intercom-exporter schema lists them "
            "(custom attributes: custom_attributes.NAME); to export an undocumented field, also name id",
            "fields",
        )
    if selection.fields and all(any(is_subpath(path, drop) for drop in selection.drop) for path in selection.fields):
        raise ConfigError("fields and drop name the same fields: nothing would be written", "fields", "drop")


def missing_fields(selection: FieldSelection, matched: frozenset[str]) -> Iterator[str]:
    """Yield the named fields that no contact had."""
    return (path for path in selection.paths if path not in matched)


def _can_exist(path: str) -> bool:
    return path in BY_PATH or path.startswith(f"{CUSTOM}.")
