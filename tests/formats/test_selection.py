"""Shapes: which fields of a contact are written, and how; what is not changed keeps its bytes."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import ConfigError, FieldSelection
from exporter.formats.selection import EVERY_FIELD
from exporter.sandbox.contacts import Workspace

KEY = b"sixteen bytes or more"
CONTACT = (
    b'{"id":"1","email":"j\\u006fe@example.com","phone":null,"owner_id":123456789012345678901234567890,'
    b'"location":{"type":"location","country":"Ireland","city":null},'
    b'"tags":{"data":[{"id":"7","url":"/x"},{"id":"8","url":"/y"}],"has_more":false},'
    b'"custom_attributes":{"plan":"pro","a.b":1.10,"a":{"b":2,"c":3},"MRR":1E5}}'
)


def shaped(selection: FieldSelection, record: bytes = CONTACT) -> bytes:
    """Shape a contact."""
    return selection.apply(record, set())


def pseudonym(value: bytes) -> str:
    """Say what a pseudonym is."""
    return hmac.new(KEY, value, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("id",), b'{"id":"1"}'),
        (("email", "id"), b'{"email":"j\\u006fe@example.com","id":"1"}'),
        (("phone", "owner_id"), b'{"phone":null,"owner_id":123456789012345678901234567890}'),
        (("location.country", "id"), b'{"location":{"country":"Ireland"},"id":"1"}'),
        (
            ("location.city", "id", "location.country"),
            b'{"location":{"city":null,"country":"Ireland"},"id":"1"}',
        ),
        (("location.city", "location"), b'{"location":{"type":"location","country":"Ireland","city":null}}'),
        (("tags.data.id",), b'{"tags":{"data":[{"id":"7"},{"id":"8"}]}}'),
        (("custom_attributes.MRR", "custom_attributes.a.b"), b'{"custom_attributes":{"MRR":1E5,"a.b":1.10}}'),
        (("custom_attributes.a.c",), b'{"custom_attributes":{"a":{"c":3}}}'),
        (("nowhere", "phone.country", "location.nowhere"), b"{}"),
    ],
)
def test_chosen_fields_come_in_the_order_given(fields: tuple[str, ...], expected: bytes) -> None:
    """Their values keep their bytes, and those of one object stay together."""
    assert shaped(FieldSelection(fields=fields)) == expected


@pytest.mark.parametrize(
    ("drop", "gone"),
    [
        (("id",), b'"id":"1",'),
        (("custom_attributes",), CONTACT[CONTACT.index(b',"custom_attributes"') : -1]),
        (("location.country",), b'"country":"Ireland",'),
        (("custom_attributes.a.b",), b'"a.b":1.10,'),
        (("custom_attributes.MRR",), b',"MRR":1E5'),
        (("nowhere", "location.nowhere", "phone.x"), b""),
    ],
)
def test_dropped_fields_leave_all_else_as_it_is(drop: tuple[str, ...], gone: bytes) -> None:
    """The rest of the contact is what it was, to the byte."""
    assert shaped(FieldSelection(drop=drop)) == CONTACT.replace(gone, b"", 1)


def test_fields_of_each_item_of_a_list_are_dropped() -> None:
    """A path that leads into a list means each of its items."""
    dropped = json.loads(shaped(FieldSelection(drop=("tags.data.url",))))
    assert dropped["tags"] == {"data": [{"id": "7"}, {"id": "8"}], "has_more": False}


def test_everything_can_be_dropped() -> None:
    """What is left is an object."""
    assert shaped(FieldSelection(drop=tuple(json.loads(CONTACT)))) == b"{}"
    assert shaped(FieldSelection(drop=("location.type", "location.country", "location.city", "email"))).count(
        b'"location":{}'
    )


def test_pseudonyms_are_the_hmac_of_the_text() -> None:
    """Of the text, however it was spelled; null stays null, a number's is that of its digits."""
    found = json.loads(shaped(FieldSelection(pseudonymise=("email", "phone", "owner_id"), key=KEY)))
    assert found["email"] == pseudonym(b"joe@example.com")
    assert found["phone"] is None
    assert found["owner_id"] == pseudonym(b"123456789012345678901234567890")


def test_pseudonyms_leave_all_else_as_it_is() -> None:
    """Only the value named is another one."""
    expected = CONTACT.replace(b"j\\u006fe@example.com", pseudonym(b"joe@example.com").encode())
    assert shaped(FieldSelection(pseudonymise=("email",), key=KEY)) == expected


def test_each_value_below_a_field_gets_a_pseudonym() -> None:
    """In objects and in lists."""
    found = json.loads(shaped(FieldSelection(pseudonymise=("location", "tags.data"), key=KEY)))
    assert found["location"] == {"type": pseudonym(b"location"), "country": pseudonym(b"Ireland"), "city": None}
    assert found["tags"]["data"][1] == {"id": pseudonym(b"8"), "url": pseudonym(b"/y")}


def test_all_three_together() -> None:
    """A pseudonym can be chosen, and what is dropped is not."""
    selection = FieldSelection(
        fields=("id", "email", "location"), drop=("location.city",), pseudonymise=("email",), key=KEY
    )
    assert json.loads(shaped(selection)) == {
        "id": "1",
        "email": pseudonym(b"joe@example.com"),
        "location": {"type": "location", "country": "Ireland"},
    }


def test_paths_that_led_somewhere_are_told() -> None:
    """Each by the name it was given."""
    found: set[str] = set()
    selection = FieldSelection(
        fields=("id", "location.country", "no", "tags.data.id"),
        drop=("custom_attributes.a.b", "location.no"),
        pseudonymise=("email", "phone.no"),
        key=KEY,
    )
    selection.apply(CONTACT, found)
    assert found == {"id", "location.country", "tags.data.id", "custom_attributes.a.b", "email"}
    assert set(selection.paths) - found == {"no", "location.no", "phone.no"}


def test_repeated_keys_are_all_meant() -> None:
    """A name that comes twice does not save the second value from being dropped."""
    record = b'{"email":"a","id":"1","email":"b"}'
    assert shaped(FieldSelection(drop=("email",)), record) == b'{"id":"1"}'
    assert shaped(FieldSelection(fields=("email",)), record) == b'{"email":"a","email":"b"}'
    assert b'"b"' not in shaped(FieldSelection(pseudonymise=("email",), key=KEY), record)


def test_a_lone_surrogate_gets_a_pseudonym_too() -> None:
    """It is no UTF-8, but its code point can be written as if it were."""
    record = b'{"id":"1","name":"\\ud800"}'
    assert json.loads(shaped(FieldSelection(pseudonymise=("name",), key=KEY), record))["name"] == pseudonym(
        b"\xed\xa0\x80"
    )


def test_no_shape_is_false() -> None:
    """As it was sent."""
    assert not EVERY_FIELD
    assert EVERY_FIELD.apply(CONTACT, set()) is CONTACT
    assert EVERY_FIELD.key_check is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"fields": ("",)},
        {"fields": (".id",)},
        {"drop": ("id.",)},
        {"drop": ("id", "id")},
        {"pseudonymise": ("email",)},
        {"pseudonymise": ("email",), "key": b"fifteen bytes.."},
    ],
)
def test_nonsense_is_refused(arguments: Any) -> None:
    """Empty and repeated paths, and pseudonyms without a key."""
    with pytest.raises(ConfigError):
        FieldSelection(**arguments)


def test_the_key_shows_nowhere() -> None:
    """Neither in what is printed nor in what tells keys apart."""
    selection = FieldSelection(pseudonymise=("email",), key=KEY)
    other = FieldSelection(pseudonymise=("email",), key=KEY + b"!")
    assert KEY.decode() not in repr(selection)
    assert selection.key_check != other.key_check
    assert selection.key_check == FieldSelection(pseudonymise=("phone",), key=KEY).key_check


PATHS = [
    *("id", "email", "phone", "name", "location.country", "location", "tags.data.id", "tags", "avatar.image_url"),
    *("custom_attributes", "custom_attributes.NPS", "owner_id", "nowhere", "social_profiles.data.name"),
]
some_paths = st.lists(st.sampled_from(PATHS), unique=True, max_size=5).map(tuple)


@given(some_paths, some_paths, some_paths, st.integers(0, 1199))
def test_shapes_of_real_contacts(
    fields: tuple[str, ...], drop: tuple[str, ...], pseudonymise: tuple[str, ...], number: int
) -> None:
    """Top-level values that no path touches keep their bytes; what is written is JSON, hostile contacts included."""
    record = Workspace(1_200, hostile=True).record(number)
    selection = FieldSelection(fields=fields, drop=drop, pseudonymise=pseudonymise, key=KEY)
    written = shaped(selection, record)
    found, before = json.loads(written), json.loads(record)
    touched = {path.partition(".")[0] for path in selection.paths}
    if not fields:
        assert [key for key in found if key not in touched] == [key for key in before if key not in touched]
        assert {key: value for key, value in found.items() if key not in touched} == {
            key: value for key, value in before.items() if key not in touched
        }
    else:
        heads = dict.fromkeys(path.partition(".")[0] for path in fields)
        assert list(found) == [head for head in heads if head in found]
    for path in drop:
        assert "." in path or path not in found
    for path in set(pseudonymise) - set(drop):
        if path in found and isinstance(before[path], str):
            assert found[path] == pseudonym(before[path].encode("utf-8", "surrogatepass"))
