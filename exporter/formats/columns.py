"""The columns of a table: which fields of contacts they are, and in which order."""

from collections.abc import Iterable, Iterator, Sequence

from exporter.formats.schema import Field, fields_with
from exporter.formats.selection import FieldSelection

RAW = "raw"
"""The column of Parquet that has the whole contact."""

CUSTOM = "custom_attributes"
"""The field below which everything is a workspace's own."""


def columns_of(
    selection: FieldSelection,
    lists: Sequence[str] = (),
    attributes: Sequence[str] | None = None,
    *,
    in_lists: bool = False,
) -> tuple[str, ...]:
    """Give the paths of a table's columns.

    Without chosen fields they are those of the schema, in its order, and then
    the custom attributes. A chosen object stands for everything in it.

    Args:
        selection: which fields are written.
        lists: those that are completed.
        attributes: the names of the custom attributes; all of them are in one column where there are none.
        in_lists: whether what is in the items of lists has columns of its own; else a list is one.
    """
    fields = fields_with(lists)
    own = [f"{CUSTOM}.{name}" for name in attributes] if attributes else [CUSTOM]
    if selection.fields:
        found = [path for chosen in selection.fields for path in _columns_for(chosen, fields, own, in_lists=in_lists)]
    else:
        found = [*(path for path in _leaves(fields, in_lists=in_lists) if path != CUSTOM), *own]
    kept = [path for path in dict.fromkeys(found) if not any(_is_dropped(path, drop) for drop in selection.drop)]
    return tuple(path for path in kept if not any(_is_covered_by(path, other) for other in kept))


def is_subpath(path: str, other: str) -> bool:
    """Whether a field is another one, or a part of it."""
    return path == other or path.startswith(f"{other}.")


def _is_covered_by(path: str, other: str) -> bool:
    """Whether a column is a part of another one; of custom attributes only all of them together have parts."""
    if path.startswith(f"{CUSTOM}."):
        return other == CUSTOM
    return path != other and is_subpath(path, other)


def _is_dropped(path: str, drop: str) -> bool:
    """Whether a column goes with a field that is dropped: the name of a custom attribute is no path."""
    if path.startswith(f"{CUSTOM}."):
        return drop in (path, CUSTOM)
    return is_subpath(path, drop)


def _leaves(fields: Iterable[Field], *, in_lists: bool) -> Iterator[str]:
    """Give the fields that have values, not fields, in the order of the schema."""
    fields = tuple(fields)
    lists = [field.path for field in fields if field.type == "list"]
    parents = {field.parent for field in fields}
    for field in fields:
        if any(field.path.startswith(f"{path}.") for path in lists) and not in_lists:
            continue
        if field.path not in parents or (field.type == "list" and not in_lists):
            yield field.path


def _columns_for(chosen: str, fields: Sequence[Field], custom: Sequence[str], *, in_lists: bool) -> Iterator[str]:
    """Give the columns that a chosen path means."""
    if chosen == CUSTOM:
        yield from custom
        return
    within = [path for path in _leaves(fields, in_lists=in_lists) if is_subpath(path, chosen)]
    around = [field.path for field in fields if field.type == "list" and is_subpath(chosen, field.path)]
    yield from within or (around if around and not in_lists else [chosen])
