"""Contacts that are not as documented are seen, and counted by field and kind."""

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
    """Make a contact's JSON."""
    return json.dumps({"type": "contact", "id": "1", **members}).encode()


def test_what_the_sandbox_serves_is_as_documented() -> None:
    """Hostile contacts too: what is odd in them is allowed."""
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
def test_a_misfit_is_named_by_its_path_and_its_kind(members: dict[str, Any], field: str, kind: str) -> None:
    """In however many contacts, among others, seen before or not."""
    check, odd, usual = DriftDetector(), record(**members), record(role="user")
    assert check.check([usual, odd, usual]) == {(field, kind): 1}
    assert check.check([odd, usual, odd]) == {(field, kind): 2}


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
def test_what_is_documented_or_absent_is_no_drift(members: dict[str, Any]) -> None:
    """Null where the reference says so, either type of an owner's id, whatever stands in custom attributes."""
    assert not DriftDetector().check([record(**members)] * 2)


def test_a_contact_counts_once() -> None:
    """However often the same misfit is in it."""
    odd = record(tags={"data": [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]})
    assert DriftDetector().check([odd, odd]) == {("tags.data.name", "unknown"): 2}


def test_a_misfit_below_another_one_is_seen() -> None:
    """A field that was of another type once is looked into all the same, later."""
    check = DriftDetector()
    assert check.check([record(location="Dublin")]) == {("location", "string"): 1}
    assert check.check([record(location={"planet": 1, "city": 5})]) == {
        ("location.planet", "unknown"): 1,
        ("location.city", "integer"): 1,
    }
    assert check.check([record(location={"city": "Dublin"})]) == {}


def test_many_new_fields_are_all_counted() -> None:
    """More than are kept in mind."""
    odd = record(**{f"field_{number}": number for number in range(120)})
    check = DriftDetector()
    assert [len(check.check([odd])) for _ in range(3)] == [120, 120, 120]


def test_names_that_anybody_made_up_fit_a_manifest() -> None:
    """A lone surrogate is escaped, a long name cut."""
    odd = b'{"type":"contact","\\ud800":1,"' + b"x" * 5_000 + b'":2}'
    assert DriftDetector().check([odd, odd]) == {("\\ud800", "unknown"): 2, ("x" * 100 + "…", "unknown"): 2}


def test_of_a_repeated_field_the_last_counts() -> None:
    """As to any parser, and whether it was seen before or not."""
    one, other = b'{"tags":5}', b'{"tags":5,"tags":{}}'
    assert (
        DriftDetector().check([one, other])
        == DriftDetector().check([one]) + DriftDetector().check([other])
        == {("tags", "integer"): 1}
    )


def test_keys_without_end_take_no_time_without_end() -> None:
    """A hundred thousand times the same one."""
    many = b"{" + b",".join([b'"a":1'] * 100_000) + b"}"
    assert DriftDetector().check([many]) == {("a", "unknown"): 1}


def test_lone_surrogates_and_depth_are_no_drift() -> None:
    """What the quick parser refuses is looked at slowly."""
    lone = b'{"type":"contact","name":"\\ud800"}'
    deep = b'{"type":"contact","custom_attributes":{"a":' + b"[" * 900 + b"]" * 900 + b"}}"
    assert DriftDetector().check([lone, deep]) == {}


names = st.sampled_from(sorted({field.path.split(".")[0] for field in CONTACT_FIELDS} | {"new", "newer"}))
values = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just([]), st.just({}))


@given(st.lists(st.dictionaries(names, values, max_size=6), max_size=8))
def test_keeping_fields_in_mind_changes_no_count(contacts: list[dict[str, Any]]) -> None:
    """A check that has seen much and one that sees its first contact agree."""
    records = [json.dumps(contact).encode() for contact in contacts]
    seasoned = DriftDetector()
    seasoned.check(records)
    fresh = Counter[tuple[str, str]]()
    for one in records:
        fresh.update(DriftDetector().check([one]))
    assert seasoned.check(records) == fresh
