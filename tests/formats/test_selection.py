"""Field selection: which fields of a contact are written, and how; unchanged values keep their bytes."""

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


def selected(selection: FieldSelection, record: bytes = CONTACT) -> bytes:
    """Apply a selection to a contact."""
    return selection.apply(record, set())


def pseudonym(value: bytes) -> str:
    """Return the expected pseudonym."""
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
def test_selected_fields_are_in_the_given_order(fields: tuple[str, ...], expected: bytes) -> None:
    """Values keep their bytes, and the fields of one object stay together."""
    assert selected(FieldSelection(fields=fields)) == expected


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
def test_drop_leaves_all_other_bytes_unchanged(drop: tuple[str, ...], gone: bytes) -> None:
    """Only the dropped fields are missing."""
    assert selected(FieldSelection(drop=drop)) == CONTACT.replace(gone, b"", 1)


def test_drop_applies_to_each_item_of_a_list() -> None:
    """A path into a list selects a field of each item."""
    dropped = json.loads(selected(FieldSelection(drop=("tags.data.url",))))
    assert dropped["tags"] == {"data": [{"id": "7"}, {"id": "8"}], "has_more": False}


def test_drop_of_every_field_leaves_an_empty_object() -> None:
    """The same is true for the fields of an object in a contact."""
    assert selected(FieldSelection(drop=tuple(json.loads(CONTACT)))) == b"{}"
    assert selected(FieldSelection(drop=("location.type", "location.country", "location.city", "email"))).count(
        b'"location":{}'
    )


def test_pseudonym_is_the_hmac_of_the_decoded_text() -> None:
    """Null stays null, and the pseudonym of a number is that of its digits."""
    found = json.loads(selected(FieldSelection(pseudonymise=("email", "phone", "owner_id"), key=KEY)))
    assert found["email"] == pseudonym(b"joe@example.com")
    assert found["phone"] is None
    assert found["owner_id"] == pseudonym(b"123456789012345678901234567890")


def test_pseudonymise_leaves_all_other_bytes_unchanged() -> None:
    """Only the named value changes."""
    expected = CONTACT.replace(b"j\\u006fe@example.com", pseudonym(b"joe@example.com").encode())
    assert selected(FieldSelection(pseudonymise=("email",), key=KEY)) == expected


def test_pseudonymise_applies_to_each_value_below_a_field() -> None:
    """The field may be an object or a list."""
    found = json.loads(selected(FieldSelection(pseudonymise=("location", "tags.data"), key=KEY)))
    assert found["location"] == {"type": pseudonym(b"location"), "country": pseudonym(b"Ireland"), "city": None}
    assert found["tags"]["data"][1] == {"id": pseudonym(b"8"), "url": pseudonym(b"/y")}


def test_selection_combines_fields_drop_and_pseudonymise() -> None:
    """A pseudonym can be selected, and a dropped field cannot."""
    selection = FieldSelection(
        fields=("id", "email", "location"), drop=("location.city",), pseudonymise=("email",), key=KEY
    )
    assert json.loads(selected(selection)) == {
        "id": "1",
        "email": pseudonym(b"joe@example.com"),
        "location": {"type": "location", "country": "Ireland"},
    }


def test_selection_reports_the_matched_paths() -> None:
    """It reports each path as the caller spelled it."""
    matched_paths: set[str] = set()
    selection = FieldSelection(
        fields=("id", "location.country", "no", "tags.data.id"),
        drop=("custom_attributes.a.b", "location.no"),
        pseudonymise=("email", "phone.no"),
        key=KEY,
    )
    selection.apply(CONTACT, matched_paths)
    assert matched_paths == {"id", "location.country", "tags.data.id", "custom_attributes.a.b", "email"}
    assert set(selection.paths) - matched_paths == {"no", "location.no", "phone.no"}


def test_selection_applies_to_all_duplicate_keys() -> None:
    """A duplicate key does not protect the second value."""
    record = b'{"email":"a","id":"1","email":"b"}'
    assert selected(FieldSelection(drop=("email",)), record) == b'{"id":"1"}'
    assert selected(FieldSelection(fields=("email",)), record) == b'{"email":"a","email":"b"}'
    assert b'"b"' not in selected(FieldSelection(pseudonymise=("email",), key=KEY), record)


def test_pseudonymise_accepts_a_lone_surrogate() -> None:
    """It is not valid UTF-8, but its code point is encoded like any other."""
    record = b'{"id":"1","name":"\\ud800"}'
    assert json.loads(selected(FieldSelection(pseudonymise=("name",), key=KEY), record))["name"] == pseudonym(
        b"\xed\xa0\x80"
    )


def test_empty_selection_is_false_and_returns_the_same_contact() -> None:
    """Without a selection, a contact is written as it was sent."""
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
def test_selection_with_invalid_arguments_is_refused(arguments: Any) -> None:
    """Empty and duplicate paths, and pseudonyms without a long enough key, are errors."""
    with pytest.raises(ConfigError):
        FieldSelection(**arguments)


def test_selection_hides_its_key_and_key_check_identifies_it() -> None:
    """Neither repr() nor key_check contains the key, and key_check depends on nothing but the key."""
    selection = FieldSelection(pseudonymise=("email",), key=KEY)
    other = FieldSelection(pseudonymise=("email",), key=KEY + b"!")
    assert KEY.decode() not in repr(selection)
    assert KEY.hex() not in str(selection.key_check)
    assert KEY.decode() not in str(selection.key_check)
    assert selection.key_check != other.key_check
    assert selection.key_check == FieldSelection(pseudonymise=("phone",), key=KEY).key_check


PATHS = [
    *("id", "email", "phone", "name", "location.country", "location", "tags.data.id", "tags", "avatar.image_url"),
    *("custom_attributes", "custom_attributes.NPS", "owner_id", "nowhere", "social_profiles.data.name"),
]
some_paths = st.lists(st.sampled_from(PATHS), unique=True, max_size=5).map(tuple)


@given(some_paths, some_paths, some_paths, st.integers(0, 1199))
def test_selection_of_sandbox_contacts_keeps_unselected_values(
    fields: tuple[str, ...], drop: tuple[str, ...], pseudonymise: tuple[str, ...], number: int
) -> None:
    """The result is JSON, for hostile contacts too, and top-level values that no path matches stay equal."""
    record = Workspace(1_200, hostile=True).record(number)
    selection = FieldSelection(fields=fields, drop=drop, pseudonymise=pseudonymise, key=KEY)
    written = selected(selection, record)
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
