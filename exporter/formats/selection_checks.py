"""Whether a choice of fields can be meant: a name that is misspelled would write empty contacts for hours."""

from collections.abc import Iterator

from exporter.errors import ConfigError
from exporter.formats.columns import CUSTOM, is_within
from exporter.formats.schema import BY_PATH
from exporter.formats.selection import Shape


def check_selection(shape: Shape) -> None:
    """Refuse a choice of fields that leaves nothing.

    A field that is not known is no error beside one that is: Intercom adds fields without notice.

    Raises:
        ConfigError: no chosen field can exist, or each of them is dropped.
    """
    if shape.fields and not any(map(_can_exist, shape.fields)):
        names = ", ".join(repr(path) for path in shape.fields)
        raise ConfigError(
            f"fields must name at least one field of a contact, not {names}: intercom-exporter schema lists them "
            "(custom attributes: custom_attributes.NAME); to export a field that is not documented, add id",
            "fields",
        )
    if shape.fields and all(any(is_within(path, drop) for drop in shape.drop) for path in shape.fields):
        raise ConfigError("fields and drop name the same fields: nothing would be written", "fields", "drop")


def lacking(shape: Shape, found: frozenset[str]) -> Iterator[str]:
    """Yield the fields that were named and not found."""
    return (path for path in shape.paths if path not in found)


def _can_exist(path: str) -> bool:
    return path in BY_PATH or path.startswith(f"{CUSTOM}.")
