"""The schema: complete, and true of what the sandbox serves."""

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
FREE = "custom_attributes"


def test_every_field_is_there_once() -> None:
    """Forty-five of them are documented ones of the contact itself."""
    assert len(BY_PATH) == len(CONTACT_FIELDS)
    assert sum(field.documented and not field.parent for field in CONTACT_FIELDS) == 45
    assert all(field.meaning for field in CONTACT_FIELDS)


def test_every_field_lies_in_one_that_can_hold_it() -> None:
    """In an object, or in the items of a list."""
    for field in CONTACT_FIELDS:
        assert not field.parent or BY_PATH[field.parent].type in ("object", "list")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give the paths in a contact and what is there; not below its custom attributes."""
    if isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    elif isinstance(value, dict) and path != FREE:
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            yield below, inner
            yield from leaves(inner, below)


def fits(field: Field, value: Any) -> bool:
    """Whether a value is what the schema says."""
    if value is None:
        return field.nullable
    if field.path == "owner_id" and isinstance(value, str):  # seen, as its meaning says
        return True
    return isinstance(value, TYPES[field.type]) and (field.type == "boolean") == isinstance(value, bool)


def test_contacts_of_the_sandbox_fit() -> None:
    """Each field of an ordinary one is known, and of the type that is said."""
    met = set()
    for record in Workspace(1_000, hostile=False).records(0, 1_000):
        for path, value in leaves(json.loads(record)):
            assert path in BY_PATH, path
            assert fits(BY_PATH[path], value), (path, value)
            met.add(path)
    assert {path for path, field in BY_PATH.items() if field.documented} <= met


def test_the_json_schema_has_every_field() -> None:
    """Nested as contacts are."""

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
def test_the_json_schema_says_types(path: str, expected: dict[str, Any]) -> None:
    """Null where it may be, and times as numbers."""
    found = json_schema()["properties"][path]
    del found["description"]
    assert found == expected


def test_the_command_prints_it(command: Any) -> None:
    """As a table with a line for each field, or as JSON Schema."""
    shown = command.run("schema")
    assert shown.returncode == 0
    assert [line.split()[0] for line in shown.stdout.decode().splitlines()[1:]] == [
        field.path for field in CONTACT_FIELDS
    ]
    assert json.loads(command.run("schema", "--format", "json-schema").stdout) == json_schema()
    assert command.run("schema", "--format", "xml").returncode == 2
