"""The columns of a table, and their order."""

import pytest

from exporter.formats.columns import columns_of
from exporter.formats.schema import CONTACT_FIELDS
from exporter.formats.selection import EVERY_FIELD, FieldSelection

NAMES = ("plan", "Plan", "a.b")


def test_columns_without_selection_include_every_field() -> None:
    """The fields of the schema come first, in its order; a list is one column; the custom attributes are last."""
    columns = columns_of(EVERY_FIELD, (), NAMES)
    assert columns[:4] == ("type", "id", "workspace_id", "external_id")
    assert columns[-3:] == ("custom_attributes.plan", "custom_attributes.Plan", "custom_attributes.a.b")
    assert {"location.country", "tags.data", "tags.total_count", "avatar.image_url"} <= set(columns)
    assert not {"location", "tags", "tags.data.id", "custom_attributes"} & set(columns)
    scalars = {field.path for field in CONTACT_FIELDS if field.type not in ("object", "list")}
    assert {path for path in scalars if ".data." not in path} <= set(columns)
    assert len(set(columns)) == len(columns)


def test_columns_without_attribute_names_have_one_for_all_attributes() -> None:
    """The column contains all custom attributes."""
    assert columns_of(EVERY_FIELD)[-1] == "custom_attributes"


def test_columns_include_an_expanded_list() -> None:
    """Contacts embed neither their segments nor all of their subscriptions."""
    assert "segments.data" not in columns_of(EVERY_FIELD)
    assert {"segments.data", "segments.total_count"} <= set(columns_of(EVERY_FIELD, ("segments",)))
    assert "tags.data.name" in columns_of(EVERY_FIELD, ("tags",), in_lists=True)
    assert "tags.data.name" not in columns_of(EVERY_FIELD, in_lists=True)


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        (("email", "id"), ("email", "id")),
        (("location.city", "id"), ("location.city", "id")),
        (("avatar",), ("avatar.type", "avatar.image_url")),
        (("custom_attributes",), ("custom_attributes.plan", "custom_attributes.Plan", "custom_attributes.a.b")),
        (("custom_attributes.new",), ("custom_attributes.new",)),
        (("tags.data.id",), ("tags.data",)),
        (("tags.data.id", "tags.data.url"), ("tags.data",)),
        (("no.such",), ("no.such",)),
    ],
)
def test_columns_of_selected_fields_are_in_the_given_order(fields: tuple[str, ...], columns: tuple[str, ...]) -> None:
    """An object selects all of its fields, and a field in a list selects the list."""
    assert columns_of(FieldSelection(fields=fields), (), NAMES) == columns


def test_columns_exclude_dropped_fields() -> None:
    """The fields of a dropped object have no columns either."""
    columns = columns_of(FieldSelection(drop=("location", "custom_attributes.plan", "tags.data.url")), (), NAMES)
    assert not [path for path in columns if path.startswith("location")]
    assert "custom_attributes.plan" not in columns
    assert {"custom_attributes.Plan", "tags.data"} <= set(columns)
    assert not [path for path in columns_of(FieldSelection(drop=("custom_attributes",)), (), NAMES) if "custom" in path]


def test_columns_drop_only_the_attribute_with_the_exact_name() -> None:
    """The name of a custom attribute may contain dots."""
    columns = columns_of(FieldSelection(drop=("custom_attributes.a",)), (), ("a", "a.b"))
    assert columns[-1] == "custom_attributes.a.b"
    assert "custom_attributes.a" not in columns
