"""Statistics are exact for any JSON, in bounded memory."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.archive.report.statistics import MAX_DISTINCT, OTHERS, UNKNOWN, Statistics

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CONTACTS = st.lists(
    st.dictionaries(st.sampled_from(["role", "created_at", "location", "tags", "email", "x"]) | st.text(), JSON)
)


def statistics_of(*contacts: dict[str, Any]) -> Statistics:
    """Return the statistics of contacts."""
    tally = Statistics()
    for contact in contacts:
        tally.add(contact)
    tally.finalise()
    return tally


@given(contacts=CONTACTS)
def test_statistics_of_any_json_count_each_contact_once(contacts: list[dict[str, Any]]) -> None:
    """This holds for each chart; no field is filled more often than there are contacts."""
    tally = statistics_of(*contacts)
    for counts in (tally.roles, tally.months, tally.countries):
        assert counts.total() == len(contacts) == tally.contacts
    for field in tally.fields.values():
        assert field.filled == field.kinds.total()
        assert len(field.distinct) <= min(MAX_DISTINCT, field.filled)
    for name in {name for contact in contacts for name in contact if "." not in name}:
        filled = sum(1 for contact in contacts if name in contact and is_filled(contact[name]))
        if not any(isinstance(contact.get(name), dict) for contact in contacts):
            assert tally.fields[name].filled == filled


def is_filled(value: Any) -> bool:
    """Return whether a value counts as filled."""
    return value not in (None, "", [], {})


def test_statistics_count_roles_months_and_countries() -> None:
    """A missing or invalid value counts as unknown."""
    tally = statistics_of(
        {"role": "user", "created_at": 0, "location": {"country": "Chile"}},
        {"role": "user", "created_at": 2_678_400, "location": {"country": None}},
        {"role": "lead", "created_at": 2_678_399, "location": None},
        {"role": 7, "created_at": "yesterday", "location": {"country": ["Chile"]}},
        {"created_at": True, "location": "Chile"},
        {"created_at": 10**30},
    )
    assert tally.roles == Counter({"user": 2, "lead": 1, UNKNOWN: 3})
    assert tally.months == Counter({"1970-01": 2, "1970-02": 1, UNKNOWN: 3})
    assert tally.countries == Counter({"Chile": 1, UNKNOWN: 5})


def test_statistics_count_fields_in_objects_and_lists() -> None:
    """Each field of an object is counted; an empty list is not filled; False and 0 are filled."""
    tally = statistics_of(
        {"location": {"city": "Rome", "country": ""}, "tags": {"type": "list", "data": [{"id": "1"}]}, "n": 0},
        {"location": {"city": None}, "tags": {"type": "list", "data": []}, "n": False},
        {"custom_attributes": {"plan": "pro", "order": {"type": "Order.list", "instances": []}}, "n": "x"},
    )
    fields = {path: (field.filled, dict(field.kinds), len(field.distinct)) for path, field in tally.fields.items()}
    assert fields == {
        "location.city": (1, {"text": 1}, 1),
        "location.country": (0, {}, 0),
        "tags": (1, {"list": 1}, 0),
        "n": (3, {"integer": 1, "boolean": 1, "text": 1}, 3),
        "custom_attributes.plan": (1, {"text": 1}, 1),
        "custom_attributes.order": (1, {"object": 1}, 0),
    }


def test_statistics_with_many_distinct_values_keep_memory_bounded() -> None:
    """Names, values, countries and roles are limited in number."""
    tally = Statistics()
    for number in range(3_000):
        location = {"country": f"Country {number}"}
        tally.add({f"name {number}": number, "x": number, "role": f"role {number}", "location": location})
    tally.finalise()
    assert len(tally.fields) <= 1_001
    assert len(tally.fields["x"].distinct) == MAX_DISTINCT
    assert len(tally.countries) <= 501
    assert len(tally.roles) <= 21
    assert tally.countries[OTHERS] == 2_500
