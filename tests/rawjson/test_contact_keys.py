"""Keys that identify contacts by their ids."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.rawjson.contact_keys import KEY_BYTES, page_keys
from exporter.sandbox.contacts import Workspace

HEX = "0123456789abcdef01234567"


def contact(contact_id: object, **more: object) -> bytes:
    """Return a contact in Intercom's spelling."""
    return json.dumps({"type": "contact", "id": contact_id, **more}, separators=(",", ":")).encode()


def keys_of(*records: bytes) -> list[bytes]:
    """Return the key of each record, computed one at a time; it is empty if there is none."""
    return [page_keys([record]) for record in records]


def test_page_keys_of_usual_contacts_are_their_ids() -> None:
    """24 hexadecimal digits are a key of twelve bytes, in the order of the page."""
    workspace = Workspace(2_000)
    expected = b"".join(bytes.fromhex(workspace.id_of(index)) for index in range(2_000))
    assert page_keys(workspace.records(0, 2_000)) == expected


def test_page_keys_with_one_unusual_contact_keep_those_of_the_others() -> None:
    """A contact with another spelling changes no other contact's key."""
    records = [contact(HEX), b'{"id" : "' + HEX.encode() + b'","type":"contact"}', contact("someone"), contact(HEX)]
    keys = page_keys(records)
    assert len(keys) == 4 * KEY_BYTES
    assert keys == b"".join(keys_of(*records))
    assert keys[:KEY_BYTES] == keys[KEY_BYTES : 2 * KEY_BYTES] == keys[-KEY_BYTES:] == bytes.fromhex(HEX)


@pytest.mark.parametrize(
    "record",
    [
        contact(HEX.upper()),
        contact(HEX[:-1]),
        contact(HEX + "0"),
        contact(" " * 24),
        contact(HEX[:22] + "  "),
        contact(HEX[:22] + " 0"),
        contact(17),
        contact("17a"),
        contact("é"),
        b'{"type":"contact","id":"\\ud800"}',
        b'{"type":"contact","id":"0\\u0031"}',
    ],
)
def test_page_keys_of_unusual_ids_differ_from_all_others(record: bytes) -> None:
    """Each unusual id has its own key."""
    key = page_keys([record])
    others = keys_of(contact(HEX), contact("a"), contact(" " * 23), contact(HEX[:22]), contact(HEX[:23] + "f"))
    assert len(key) == KEY_BYTES
    assert key not in others


def test_page_keys_of_a_contact_with_two_ids_do_not_depend_on_its_page() -> None:
    """The id at the usual position counts, whatever follows it, and on any page."""
    two_ids = contact(HEX)[:-1] + b',"id":"another"}'
    assert keys_of(two_ids) == [bytes.fromhex(HEX)]
    assert page_keys([contact("someone"), two_ids])[KEY_BYTES:] == bytes.fromhex(HEX)


def test_page_keys_of_one_id_in_several_spellings_are_equal() -> None:
    """Escapes, white space, a number instead of text and the position in the object do not matter."""
    spelled = [contact("a1"), b'{"name":"x", "id" :\n"\\u0061\\u0031"}', b'{"id":"a1","name":"\\ud800"}']
    assert len(set(keys_of(*spelled))) == 1
    assert len(set(keys_of(contact(17), contact("17")))) == 1


@pytest.mark.parametrize(
    "record", [b"{}", contact(None), contact(""), contact([HEX]), contact(1.5), b"[]", b"", b'{"id"']
)
def test_page_keys_of_a_record_without_an_id_are_empty(record: bytes) -> None:
    """A record without an id has no key, and does not change the keys of the others."""
    assert page_keys([record]) == b""
    assert page_keys([contact(HEX), record]) == bytes.fromhex(HEX)


def test_page_keys_of_an_empty_page_are_empty() -> None:
    """A page without contacts has no keys."""
    assert page_keys([]) == b""


def test_page_keys_of_a_very_long_page_are_those_of_its_contacts() -> None:
    """A page may have more contacts than are processed together."""
    records = [contact(f"{number:024x}") for number in range(1_001)]
    assert page_keys(records) == b"".join(number.to_bytes(KEY_BYTES, "big") for number in range(1_001))
    assert page_keys([*records, b"{}"]) == page_keys(records)


@given(st.lists(st.one_of(st.from_regex(r"[0-9a-fA-F ]{24}", fullmatch=True), st.text(), st.integers())))
def test_page_keys_of_any_page_are_those_of_its_contacts(ids: list[object]) -> None:
    """A page has the same keys on the fast path and on the slow path; only equal ids have equal keys."""
    records = [contact(contact_id, name="Zoë") for contact_id in ids]
    keys = keys_of(*records)
    assert page_keys(records) == b"".join(keys)
    assert len({key for key in keys if key}) == len({str(contact_id) for contact_id in ids if contact_id != ""})
