"""The contact schema: complete, and consistent with the sandbox."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.formats.schema import CONTACT_FIELDS, Field, json_schema
from exporter.sandbox.contacts import Workspace

BY_PATH = {field.path: field for field in CONTACT_FIELDS}
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "timestamp": int,
    "object": dict,
    "list": list,
}
FREE_FORM_FIELD = "custom_attributes"


def test_schema_has_every_field_once() -> None:
    """Forty-five of them are documented fields of the contact itself."""
    assert len(BY_PATH) == len(CONTACT_FIELDS)
    assert sum(field.documented and not field.parent for field in CONTACT_FIELDS) == 45
    assert all(field.meaning for field in CONTACT_FIELDS)


def test_schema_parent_of_a_field_is_an_object_or_a_list() -> None:
    """A field belongs to an object, or to the items of a list."""
    for field in CONTACT_FIELDS:
        assert not field.parent or BY_PATH[field.parent].type in ("object", "list")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the paths in a contact and their values, except those below its custom attributes."""
    if isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    elif isinstance(value, dict) and path != FREE_FORM_FIELD:
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            yield below, inner
            yield from leaves(inner, below)


def fits(field: Field, value: Any) -> bool:
    """Return whether a value has the type that the schema says."""
    if value is None:
        return field.nullable
    if field.path == "owner_id" and isinstance(value, str):  # observed, as the meaning of the field says
        return True
    return isinstance(value, TYPES[field.type]) and (field.type == "boolean") == isinstance(value, bool)


def test_schema_matches_the_contacts_of_the_sandbox() -> None:
    """Each field of an ordinary contact is known, and has the documented type."""
    seen = set()
    for record in Workspace(1_000, hostile=False).records(0, 1_000):
        for path, value in leaves(json.loads(record)):
            assert path in BY_PATH, path
            assert fits(BY_PATH[path], value), (path, value)
            seen.add(path)
    assert {path for path, field in BY_PATH.items() if field.documented} <= seen


def test_json_schema_has_every_field() -> None:
    """Fields are nested as they are in contacts."""

    def paths(schema: dict[str, Any], before: str = "") -> Iterator[str]:
        for name, inner in schema.get("properties", {}).items():
            yield f"{before}{name}"
            yield from paths(inner.get("items", inner), f"{before}{name}.")

    assert sorted(paths(json_schema())) == sorted(BY_PATH)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("created_at", {"type": "integer", "format": "unix-time"}),
        ("phone", {"type": ["string", "null"]}),
        ("id", {"type": "string"}),
    ],
)
def test_json_schema_has_the_types_of_fields(path: str, expected: dict[str, Any]) -> None:
    """Null is a type where it is allowed, and times are numbers."""
    found = json_schema()["properties"][path]
    del found["description"]
    assert found == expected


def test_schema_command_prints_a_table_or_json_schema(command: Any) -> None:
    """The table has one line for each field; an unknown format is refused."""
    shown = command.run("schema")
    assert shown.returncode == 0
    assert [line.split()[0] for line in shown.stdout.decode().splitlines()[1:]] == [
        field.path for field in CONTACT_FIELDS
    ]
    assert json.loads(command.run("schema", "--format", "json-schema").stdout) == json_schema()
    assert command.run("schema", "--format", "xml").returncode == 2
