"""The columns of a table: the paths of contact fields, in order."""

from collections.abc import Iterable, Iterator, Sequence

from exporter.formats.schema import Field, fields_with
from exporter.formats.selection import FieldSelection

RAW = "raw"
"""The Parquet column that holds the complete contact."""

CUSTOM = "custom_attributes"
"""The field that holds the custom attributes of a workspace."""


def columns_of(
    selection: FieldSelection,
    lists: Sequence[str] = (),
    attributes: Sequence[str] | None = None,
    *,
    in_lists: bool = False,
) -> tuple[str, ...]:
    """Return the paths of a table's columns.

    Without selected fields the columns are the fields of the schema, in its
    order, followed by the custom attributes. A selected object stands for all
    of its members.

    Args:
        selection: the fields that are written.
        lists: names of the expanded lists.
        attributes: names of the custom attributes; without names, one column holds all custom attributes.
        in_lists: whether each member of a list's items gets its own column; otherwise one column holds the list.
    """
    fields = fields_with(lists)
    custom = [f"{CUSTOM}.{name}" for name in attributes] if attributes else [CUSTOM]
    if selection.fields:
        paths = [path for field in selection.fields for path in _columns_for(field, fields, custom, in_lists=in_lists)]
    else:
        paths = [*(path for path in _leaves(fields, in_lists=in_lists) if path != CUSTOM), *custom]
    kept = [path for path in dict.fromkeys(paths) if not any(_is_dropped(path, drop) for drop in selection.drop)]
    return tuple(path for path in kept if not any(_is_covered_by(path, other) for other in kept))


def is_subpath(path: str, other: str) -> bool:
    """Return whether a path is the same as another path, or lies below it."""
    return path == other or path.startswith(f"{other}.")


def _is_covered_by(path: str, other: str) -> bool:
    """Return whether another column already includes a column.

    The name of a custom attribute is not a path, even if it has dots: only the
    column of all custom attributes includes it.
    """
    if path.startswith(f"{CUSTOM}."):
        return other == CUSTOM
    return path != other and is_subpath(path, other)


def _is_dropped(path: str, drop: str) -> bool:
    """Return whether dropping a field drops a column. The name of a custom attribute is not a path."""
    if path.startswith(f"{CUSTOM}."):
        return drop in (path, CUSTOM)
    return is_subpath(path, drop)


def _leaves(fields: Iterable[Field], *, in_lists: bool) -> Iterator[str]:
    """Yield the paths of fields that have no fields below them, in the order of the schema."""
    fields = tuple(fields)
    lists = [field.path for field in fields if field.type == "list"]
    parents = {field.parent for field in fields}
    for field in fields:
        if any(field.path.startswith(f"{path}.") for path in lists) and not in_lists:
            continue
        if field.path not in parents or (field.type == "list" and not in_lists):
            yield field.path


def _columns_for(selected: str, fields: Sequence[Field], custom: Sequence[str], *, in_lists: bool) -> Iterator[str]:
    """Yield the columns of one selected path."""
    if selected == CUSTOM:
        yield from custom
        return
    below = [path for path in _leaves(fields, in_lists=in_lists) if is_subpath(path, selected)]
    enclosing = [field.path for field in fields if field.type == "list" and is_subpath(selected, field.path)]
    yield from below or (enclosing if enclosing and not in_lists else [selected])
