"""Schema drift: contacts that differ from the documentation are counted by field and kind."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.formats.drift import DriftDetector
from exporter.formats.schema import CONTACT_FIELDS
from exporter.sandbox.contacts import Workspace

CONTACTS = 3_000


def record(**members: Any) -> bytes:
    """Return a contact's JSON."""
    return json.dumps({"type": "contact", "id": "1", **members}).encode()


def test_drift_of_sandbox_contacts_is_empty() -> None:
    """Hostile contacts too: their unusual values are allowed."""
    assert DriftDetector().check(Workspace(20_000, 1, hostile=True).records(0, 20_000)) == Counter()


@pytest.mark.parametrize(
    ("members", "field", "kind"),
    [
        ({"applied_at": 1}, "applied_at", "unknown"),
        ({"location": {"time_zone": "Europe/Dublin"}}, "location.time_zone", "unknown"),
        ({"tags": {"data": [{"id": "1", "name": "VIP"}]}}, "tags.data.name", "unknown"),
        ({"a.b": 1}, "a.b", "unknown"),
        ({"role": 5}, "role", "integer"),
        ({"role": None}, "role", "null"),
        ({"has_hard_bounced": "no"}, "has_hard_bounced", "string"),
        ({"created_at": "2026-11-25"}, "created_at", "string"),
        ({"created_at": 1.5}, "created_at", "number"),
        ({"created_at": 1_764_000_000_000_000}, "created_at", "out_of_range"),
        ({"notes": {"total_count": 2**64}}, "notes.total_count", "out_of_range"),
        ({"location": "Dublin"}, "location", "string"),
        ({"location": []}, "location", "list"),
        ({"tags": {"data": {}}}, "tags.data", "object"),
        ({"tags": {"data": ["1"]}}, "tags.data", "list of string"),
        ({"custom_attributes": []}, "custom_attributes", "list"),
        ({"owner_id": True}, "owner_id", "boolean"),
    ],
)
def test_drift_is_reported_by_path_and_kind(members: dict[str, Any], field: str, kind: str) -> None:
    """Each contact with it counts, among others, whether or not the field was seen before."""
    check, drifted, usual = DriftDetector(), record(**members), record(role="user")
    assert check.check([usual, drifted, usual]) == {(field, kind): 1}
    assert check.check([drifted, usual, drifted]) == {(field, kind): 2}


@pytest.mark.parametrize(
    "members",
    [
        {"tags": None, "email": None, "avatar": None},
        {"owner_id": 5},
        {"owner_id": "5"},
        {"custom_attributes": {"anything": [{"at": {"all": 1.5}}]}},
        {},
    ],
)
def test_drift_ignores_documented_and_missing_fields(members: dict[str, Any]) -> None:
    """Null where the reference allows it, both types of an owner's id and any custom attributes are documented."""
    assert not DriftDetector().check([record(**members)] * 2)


def test_drift_counts_a_contact_once_for_each_field() -> None:
    """The same drift may occur several times in a contact."""
    drifted = record(tags={"data": [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]})
    assert DriftDetector().check([drifted, drifted]) == {("tags.data.name", "unknown"): 2}


def test_drift_checks_a_field_that_once_had_another_type() -> None:
    """A field of another type does not hide the drift inside it in later contacts."""
    check = DriftDetector()
    assert check.check([record(location="Dublin")]) == {("location", "string"): 1}
    assert check.check([record(location={"planet": 1, "city": 5})]) == {
        ("location.planet", "unknown"): 1,
        ("location.city", "integer"): 1,
    }
    assert check.check([record(location={"city": "Dublin"})]) == {}


def test_drift_counts_more_new_fields_than_it_remembers() -> None:
    """It counts all of them each time."""
    drifted = record(**{f"field_{number}": number for number in range(120)})
    check = DriftDetector()
    assert [len(check.check([drifted])) for _ in range(3)] == [120, 120, 120]


def test_drift_escapes_and_truncates_untrusted_field_names() -> None:
    """A lone surrogate is escaped and a long name is truncated, so that both fit into a manifest."""
    drifted = b'{"type":"contact","\\ud800":1,"' + b"x" * 5_000 + b'":2}'
    assert DriftDetector().check([drifted, drifted]) == {("\\ud800", "unknown"): 2, ("x" * 100 + "…", "unknown"): 2}


def test_drift_of_duplicate_field_uses_the_last_one() -> None:
    """Parsers do the same, and it does not matter whether the field was seen before."""
    one, other = b'{"tags":5}', b'{"tags":5,"tags":{}}'
    assert (
        DriftDetector().check([one, other])
        == DriftDetector().check([one]) + DriftDetector().check([other])
        == {("tags", "integer"): 1}
    )


def test_drift_of_100_000_duplicate_keys_counts_one_contact() -> None:
    """The check takes linear time: with quadratic time, this test would not end."""
    many = b"{" + b",".join([b'"a":1'] * 100_000) + b"}"
    assert DriftDetector().check([many]) == {("a", "unknown"): 1}


def test_drift_ignores_lone_surrogates_and_deep_nesting() -> None:
    """The slow path checks contacts that the fast parser refuses."""
    lone = b'{"type":"contact","name":"\\ud800"}'
    deep = b'{"type":"contact","custom_attributes":{"a":' + b"[" * 900 + b"]" * 900 + b"}}"
    assert DriftDetector().check([lone, deep]) == {}


names = st.sampled_from(sorted({field.path.split(".")[0] for field in CONTACT_FIELDS} | {"new", "newer"}))
values = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just([]), st.just({}))


@given(st.lists(st.dictionaries(names, values, max_size=6), max_size=8))
def test_drift_counts_do_not_depend_on_earlier_contacts(contacts: list[dict[str, Any]]) -> None:
    """A detector that has checked many contacts and a new one for each contact count the same."""
    records = [json.dumps(contact).encode() for contact in contacts]
    used = DriftDetector()
    used.check(records)
    expected = Counter[tuple[str, str]]()
    for one in records:
        expected.update(DriftDetector().check([one]))
    assert used.check(records) == expected
