"""The synthetic workspace: complete, reproducible, and with hostile contacts on request."""

import json
import os
import re
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.sandbox import Workspace
from exporter.sandbox import hostile as hostility
from exporter.sandbox.nested import NESTED
from exporter.sandbox.synthetic import TEMPLATES

DOCUMENTED = set(
    re.findall(
        r"\w+",
        """
    type id external_id workspace_id role email email_domain phone name owner_id has_hard_bounced
    marked_email_as_spam unsubscribed_from_emails created_at updated_at signed_up_at last_seen_at
    last_replied_at last_contacted_at last_email_opened_at last_email_clicked_at language_override browser
    browser_version browser_language os android_app_name android_app_version android_device
    android_os_version android_sdk_version android_last_seen_at ios_app_name ios_app_version ios_device
    ios_os_version ios_sdk_version ios_last_seen_at custom_attributes avatar tags notes companies location
    social_profiles
""",
    )
)
UNDOCUMENTED = set(
    re.findall(
        r"\w+",
        """
    opted_in_subscription_types opted_out_subscription_types sms_consent unsubscribed_from_sms referrer
    utm_campaign utm_content utm_medium utm_source utm_term enabled_push_messaging
""",
    )
)
DIGEST = """
import hashlib
from exporter.sandbox import Workspace
print(hashlib.sha256(b"".join(Workspace(20_000, 5).records(0, 8_000))).hexdigest())
"""


def rows(workspace: Workspace, start: int, stop: int) -> list[dict[str, Any]]:
    """Decode contacts with the standard library, which accepts all legal JSON."""
    return [json.loads(record) for record in workspace.records(start, stop)]


def test_contacts_have_every_documented_and_observed_field() -> None:
    """Each contact has the 45 documented fields, and those that users have observed."""
    assert len(DOCUMENTED) == 45
    for row in rows(Workspace(TEMPLATES), 0, TEMPLATES):
        assert row.keys() == DOCUMENTED | UNDOCUMENTED
        assert {"type", "country", "region", "city", "country_code"} == row["location"].keys()


def test_contacts_vary_in_types_and_nulls() -> None:
    """Owners are integers or null, tags and avatars may be null, and some integers do not fit into a double."""
    contacts = rows(Workspace(TEMPLATES), 0, TEMPLATES)
    assert {type(row["owner_id"]) for row in contacts} == {int, type(None)}
    assert any(row["tags"] is None for row in contacts)
    assert {type(row["avatar"]) for row in contacts} == {dict, type(None)}
    values = [value for row in contacts for value in row["custom_attributes"].values()]
    assert any(isinstance(value, int) and value > 2**62 for value in values)
    assert {type(value) for value in values} >= {int, float, bool, str, dict, type(None)}
    assert len({row["name"] for row in contacts}) > TEMPLATES // 3


def test_contacts_with_text_owners_differ_only_in_owner_id() -> None:
    """From version 2.16 on, an owner's id is a string; every other byte stays, also in updated contacts."""
    workspace = Workspace(TEMPLATES + 1)
    workspace.update(3, 5)
    plain = workspace.records(0, TEMPLATES + 1)
    assert workspace.records(0, TEMPLATES + 1, text_owners=True) == [
        re.sub(rb'"owner_id":(\d+)', rb'"owner_id":"\1"', record, count=1) for record in plain
    ]
    assert {type(json.loads(record)["owner_id"]) for record in plain} == {int, type(None)}


def test_ordinary_contacts_have_one_type_per_field() -> None:
    """Programs that infer a schema accept them: also, no two field names differ by case alone."""
    types: dict[str, set[type]] = {}

    def collect(path: str, value: Any) -> None:
        types.setdefault(path, set()).add(type(value))
        if isinstance(value, dict):
            for name, inner in value.items():
                collect(f"{path}.{name}", inner)
        for item in value if isinstance(value, list) else ():
            collect(f"{path}[]", item)

    for row in rows(Workspace(3_000), 0, 3_000):
        collect("", row)
    assert {path for path, found in types.items() if len(found - {type(None)}) > 1} == set()
    assert len({path.casefold() for path in types}) == len(types)


def test_contacts_have_the_average_size_of_real_ones() -> None:
    """A page of 150 contacts has about 380 kB."""
    records = Workspace(10_000).records(0, 10_000)
    assert 2_300 < sum(map(len, records)) / len(records) < 2_800


@pytest.mark.slow
def test_contacts_of_one_seed_are_equal_in_every_process() -> None:
    """Contacts do not depend on Python's hash seed."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "4242")
    }
    assert len(digests) == 1
    assert digests.pop().strip()


def test_contacts_do_not_depend_on_the_workspace_size() -> None:
    """Contact i is the same in a small and in a huge workspace, in any order of access."""
    small, huge = Workspace(20), Workspace(10_000_000)
    huge.record(9_999_999)
    assert small.records(0, 20) == huge.records(0, 20) == [huge.record(index) for index in range(20)]


def test_contacts_of_two_seeds_are_all_different() -> None:
    """Another seed has other contacts with other ids."""
    one, two = Workspace(50, 1), Workspace(50, 2)
    assert not set(one.records(0, 50)) & set(two.records(0, 50))
    assert all(two.index_of(one.id_of(index)) is None for index in range(50))


@given(st.integers(0, 2**40), st.integers(0, 1000))
def test_index_of_is_the_inverse_of_id_of(index: int, seed: int) -> None:
    """An id has 24 hexadecimal digits, and index_of returns the index of its contact."""
    workspace = Workspace(2**40 + 1, seed)
    contact_id = workspace.id_of(index)
    assert len(contact_id) == 24
    assert set(contact_id) <= set("0123456789abcdef")
    assert workspace.index_of(contact_id) == index


@given(st.text(max_size=30) | st.from_regex(r"[0-9a-f]{24}", fullmatch=True))
def test_index_of_unknown_id_is_none(contact_id: str) -> None:
    """It returns None for any other text, and raises nothing."""
    workspace = Workspace(1000)
    index = workspace.index_of(contact_id)
    assert index is None or workspace.id_of(index) == contact_id


@pytest.mark.parametrize("zero", ["+", " ", "_"])
def test_index_of_another_spelling_of_an_id_is_none(zero: str) -> None:
    """Text that Python parses as the same number is not the same id."""
    workspace = Workspace(1000)
    contact_id = next(key for key in map(workspace.id_of, range(1000)) if key[8] == "0")
    assert workspace.index_of(contact_id) is not None
    assert workspace.index_of(contact_id[:8] + zero + contact_id[9:]) is None
    assert workspace.index_of(contact_id.upper()) is None


@pytest.mark.slow
def test_contact_ids_and_emails_are_unique() -> None:
    """No two contacts share an id or an e-mail address."""
    contacts = rows(Workspace(3_000), 0, 3_000)
    assert len({row["id"] for row in contacts}) == len({row["email"] for row in contacts}) == 3_000


def test_contact_timestamps_are_in_order() -> None:
    """Contacts are created in order, and all their timestamps lie between creation and last update."""
    contacts = rows(Workspace(3_000, hostile=False), 0, 3_000)
    created = [row["created_at"] for row in contacts]
    assert created == sorted(set(created))
    for row in contacts:
        stamps = [value for name, value in row.items() if name.endswith("_at") and value is not None]
        assert row["created_at"] == min(stamps)
        assert row["updated_at"] == max(stamps)


def test_embedded_lists_are_the_first_ten_of_the_complete_lists() -> None:
    """A contact embeds the first ten items of each list, and counts all of them."""
    workspace = Workspace(TEMPLATES)
    longest = 0
    for index, row in enumerate(rows(workspace, 0, TEMPLATES)):
        for name in ("tags", "notes", "companies"):
            complete = [member["id"] for member in workspace.nested(index, name)]
            embedded = row[name] or {"data": [], "total_count": 0, "has_more": False, "url": None}
            assert [member["id"] for member in embedded["data"]] == complete[:10]
            assert (embedded["total_count"], embedded["has_more"]) == (len(complete), len(complete) > 10)
            assert embedded["url"] in {f"/contacts/{row['id']}/{name}", None}
            longest = max(longest, len(complete))
        opted = [*row["opted_in_subscription_types"]["data"], *row["opted_out_subscription_types"]["data"]]
        assert [kind["id"] for kind in opted] == [kind["id"] for kind in workspace.nested(index, "subscriptions")]
    assert longest == 500


def test_long_lists_occur_in_one_contact_in_twenty() -> None:
    """Most contacts have short lists; about one in twenty has more than ten items in a list."""
    contacts = rows(Workspace(TEMPLATES), 0, TEMPLATES)
    long = [
        row for row in contacts if any((row[name] or {}).get("has_more") for name in ("tags", "notes", "companies"))
    ]
    assert 0.03 < len(long) / TEMPLATES < 0.08


def test_tags_of_contacts_are_tags_of_the_workspace() -> None:
    """They have the same ids and names."""
    workspace = Workspace(TEMPLATES)
    names = {tag["id"]: tag["name"] for tag in workspace.tags()}
    for index in range(TEMPLATES):
        for tag in workspace.nested(index, "tags"):
            assert names[tag["id"]] == tag["name"]


def test_hostile_contacts_are_legal_json() -> None:
    """All kinds occur in the first 12,000 contacts, and each keeps the id of its contact."""
    workspace, tame = Workspace(12_000, hostile=True), Workspace(12_000)
    kinds = set()
    for index in range(7, 12_000, 1_000):
        kinds.add(hostility.kind_of(index))
        assert workspace.record(index) != tame.record(index)
        assert json.loads(workspace.record(index))["id"] == json.loads(tame.record(index))["id"]
    assert len(kinds) == len(hostility.KINDS) == 12
    assert workspace.records(8, 1_007) == tame.records(8, 1_007)


@pytest.mark.parametrize(
    ("index", "spelling"),
    [
        (7, b'"wei":' + b"9" * 30),
        (1_007, b'"price":1.10,"rate":1E5,"delta":-0,'),
        (1_007, b"3.141592653589793238462643"),
        (2_007, b'"tier":"gold","tier":"silver"'),
        (3_007, "\u2028".encode()),
        (4_007, rb"a\u0000b"),
        (4_007, rb"https:\/\/"),
        (5_007, rb"{\"data\":[{\"id\":\"fake\"}],\"pages\":null}"),
        (6_007, b"\r\n"),
        (7_007, rb'"\ud800"'),
        (8_007, b"[" * 50 + b'{"a":' * 50),
        (9_007, "日本語 🙂".encode()),
        (10_007, b'"size":"L","Size":"XL","SIZE":3'),
        (11_007, b'"owner_id":"814860"'),
    ],
)
def test_hostile_contacts_contain_their_special_bytes(index: int, spelling: bytes) -> None:
    """A round trip through Python objects would change these bytes."""
    assert spelling in Workspace(12_000, hostile=True).record(index)


def test_raw_line_ends_occur_in_one_hostile_kind_only() -> None:
    """Only the kind ``gaps`` has raw line ends, and only between tokens."""
    workspace = Workspace(10_000, hostile=True)
    broken = [n for n, record in enumerate(workspace.records(0, 10_000)) if b"\n" in record or b"\r" in record]
    assert broken == [6_007]
    on_one_line = workspace.record(6_007).replace(b"\r", b" ").replace(b"\n", b" ")
    assert json.loads(on_one_line) == json.loads(workspace.record(6_007))


def test_lone_surrogates_occur_in_one_contact_in_12_000() -> None:
    """Fast parsers refuse a page with such a contact, so it is rare."""
    found = [index for index in range(7, 40_000, 1_000) if hostility.kind_of(index) == "lone_surrogate"]
    assert found == [7_007, 19_007, 31_007]


def test_hostile_long_text_has_about_20_kb() -> None:
    """One hostile kind has a long text."""
    assert len(Workspace(10_000, hostile=True).record(9_007)) > 20_000


def test_huge_workspace_uses_little_memory() -> None:
    """Ten million contacts use no more memory than the templates that were read."""
    tracemalloc.start()
    workspace = Workspace(10_000_000)
    _, started = tracemalloc.get_traced_memory()
    workspace.record(9_999_999)
    tracemalloc.stop()
    assert started < 50_000
    assert sum(template is not None for template in workspace._contacts._templates) == 1


def test_records_truncate_their_range_and_record_refuses_a_bad_index() -> None:
    """A range is truncated to the workspace; a single index outside it raises IndexError."""
    workspace = Workspace(3)
    assert len(workspace) == len(workspace.records(0, 100)) == 3
    assert workspace.records(3, 6) == []
    for index in (-1, 3):
        with pytest.raises(IndexError):
            workspace.record(index)
        with pytest.raises(IndexError):
            workspace.id_of(index)


def test_nested_with_unknown_list_is_a_key_error() -> None:
    """An unknown list raises KeyError; NESTED contains the known names."""
    with pytest.raises(KeyError):
        Workspace(1).nested(0, "admins")  # type: ignore[arg-type]
    assert NESTED == ("tags", "notes", "companies", "subscriptions", "segments")


def test_workspace_with_negative_size_is_refused() -> None:
    """The error is one sentence with the number."""
    with pytest.raises(ConfigError, match="-1 contacts"):
        Workspace(-1)
