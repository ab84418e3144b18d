"""Whether a choice of fields can be meant: a name that is misspelled would write empty contacts for hours."""

from collections.abc import Iterator

from exporter.errors import ConfigError
from exporter.formats.columns import CUSTOM, is_subpath
from exporter.formats.schema import BY_PATH
from exporter.formats.selection import FieldSelection


def check_selection(selection: FieldSelection) -> None:
    """Refuse a choice of fields that leaves nothing.

    A field that is not known is no error beside one that is: Intercom adds fields without notice.

    Raises:
        ConfigError: no chosen field can exist, or each of them is dropped.
    """
    if selection.fields and not any(map(_can_exist, selection.fields)):
        names = ", ".join(repr(path) for path in selection.fields)
        raise ConfigError(
            f"fields must name at least one field of a contact, not {names}: intercom-exporter schema lists them "
            "(custom attributes: custom_attributes.NAME); to export a field that is not documented, add id",
            "fields",
        )
    if selection.fields and all(any(is_subpath(path, drop) for drop in selection.drop) for path in selection.fields):
        raise ConfigError("fields and drop name the same fields: nothing would be written", "fields", "drop")


def missing_fields(selection: FieldSelection, matched: frozenset[str]) -> Iterator[str]:
    """Yield the fields that were named and not found."""
    return (path for path in selection.paths if path not in matched)


def _can_exist(path: str) -> bool:
    return path in BY_PATH or path.startswith(f"{CUSTOM}.")
