"""Which columns a table has, and in which order."""

import pytest

from exporter.formats.columns import columns_of
from exporter.formats.schema import CONTACT_FIELDS
from exporter.formats.selection import EVERY_FIELD, FieldSelection

NAMES = ("plan", "Plan", "a.b")


def test_without_a_choice_every_field_has_a_column() -> None:
    """Those of the schema in its order, a list as one, and the custom attributes last."""
    columns = columns_of(EVERY_FIELD, (), NAMES)
    assert columns[:4] == ("type", "id", "workspace_id", "external_id")
    assert columns[-3:] == ("custom_attributes.plan", "custom_attributes.Plan", "custom_attributes.a.b")
    assert {"location.country", "tags.data", "tags.total_count", "avatar.image_url"} <= set(columns)
    assert not {"location", "tags", "tags.data.id", "custom_attributes"} & set(columns)
    scalars = {field.path for field in CONTACT_FIELDS if field.type not in ("object", "list")}
    assert {path for path in scalars if ".data." not in path} <= set(columns)
    assert len(set(columns)) == len(columns)


def test_names_that_nobody_tells_have_one_column() -> None:
    """All custom attributes together."""
    assert columns_of(EVERY_FIELD)[-1] == "custom_attributes"


def test_a_completed_list_has_a_column() -> None:
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
def test_chosen_fields_are_the_columns(fields: tuple[str, ...], columns: tuple[str, ...]) -> None:
    """In the order given; an object means all that is in it, and something in a list that list."""
    assert columns_of(FieldSelection(fields=fields), (), NAMES) == columns


def test_what_is_dropped_has_no_column() -> None:
    """Neither has what is in it."""
    columns = columns_of(FieldSelection(drop=("location", "custom_attributes.plan", "tags.data.url")), (), NAMES)
    assert not [path for path in columns if path.startswith("location")]
    assert "custom_attributes.plan" not in columns
    assert {"custom_attributes.Plan", "tags.data"} <= set(columns)
    assert not [path for path in columns_of(FieldSelection(drop=("custom_attributes",)), (), NAMES) if "custom" in path]


def test_a_custom_attribute_is_no_part_of_another_one() -> None:
    """Though its name has dots: dropped is what is called so."""
    columns = columns_of(FieldSelection(drop=("custom_attributes.a",)), (), ("a", "a.b"))
    assert columns[-1] == "custom_attributes.a.b"
    assert "custom_attributes.a" not in columns
