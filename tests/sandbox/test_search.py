"""`POST /contacts/search`: compared with a slow search that looks at every contact."""

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.sandbox import Workspace
from exporter.sandbox.calendar import EPOCH, YEAR_S, Calendar
from exporter.sandbox.protocol import Refusal
from exporter.sandbox.search_endpoint import SearchEndpoint, SearchSettings
from tests.support.searches import ZONES, is_match

CONTACTS = 300
WORKSPACE = Workspace(CONTACTS, hostile=True, calendar=Calendar(CONTACTS, years=2, hot_day=0.3))
ROWS = [json.loads(record) for record in WORKSPACE.records(0, CONTACTS)]
Query = dict[str, Any]


class Clock:
    """A clock that tests set."""

    now_s = 1_800_000_000.0

    def now(self) -> float:
        """Return the time."""
        return self.now_s


def endpoint_of(workspace: Workspace = WORKSPACE, zone: str = "UTC", **settings: Any) -> SearchEndpoint:
    """Return the endpoint of a workspace."""
    endpoint = SearchEndpoint(workspace, SearchSettings(**settings), zone, Clock().now)
    workspace.listener = endpoint.search
    return endpoint


def pages_of(endpoint: SearchEndpoint, query: Query | None, per_page: int = 150, **sort: str) -> list[dict[str, Any]]:
    """Return all pages of a search."""
    pages: list[dict[str, Any]] = []
    cursor = None
    while not pages or cursor is not None:
        body: dict[str, Any] = {"pagination": {"per_page": per_page, "starting_after": cursor}}
        body |= {"query": query} if query else {}
        body |= {"sort": sort} if sort else {}
        request = endpoint.parse(json.dumps(body).encode(), "2.14")
        pages.append(json.loads(endpoint.body(request, "2.14")))
        cursor = pages[-1]["pages"].get("next", {}).get("starting_after")
    return pages


def ids_of(pages: list[dict[str, Any]]) -> list[str]:
    """Return the ids of the contacts of all pages, in order."""
    return [contact["id"] for page in pages for contact in page["data"]]


def condition(field: str, operators: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Query]:
    """Make conditions on a field."""
    return st.builds(
        lambda operator, value: {"field": field, "operator": operator, "value": value},
        st.sampled_from(operators.split()),
        values,
    )


STAMPS = st.integers(EPOCH - 10_000_000, EPOCH + 3 * YEAR_S) | st.sampled_from([row["created_at"] for row in ROWS])
DATE_FIELDS = ("created_at", "updated_at", "last_seen_at")
TEXTS = [
    condition("id", "$ ^ ~ = !=", st.sampled_from([row["id"][-size:] for row in ROWS for size in (1, 2, 24)])),
    condition("role", "= !=", st.sampled_from(["lead", "user"])),
    condition("email_domain", "~ $ ^ IN NIN", st.sampled_from(["example", ".com", "e"])).map(
        lambda one: one | {"value": [one["value"]]} if one["operator"] in ("IN", "NIN") else one
    ),
]


def queries(date_operators: str) -> st.SearchStrategy[Query]:
    """Make queries of at most two levels."""
    leaf = st.one_of(*(condition(field, date_operators, STAMPS) for field in DATE_FIELDS), *TEXTS)
    group = group_of(leaf)
    return leaf | group | group_of(leaf | group)


def group_of(filters: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    """Make groups of filters."""
    return st.builds(
        lambda operator, value: {"operator": operator, "value": value},
        st.sampled_from(["AND", "OR"]),
        st.lists(filters, min_size=1, max_size=4),
    )


def assert_found(endpoint: SearchEndpoint, query: Query, zone: str, precision: str) -> None:
    """Check a search in both directions, and its count."""
    wanted = [row for row in ROWS if is_match(row, query, ZoneInfo(zone), precision)]
    expected = [row["id"] for row in sorted(wanted, key=lambda row: (row["created_at"], row["id"]))]
    ascending = pages_of(endpoint, query, 20, field="created_at", order="ascending")
    assert ids_of(ascending) == expected
    assert {page["total_count"] for page in ascending} == {len(expected)}
    assert ids_of(pages_of(endpoint, query, 150, field="created_at", order="descending")) == expected[::-1]
    assert ids_of(pages_of(endpoint, query)) == expected[::-1]  # descending is the default


@given(queries("= > <"), st.sampled_from(ZONES))
def test_search_by_day_finds_the_same_as_a_slow_search(query: Query, zone: str) -> None:
    """Days are those of the workspace's time zone."""
    assert_found(endpoint_of(zone=zone), query, zone, "day")


@given(queries("= > < >= <= !="))
def test_search_by_second_finds_the_same_as_a_slow_search(query: Query) -> None:
    """From version 2.17 on, dates are exact, and more operators are allowed."""
    assert_found(endpoint_of(precision="second"), query, "UTC", "second")


@pytest.mark.parametrize(("version", "stamps"), [("2.14", 1), ("2.16", 1), ("2.17", 0), ("Preview", 0)], ids=str)
def test_search_precision_depends_on_the_api_version(version: str, stamps: int) -> None:
    """Up to 2.16 a date means its day."""
    endpoint, other = endpoint_of(), ROWS[0]["created_at"] // 86_400 * 86_400 + 1
    query = {"field": "created_at", "operator": "=", "value": other}
    request = endpoint.parse(json.dumps({"query": query}).encode(), version)
    assert min(json.loads(endpoint.body(request, version))["total_count"], 1) == stamps


REFUSED: dict[str, tuple[Any, str]] = {
    "not JSON": (b"{", "bad_request"),
    "a list": (b"[]", "bad_request"),
    "unknown field": ({"field": "nothing", "operator": "=", "value": 1}, "invalid_field"),
    "unknown operator": ({"field": "email", "operator": "LIKE", "value": "a"}, "invalid_operator"),
    "not equal on a date": ({"field": "created_at", "operator": "!=", "value": 1}, "invalid_operator"),
    "at least on a date": ({"field": "created_at", "operator": ">=", "value": 1}, "invalid_operator"),
    "list on a date": ({"field": "created_at", "operator": "IN", "value": [1]}, "invalid_operator"),
    "text as a date": ({"field": "created_at", "operator": ">", "value": "soon"}, "invalid_value"),
    "no list for IN": ({"field": "id", "operator": "IN", "value": "a"}, "invalid_value"),
    "empty group": ({"operator": "AND", "value": []}, "invalid_query"),
    "sixteen filters": (
        {"operator": "OR", "value": [{"field": "id", "operator": "=", "value": "1"}] * 16},
        "invalid_query",
    ),
    "three levels": (
        {"operator": "AND", "value": [{"operator": "OR", "value": [{"operator": "AND", "value": [
            {"field": "id", "operator": "=", "value": "1"}]}]}]},
        "invalid_query",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("query", "code"), REFUSED.values(), ids=REFUSED)
def test_search_with_invalid_query_is_refused_with_its_code(query: Any, code: str) -> None:
    """Each invalid query is a 400."""
    body = query if isinstance(query, bytes) else json.dumps({"query": query}).encode()
    with pytest.raises(Refusal) as caught:
        endpoint_of().parse(body, "2.14")
    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"sort": {"field": "created_at", "order": "asc"}}, "invalid_sort_order"),
        ({"sort": {"field": "name", "order": "ascending"}}, "invalid_sort_field"),
        ({"sort": {"field": "last_seen_at", "order": "ascending"}}, "invalid_sort_field"),
        ({"sort": {"field": [], "order": "ascending"}}, "invalid_sort_field"),
        ({"sort": {"field": None, "order": "ascending"}}, "invalid_sort_field"),
        ({"pagination": {"per_page": 151}}, "parameter_invalid"),
        ({"pagination": {"per_page": 0}}, "parameter_invalid"),
        ({"pagination": {"starting_after": "forged"}}, "client_error"),
        ({"pagination": {"starting_after": "MQ=="}}, "client_error"),
    ],
)
def test_search_with_invalid_sort_or_page_is_refused_with_its_code(more: dict[str, Any], code: str) -> None:
    """Words other than ascending and descending are refused, and so are forged cursors."""
    with pytest.raises(Refusal) as caught:
        endpoint_of().parse(json.dumps(more).encode(), "2.14")
    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_search_sorts_by_the_dates_that_have_an_index(field: str) -> None:
    """Contacts of the same second are in the order of their ids."""
    expected = [row["id"] for row in sorted(ROWS, key=lambda row: (row[field], row["id"]))]
    assert ids_of(pages_of(endpoint_of(), None, field=field, order="ascending")) == expected
    assert ids_of(pages_of(endpoint_of(), None, field=field, order="descending")) == expected[::-1]


def test_search_can_refuse_the_suffix_operator_on_ids() -> None:
    """Nothing documents that `$` works on ids."""
    body = json.dumps({"query": {"field": "id", "operator": "$", "value": "a"}}).encode()
    with pytest.raises(Refusal, match="not a valid operator for id"):
        endpoint_of(has_id_suffix=False).parse(body, "2.14")


def test_search_cursor_continues_after_its_contact_when_others_are_removed() -> None:
    """A cursor means "after this contact": a removed contact shifts nothing."""
    workspace = Workspace(100)
    endpoint = endpoint_of(workspace)
    expected = [workspace.id_of(index) for index in range(100)]
    body: dict[str, Any] = {"sort": {"field": "created_at", "order": "ascending"}, "pagination": {"per_page": 10}}
    found: list[str] = []
    while True:
        page = json.loads(endpoint.body(endpoint.parse(json.dumps(body).encode(), "2.14"), "2.14"))
        found += [contact["id"] for contact in page["data"]]
        if "next" not in page["pages"]:
            break
        body["pagination"]["starting_after"] = page["pages"]["next"]["starting_after"]
        workspace.delete(len(workspace) // 2 if len(found) < 50 else 0)
        workspace.delete(0)  # one that was read, and in the end the contact of the cursor itself
    removed = set(expected) - {workspace.id_of(index) for index in range(len(workspace))}
    assert [one for one in expected if one in found] == found
    assert set(expected) - set(found) <= removed


def test_search_shows_changes_after_the_lag() -> None:
    """Inserted and updated contacts appear later, removed ones disappear at once; the list has them immediately."""
    workspace = Workspace(10)
    clock = Clock()
    endpoint = SearchEndpoint(workspace, SearchSettings(lag_s=60), "UTC", clock.now)
    workspace.listener = endpoint.search
    before = ids_of(pages_of(endpoint, None, field="updated_at", order="ascending"))
    inserted, updated, removed = workspace.insert(3), workspace.update(5, 0), workspace.delete(9)
    assert removed in before
    assert ids_of(pages_of(endpoint, None, field="updated_at", order="ascending")) == [
        one for one in before if one != removed
    ]
    clock.now_s += 61
    after = ids_of(pages_of(endpoint, None, field="updated_at", order="ascending"))
    assert inserted in after
    assert after[-1] == updated
    assert sorted(after) == sorted(workspace.id_of(index) for index in range(len(workspace)))


def test_search_made_after_a_change_still_has_the_lag() -> None:
    """The first search may come between a change and its appearance."""
    workspace = Workspace(10)
    clock = Clock()
    endpoint = SearchEndpoint(workspace, SearchSettings(lag_s=60), "UTC", clock.now)
    workspace.listener = endpoint.search
    inserted = workspace.insert(0)
    assert inserted not in ids_of(pages_of(endpoint, None))
    clock.now_s += 61
    assert inserted in ids_of(pages_of(endpoint, None))


def test_search_with_missing_contacts_never_finds_them() -> None:
    """They are in the list only, also after an update."""
    workspace = Workspace(100)
    endpoint = endpoint_of(workspace, missing=3)
    found = ids_of(pages_of(endpoint, None))
    assert len(found) == 97
    lost = next(index for index in range(100) if workspace.id_of(index) not in found)
    lost_id = workspace.update(lost, 0)
    assert lost_id not in ids_of(pages_of(endpoint, None))


def test_search_with_a_cap_limits_only_the_count() -> None:
    """All contacts are found all the same."""
    pages = pages_of(endpoint_of(cap=100), None)
    assert {page["total_count"] for page in pages} == {100}
    assert len(ids_of(pages)) == CONTACTS


@pytest.mark.parametrize(
    "settings", [{"precision": "hour"}, {"lag_s": -1}, {"cap": 0}, {"missing": -1}, {"unsettled": -1}]
)
def test_search_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    """The error names the argument."""
    with pytest.raises(ConfigError):
        SearchSettings(**settings)
