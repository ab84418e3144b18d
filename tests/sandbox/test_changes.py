"""Changes of a workspace while a client reads it: their syntax, their effect, and what the client sees."""

import itertools
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import Intercom, ListExpansion, export
from exporter.errors import ConfigError
from exporter.sandbox import Change, Sandbox, Workspace
from exporter.sandbox.changes import NAMES, Mutations
from exporter.sandbox.nested import NESTED
from exporter.sandbox.protocol import VERSIONS
from tests.support.sandboxes import session_of

positions = st.integers(0, 10**6)


async def fetch(session: aiohttp.ClientSession, cursor: str = "", per_page: int = 10) -> Any:
    """Fetch one page of contacts, decoded."""
    params = {"per_page": str(per_page), "starting_after": cursor}
    async with session.get("/contacts", params=params) as response:
        assert response.status == 200, await response.text()
        return json.loads(await response.read())


async def walk(session: aiohttp.ClientSession, per_page: int = 10) -> list[Any]:
    """Follow the cursors to the end; return the pages."""
    pages = [await fetch(session, per_page=per_page)]
    while following := pages[-1]["pages"].get("next"):
        pages.append(await fetch(session, following["starting_after"], per_page))
    return pages


def ids(pages: list[Any]) -> list[str]:
    """Return the ids of the contacts on these pages, in order."""
    return [row["id"] for page in pages for row in page["data"]]


def workspace_ids(workspace: Workspace) -> list[str]:
    """Return the ids of a workspace's contacts, in order."""
    return [json.loads(record)["id"] for record in workspace.records(0, len(workspace))]


def change_counts(changes: str | list[str] | Mapping[str, int], pages: list[int]) -> list[int]:
    """Count the changes after each of several pages."""
    workspace = Workspace(1_000)
    plan, counts = Mutations(workspace, changes), [0]
    for page in pages:
        plan.apply_after_page(page)
        counts.append(workspace.changes)
    return [after - before for before, after in itertools.pairwise(counts)]


@pytest.mark.parametrize("name", NAMES)
def test_change_parse_accepts_every_name_and_schedule(name: Any) -> None:
    """Each name may have each of the three schedules."""
    assert Change.parse(f"{name}=7") == Change(name, every=7)
    assert Change.parse(f"{name}@3") == Change(name, page=3)
    assert Change.parse(f"{name}@3x4") == Change(name, page=3, times=4)


@pytest.mark.parametrize(
    "text",
    [
        *("", "insert", "insert=", "insert=0", "insert@0", "insert@1x0", "insert=-1", "insert=1.5", "insert@1x"),
        *("reset=1", "insert=1 ", "insert=٣", "insert=1@2", "Insert=1", "insert=1x2", f"insert={'9' * 5000}"),
    ],
)
def test_change_with_malformed_text_is_refused(text: str) -> None:
    """It is a configuration error that lists the known changes, on one line."""
    with pytest.raises(ConfigError, match=r"names: insert, update, delete, merge$") as caught:
        Sandbox(changes=[text])
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_change_schedules_apply_after_the_right_pages() -> None:
    """NAME=EVERY counts the served pages, NAME@PAGE applies once, NAME@PAGExTIMES applies that many changes at once."""
    assert change_counts("insert=3", [1, 1, 1, 2, 3, 4]) == [0, 0, 1, 0, 0, 1]
    assert change_counts("delete@2", [1, 2, 2, 3]) == [0, 1, 0, 0]
    assert change_counts("update@2x5", [1, 2, 2]) == [0, 5, 0]
    assert change_counts(["insert=1", "insert=1", "delete@2", "delete@2"], [1, 2, 2]) == [2, 4, 2]
    assert change_counts({"insert": 2, "update": 3}, [1] * 6) == [0, 1, 1, 1, 0, 2]
    assert change_counts([], [1, 2]) == [0, 0]


def test_change_of_empty_workspace_is_skipped_or_raises() -> None:
    """A scheduled delete or update of an empty workspace does nothing; a direct one raises IndexError."""
    workspace = Workspace(3)
    plan = Mutations(workspace, ["delete=1", "update=1"])
    for page in range(5):
        plan.apply_after_page(page)
    assert len(workspace) == 0
    for name in ("delete", "update"):
        with pytest.raises(IndexError):
            plan.apply(name)
    plan.apply("insert")
    assert len(workspace) == 1


def expected_survivor(contact_id: str, merged: Mapping[str, str], existing: list[str]) -> str | None:
    """Return the contact that a merged one became, if it still exists."""
    last = contact_id
    while last in merged:
        last = merged[last]
    return last if last != contact_id and last in existing else None


@given(st.integers(0, 30), st.lists(st.tuples(st.sampled_from(NAMES), positions, positions)))
def test_changes_have_the_same_effect_as_on_a_plain_list(contacts: int, changes: list[tuple[str, int, int]]) -> None:
    """Any sequence of changes has the same effect on a workspace as on a list, and each id still finds its contact."""
    workspace = Workspace(contacts)
    model = [workspace.id_of(index) for index in range(contacts)]
    gone: set[str] = set()
    merged: dict[str, str] = {}
    for name, first_draw, second_draw in changes:
        position, to = (number % max(len(model), 1) for number in (first_draw, second_draw))
        if name == "insert":
            position = first_draw % (len(model) + 1)
            model.insert(position, workspace.insert(position))
        elif model and name == "delete":
            gone.add(model.pop(position))
            assert workspace.delete(position) in gone
        elif name == "merge" and position != to:
            assert workspace.merge(position, to) == model[position]
            merged[model[position]] = model[to]
            gone.add(model.pop(position))
        elif model:
            assert workspace.update(position, to) == model[position]
            model.insert(to, model.pop(position))
        assert workspace_ids(workspace) == model
    assert len(workspace) == len(model) == len(set(model))
    assert [workspace.index_of(contact_id) for contact_id in model] == list(range(len(model)))
    assert {workspace.index_of(contact_id) for contact_id in gone} <= {None}
    for contact_id in [*model, *gone]:
        assert workspace.survivor_of(contact_id) == expected_survivor(contact_id, merged, model)


@given(st.integers(0, 20), st.lists(st.sampled_from(NAMES)), st.integers())
def test_change_without_position_draws_a_valid_one(contacts: int, names: list[Any], seed: int) -> None:
    """For any seed and size, the drawn position is valid, and an update moves its contact if it can."""
    workspace = Workspace(contacts, seed)
    changes = Mutations(workspace)
    for name in names:
        before = workspace_ids(workspace)
        if len(before) >= {"insert": 0, "merge": 2}.get(name, 1):
            contact_id = changes.apply(name)
            after = workspace_ids(workspace)
            assert len(after) - len(before) == {"insert": 1, "update": 0, "delete": -1, "merge": -1}[name]
            assert (contact_id in before, contact_id in after) == (name != "insert", name not in {"delete", "merge"})
            assert name != "update" or len(before) == 1 or before.index(contact_id) != after.index(contact_id)


@pytest.mark.parametrize("index", [0, 3, 4, *range(7, 10_000, 1_000)])
def test_update_changes_two_values_and_no_other_byte(index: int) -> None:
    """An updated contact has another owner and the latest updated_at of all; every other byte stays."""
    workspace = Workspace(10_000, hostile=True)
    before = workspace.record(index)
    workspace.update(index, 9_999)
    after, old = workspace.record(9_999), json.loads(before)
    new = json.loads(after)
    assert {name for name in new if new[name] != old[name]} == {"owner_id", "updated_at"}
    for name in ("owner_id", "updated_at"):
        after = after.replace(json.dumps(new[name]).encode(), json.dumps(old[name]).encode())
    assert after == before


def test_update_makes_a_contact_the_latest_of_all() -> None:
    """Each update sets the latest updated_at, also for a contact that was just inserted."""
    workspace = Workspace(50)
    latest = 0
    for position in (0, 0, 49, 20):
        workspace.insert(10)
        for index in (10, position):
            workspace.update(index, index)
            row = json.loads(workspace.record(index))
            stamps = [value for name, value in row.items() if name.endswith("_at") and value is not None]
            assert row["updated_at"] == max(stamps) > latest
            latest = row["updated_at"]


def test_inserted_contact_equals_the_one_of_a_larger_workspace() -> None:
    """It has the same record, creation time and nested lists."""
    small, large = Workspace(10), Workspace(11)
    assert small.insert(4) == large.id_of(10)
    assert small.record(4) == large.record(10)
    assert small.created_at(4) == large.created_at(10)
    assert all(small.nested(4, name) == large.nested(10, name) for name in NESTED)
    assert small.records(5, 11) == large.records(4, 10)


def test_change_with_invalid_position_or_name_changes_nothing() -> None:
    """Each raises an error, and the workspace stays the same."""
    sandbox = Sandbox(5)
    for name, position, to in [("insert", 6, None), ("insert", -1, None), ("delete", 5, None), ("delete", -1, None)]:
        with pytest.raises(IndexError):
            sandbox.change(name, position, to)  # type: ignore[arg-type]
    for position, to in [(5, None), (5, 0), (0, 5), (0, -1)]:
        with pytest.raises(IndexError):
            sandbox.change("update", position, to)
    for position, to in [(5, 0), (0, 5), (-1, 0), (0, -1), (2, 2)]:
        with pytest.raises(IndexError):
            sandbox.change("merge", position, to)
    with pytest.raises(ConfigError, match="insert, update, delete, merge"):
        sandbox.change("split")  # type: ignore[arg-type]
    assert sandbox.workspace.changes == 0
    assert sandbox.workspace.records(0, 9) == Workspace(5).records(0, 9)


def test_workspace_without_changes_keeps_no_list() -> None:
    """A workspace without changes stays small, for any number of contacts."""
    sandbox = Sandbox(10**12, changes=["update@3"])
    sandbox.workspace.records(10**11, 10**11 + 150)
    assert isinstance(sandbox.workspace._serials, range)


async def test_change_before_the_cursor_shifts_the_later_pages() -> None:
    """After a deletion before the cursor the listing misses one contact; after an insertion it has a duplicate."""
    async with session_of(30) as (sandbox, session):
        truth = workspace_ids(sandbox.workspace)
        first = await fetch(session)
        sandbox.change("delete", 0)
        second = await fetch(session, first["pages"]["next"]["starting_after"])
        assert ids([first, second]) == [*truth[:10], *truth[11:21]]
        sandbox.change("insert", 3)
        third = await fetch(session, second["pages"]["next"]["starting_after"])
        assert ids([third]) == truth[20:]
        assert (first["total_count"], second["total_count"], third["total_count"]) == (30, 29, 30)


async def test_updated_contact_is_listed_twice_or_never() -> None:
    """A contact that moves behind the cursor is listed again with new values; one that moves before it is missed."""
    async with session_of(30) as (sandbox, session):
        first = await fetch(session)
        twice, never = sandbox.change("update", 4, 29), sandbox.change("update", 15, 0)
        pages = [first, await fetch(session, first["pages"]["next"]["starting_after"], 150)]
        rows = [row for page in pages for row in page["data"] if row["id"] == twice]
        assert len(rows) == 2
        assert rows[0]["updated_at"] < rows[1]["updated_at"]
        assert rows[0]["owner_id"] != rows[1]["owner_id"]
        assert never not in ids(pages)
        assert sandbox.workspace.index_of(never) == 0


async def test_scheduled_changes_apply_after_their_page() -> None:
    """A change applies after its page was served, and the total count follows."""
    async with session_of(30, changes=["delete@1x2", "insert=3"]) as (sandbox, session):
        pages = await walk(session)
        assert [page["total_count"] for page in pages] == [30, 28, 28]
        assert [page["pages"]["total_pages"] for page in pages] == [3, 3, 3]
        assert len(sandbox.workspace) == 29


async def test_failed_response_applies_no_change() -> None:
    """A failed or malformed response is not a served page; a slow one or one of a cursor loop is."""
    broken = ["http_500@1", "truncate@1", "html_200@1"]
    async with session_of(30, changes=["insert=1"], faults=broken) as (sandbox, session):
        for _ in broken:
            with pytest.raises((AssertionError, aiohttp.ClientError, ValueError)):
                await fetch(session)
            assert len(sandbox.workspace) == 30
        await fetch(session)
        assert len(sandbox.workspace) == 31
    async with session_of(30, changes=["insert=1"], faults=["slow@1", "cursor_loop@1"], slow_s=0) as (sandbox, session):
        for size in (31, 32):
            await fetch(session)
            assert len(sandbox.workspace) == size


@pytest.mark.parametrize("left", [0, 5, 10])
async def test_cursor_beyond_the_end_returns_an_empty_last_page(left: int) -> None:
    """If the list is now shorter than the cursor's position, the page is empty, and there is no error."""
    async with session_of(30) as (sandbox, session):
        cursor = (await fetch(session))["pages"]["next"]["starting_after"]
        while len(sandbox.workspace) > left:
            sandbox.change("delete")
        page = await fetch(session, cursor)
    assert page["data"] == []
    assert page["total_count"] == left
    assert "next" not in page["pages"]


async def test_changes_depend_on_the_seed_only() -> None:
    """A client reads the same contacts with the same seed, and others with another seed."""
    runs = []
    for seed in (1, 1, 2):
        async with session_of(200, seed=seed, changes={"insert": 1, "update": 2, "delete": 3}) as (sandbox, session):
            read = ids(await walk(session))
            order = [
                read.index(contact_id) if contact_id in read else -1 for contact_id in workspace_ids(sandbox.workspace)
            ]
            runs.append((read, order))
    assert runs[0] == runs[1]
    assert runs[1][1] != runs[2][1]


async def test_listing_of_changing_workspace_repeats_and_misses_contacts() -> None:
    """Some contacts are duplicates, some that remain are missed, and each listed contact exists or existed."""
    async with session_of(1_000, changes=["insert=1", "update=1", "delete=1"]) as (sandbox, session):
        before = set(workspace_ids(sandbox.workspace))
        read = ids(await walk(session))
        after = set(workspace_ids(sandbox.workspace))
    assert len(read) > len(set(read))
    assert before & after - set(read)
    assert after - before
    assert before - after
    assert set(read) <= set(workspace_ids(Workspace(1_000 + sandbox.workspace.changes)))


async def test_nested_lists_follow_inserted_and_deleted_contacts() -> None:
    """An inserted contact has its lists; the lists of a deleted contact are 404."""
    async with session_of(30) as (sandbox, session):
        inserted = sandbox.change("insert", 5)
        for name in NESTED:
            async with session.get(f"/contacts/{inserted}/{name}", params={"per_page": "150"}) as response:
                key = "companies" if name == "companies" else "data"
                assert (await response.json())[key] == sandbox.workspace.nested(5, name)
        deleted = sandbox.change("delete", 5)
        assert deleted == inserted
        for name in NESTED:
            async with session.get(f"/contacts/{deleted}/{name}") as response:
                assert (response.status, (await response.json())["errors"][0]["code"]) == (404, "not_found")


@pytest.mark.parametrize("version", sorted(VERSIONS))
async def test_merged_contact_from_version_2_16_links_to_its_survivor(version: str) -> None:
    """Responses for the contact and its lists are 410 with a link in newer versions, and 404 in older ones."""
    async with session_of(30) as (sandbox, session):
        first, second = sandbox.change("merge", 5, 9), sandbox.change("merge", 8, 20)
        deleted, survivor = sandbox.change("delete", 0), sandbox.workspace.id_of(18)
        expected = (410, "contact_merged", f'</contacts/{survivor}>; rel="canonical"')
        old = (404, "not_found", None)
        for contact_id in (first, second, deleted):
            modern = version in {"2.16", "2.17", "Preview", "Unstable"} and contact_id != deleted
            for path in ("", *(f"/{name}" for name in NESTED)):
                async with session.get(
                    f"/contacts/{contact_id}{path}", headers={"Intercom-Version": version}
                ) as response:
                    code = (await response.json())["errors"][0]["code"]
                    found = (response.status, code, response.headers.get("Link"))
                assert found == (expected if modern else old), path
        async with session.get(f"/contacts/{survivor}", headers={"Intercom-Version": version}) as response:
            assert response.status == 200


async def test_merged_contact_with_deleted_survivor_is_not_found() -> None:
    """The sandbox sends no link to a deleted contact."""
    async with session_of(30) as (sandbox, session):
        merged = sandbox.change("merge", 5, 9)
        sandbox.change("delete", 8)
        async with session.get(f"/contacts/{merged}", headers={"Intercom-Version": "2.16"}) as response:
            assert response.status == 404


@pytest.mark.parametrize("version", ["2.15", "2.16"])
async def test_export_of_merged_contacts_counts_their_lists_as_gone(version: str, tmp_path: Path) -> None:
    """A contact that is merged after its page was read stays in the export, with 410 as with 404."""
    async with Sandbox(20, changes=["merge@1x3"]) as sandbox:
        expected = sandbox.workspace.records(0, 20)
        async with Intercom(sandbox.token, base_url=sandbox.base_url, api_version=version) as intercom:
            summary = await export(intercom, tmp_path / "a.ndjson", expansion=ListExpansion(("segments",)))
    rows = [json.loads(line) for line in (tmp_path / "a.ndjson").read_bytes().splitlines()]
    assert [row["id"] for row in rows] == [json.loads(record)["id"] for record in expected]
    assert summary.lists_missing_causes == {"gone": 3}


async def test_notes_cursor_works_while_the_contact_moves() -> None:
    """The cursor of a nested list belongs to the contact, at any position in the workspace."""
    async with session_of(512) as (sandbox, session):
        index = max(range(512), key=lambda number: len(sandbox.workspace.nested(number, "notes")))
        expected, contact_id = sandbox.workspace.nested(index, "notes"), sandbox.workspace.id_of(index)
        url, read, params = f"/contacts/{contact_id}/notes", [], {"per_page": "50"}
        while params is not None:
            async with session.get(url, params=params) as response:
                page = await response.json()
            read += page["data"]
            sandbox.change("insert", 0)
            sandbox.change("update", sandbox.workspace.index_of(contact_id), 100)
            following = page["pages"].get("next")
            params = following and {"per_page": "50", "starting_after": following["starting_after"]}
        assert read == expected
        assert len(read) > 50


async def test_sandbox_command_accepts_several_changes(serve: Callable[..., AbstractContextManager[Any]]) -> None:
    """--change may be given several times."""
    with serve("--contacts", "30", "--change", "delete=1", "--change", "delete@1x3") as served:
        headers = {"Authorization": f"Bearer {served.token}"}
        async with aiohttp.ClientSession(served.base_url, headers=headers) as session:
            assert [page["total_count"] for page in await walk(session)] == [30, 26, 25]


def test_sandbox_command_with_invalid_change_exits_with_code_2(command: Any) -> None:
    """It prints one line that shows the syntax."""
    done = command.run("sandbox", "--change", "split=3")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"'split=3'" in done.stderr
    assert b"NAME=EVERY, NAME@PAGE or NAME@PAGExTIMES" in done.stderr
