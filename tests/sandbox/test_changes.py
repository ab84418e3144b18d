"""A workspace that changes while it is read: how it is spelled, what happens, and what a client sees of it."""

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

places = st.integers(0, 10**6)


async def fetch(session: aiohttp.ClientSession, cursor: str = "", per_page: int = 10) -> Any:
    """Fetch one page of contacts, decoded."""
    params = {"per_page": str(per_page), "starting_after": cursor}
    async with session.get("/contacts", params=params) as answer:
        assert answer.status == 200, await answer.text()
        return json.loads(await answer.read())


async def walk(session: aiohttp.ClientSession, per_page: int = 10) -> list[Any]:
    """Follow the cursors to the end; return the pages."""
    pages = [await fetch(session, per_page=per_page)]
    while following := pages[-1]["pages"].get("next"):
        pages.append(await fetch(session, following["starting_after"], per_page))
    return pages


def ids(pages: list[Any]) -> list[str]:
    """Name the contacts of pages, in order."""
    return [row["id"] for page in pages for row in page["data"]]


def listed(workspace: Workspace) -> list[str]:
    """Name the contacts of a workspace as it is now."""
    return [json.loads(record)["id"] for record in workspace.records(0, len(workspace))]


def happened(changes: str | list[str] | Mapping[str, int], pages: list[int]) -> list[int]:
    """Count the changes after each of several pages."""
    workspace = Workspace(1_000)
    plan, counts = Mutations(workspace, changes), [0]
    for page in pages:
        plan.apply_after_page(page)
        counts.append(workspace.changes)
    return [after - before for before, after in itertools.pairwise(counts)]


@pytest.mark.parametrize("name", NAMES)
def test_spelling(name: Any) -> None:
    """Each name goes with all three ways to say when."""
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
def test_other_spellings_are_refused(text: str) -> None:
    """What cannot be read is a configuration error that names the changes there are, on one line."""
    with pytest.raises(ConfigError, match=r"names: insert, update, delete, merge$") as caught:
        Sandbox(changes=[text])
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_when_changes_are_due() -> None:
    """NAME=EVERY counts the pages served, NAME@PAGE comes once, NAME@PAGExTIMES brings so many at once."""
    assert happened("insert=3", [1, 1, 1, 2, 3, 4]) == [0, 0, 1, 0, 0, 1]
    assert happened("delete@2", [1, 2, 2, 3]) == [0, 1, 0, 0]
    assert happened("update@2x5", [1, 2, 2]) == [0, 5, 0]
    assert happened(["insert=1", "insert=1", "delete@2", "delete@2"], [1, 2, 2]) == [2, 4, 2]
    assert happened({"insert": 2, "update": 3}, [1] * 6) == [0, 1, 1, 1, 0, 2]
    assert happened([], [1, 2]) == [0, 0]


def test_nobody_can_leave_an_empty_workspace() -> None:
    """Deleting goes on until nobody is left, and then waits for somebody; asked for directly, it is an error."""
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


def left_of(contact_id: str, merged: Mapping[str, str], there: list[str]) -> str | None:
    """Name the contact that a merged one became, if it is there."""
    last = contact_id
    while last in merged:
        last = merged[last]
    return last if last != contact_id and last in there else None


@given(st.integers(0, 30), st.lists(st.tuples(st.sampled_from(NAMES), places, places)))
def test_changes_are_those_of_a_plain_list(contacts: int, changes: list[tuple[str, int, int]]) -> None:
    """Any sequence of changes does to a workspace what it does to a list, and ids keep leading to their contacts."""
    workspace = Workspace(contacts)
    model = [workspace.id_of(index) for index in range(contacts)]
    gone: set[str] = set()
    merged: dict[str, str] = {}
    for name, anywhere, elsewhere in changes:
        place, to = (number % max(len(model), 1) for number in (anywhere, elsewhere))
        if name == "insert":
            place = anywhere % (len(model) + 1)
            model.insert(place, workspace.insert(place))
        elif model and name == "delete":
            gone.add(model.pop(place))
            assert workspace.delete(place) in gone
        elif name == "merge" and place != to:
            assert workspace.merge(place, to) == model[place]
            merged[model[place]] = model[to]
            gone.add(model.pop(place))
        elif model:
            assert workspace.update(place, to) == model[place]
            model.insert(to, model.pop(place))
        assert listed(workspace) == model
    assert len(workspace) == len(model) == len(set(model))
    assert [workspace.index_of(contact_id) for contact_id in model] == list(range(len(model)))
    assert {workspace.index_of(contact_id) for contact_id in gone} <= {None}
    for contact_id in [*model, *gone]:
        assert workspace.survivor_of(contact_id) == left_of(contact_id, merged, model)


@given(st.integers(0, 20), st.lists(st.sampled_from(NAMES)), st.integers())
def test_drawn_positions_are_real_ones(contacts: int, names: list[Any], seed: int) -> None:
    """Whatever the seed and the size, a change without a position finds one; an update moves if it can."""
    workspace = Workspace(contacts, seed)
    changes = Mutations(workspace)
    for name in names:
        before = listed(workspace)
        if len(before) >= {"insert": 0, "merge": 2}.get(name, 1):
            contact_id = changes.apply(name)
            after = listed(workspace)
            assert len(after) - len(before) == {"insert": 1, "update": 0, "delete": -1, "merge": -1}[name]
            assert (contact_id in before, contact_id in after) == (name != "insert", name not in {"delete", "merge"})
            assert name != "update" or len(before) == 1 or before.index(contact_id) != after.index(contact_id)


@pytest.mark.parametrize("index", [0, 3, 4, *range(7, 10_000, 1_000)])
def test_update_changes_two_values_and_no_other_byte(index: int) -> None:
    """An updated contact has another owner and the latest updated_at of all, whatever its values look like."""
    workspace = Workspace(10_000, hostile=True)
    before = workspace.record(index)
    workspace.update(index, 9_999)
    after, old = workspace.record(9_999), json.loads(before)
    new = json.loads(after)
    assert {name for name in new if new[name] != old[name]} == {"owner_id", "updated_at"}
    for name in ("owner_id", "updated_at"):
        after = after.replace(json.dumps(new[name]).encode(), json.dumps(old[name]).encode())
    assert after == before


def test_every_change_is_later_than_what_was_before() -> None:
    """An update makes a contact the latest of all, again and again, also one that has just appeared."""
    workspace = Workspace(50)
    latest = 0
    for place in (0, 0, 49, 20):
        workspace.insert(10)
        for index in (10, place):
            workspace.update(index, index)
            row = json.loads(workspace.record(index))
            stamps = [value for name, value in row.items() if name.endswith("_at") and value is not None]
            assert row["updated_at"] == max(stamps) > latest
            latest = row["updated_at"]


def test_a_contact_that_appears_is_as_real_as_the_others() -> None:
    """It is the one a larger workspace would have, with its own nested lists."""
    small, large = Workspace(10), Workspace(11)
    assert small.insert(4) == large.id_of(10)
    assert small.record(4) == large.record(10)
    assert small.created_at(4) == large.created_at(10)
    assert all(small.nested(4, name) == large.nested(10, name) for name in NESTED)
    assert small.records(5, 11) == large.records(4, 10)


def test_impossible_changes() -> None:
    """A position there is not, or a change there is not, is an error that changes nothing."""
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


def test_without_changes_there_is_no_list() -> None:
    """A workspace nothing happens to stays as small as it was."""
    sandbox = Sandbox(10**12, changes=["update@3"])
    sandbox.workspace.records(10**11, 10**11 + 150)
    assert isinstance(sandbox.workspace._serials, range)


async def test_a_change_before_the_cursor_shifts_the_rest() -> None:
    """After a deletion before the cursor one contact never comes, after an insertion one comes twice."""
    async with session_of(30) as (sandbox, session):
        truth = listed(sandbox.workspace)
        first = await fetch(session)
        sandbox.change("delete", 0)
        second = await fetch(session, first["pages"]["next"]["starting_after"])
        assert ids([first, second]) == [*truth[:10], *truth[11:21]]
        sandbox.change("insert", 3)
        third = await fetch(session, second["pages"]["next"]["starting_after"])
        assert ids([third]) == truth[20:]
        assert (first["total_count"], second["total_count"], third["total_count"]) == (30, 29, 30)


async def test_an_updated_contact_comes_twice_or_never() -> None:
    """One that moves behind the cursor is seen again with its new values; one that moves before it is missed."""
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


async def test_changes_after_pages() -> None:
    """They come after the page they are spelled for, and the total follows."""
    async with session_of(30, changes=["delete@1x2", "insert=3"]) as (sandbox, session):
        pages = await walk(session)
        assert [page["total_count"] for page in pages] == [30, 28, 28]
        assert [page["pages"]["total_pages"] for page in pages] == [3, 3, 3]
        assert len(sandbox.workspace) == 29


async def test_a_page_that_is_not_served_changes_nothing() -> None:
    """A failed or broken answer is none; the page that comes late or leads in a circle is one."""
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
async def test_a_cursor_beyond_the_end_leads_to_an_empty_last_page(left: int) -> None:
    """Where the list has become shorter than the cursor's position, there is an end and no error."""
    async with session_of(30) as (sandbox, session):
        cursor = (await fetch(session))["pages"]["next"]["starting_after"]
        while len(sandbox.workspace) > left:
            sandbox.change("delete")
        page = await fetch(session, cursor)
    assert page["data"] == []
    assert page["total_count"] == left
    assert "next" not in page["pages"]


async def test_the_same_seed_is_the_same_run() -> None:
    """What a client reads depends on the seed alone, and differs from one seed to the next."""
    runs = []
    for seed in (1, 1, 2):
        async with session_of(200, seed=seed, changes={"insert": 1, "update": 2, "delete": 3}) as (sandbox, session):
            read = ids(await walk(session))
            order = [read.index(contact_id) if contact_id in read else -1 for contact_id in listed(sandbox.workspace)]
            runs.append((read, order))
    assert runs[0] == runs[1]
    assert runs[1][1] != runs[2][1]


async def test_reading_on_while_everything_changes() -> None:
    """Some contacts come twice and some that stay never, and each that comes is one there is or was."""
    async with session_of(1_000, changes=["insert=1", "update=1", "delete=1"]) as (sandbox, session):
        before = set(listed(sandbox.workspace))
        read = ids(await walk(session))
        after = set(listed(sandbox.workspace))
    assert len(read) > len(set(read))
    assert before & after - set(read)
    assert after - before
    assert before - after
    assert set(read) <= set(listed(Workspace(1_000 + sandbox.workspace.changes)))


async def test_nested_lists_of_contacts_that_come_and_go() -> None:
    """A new contact has its lists; those of a contact that went are 404."""
    async with session_of(30) as (sandbox, session):
        came = sandbox.change("insert", 5)
        for name in NESTED:
            async with session.get(f"/contacts/{came}/{name}", params={"per_page": "150"}) as answer:
                key = "companies" if name == "companies" else "data"
                assert (await answer.json())[key] == sandbox.workspace.nested(5, name)
        went = sandbox.change("delete", 5)
        assert went == came
        for name in NESTED:
            async with session.get(f"/contacts/{went}/{name}") as answer:
                assert (answer.status, (await answer.json())["errors"][0]["code"]) == (404, "not_found")


@pytest.mark.parametrize("version", sorted(VERSIONS))
async def test_merged_contact_asked_for_leads_to_its_survivor_from_2_16_on(version: str) -> None:
    """The contact and its lists answer 410 with a link in newer versions, and 404 in older ones."""
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
                ) as answer:
                    code = (await answer.json())["errors"][0]["code"]
                    found = (answer.status, code, answer.headers.get("Link"))
                assert found == (expected if modern else old), path
        async with session.get(f"/contacts/{survivor}", headers={"Intercom-Version": version}) as answer:
            assert answer.status == 200


async def test_merged_contact_whose_survivor_went_is_not_found() -> None:
    """A link that leads nowhere is not given."""
    async with session_of(30) as (sandbox, session):
        merged = sandbox.change("merge", 5, 9)
        sandbox.change("delete", 8)
        async with session.get(f"/contacts/{merged}", headers={"Intercom-Version": "2.16"}) as answer:
            assert answer.status == 404


@pytest.mark.parametrize("version", ["2.15", "2.16"])
async def test_export_of_lists_of_merged_contacts_keeps_what_the_page_had(version: str, tmp_path: Path) -> None:
    """A contact that was merged after its page was read counts as gone, with 410 as with 404."""
    async with Sandbox(20, changes=["merge@1x3"]) as sandbox:
        expected = sandbox.workspace.records(0, 20)
        async with Intercom(sandbox.token, base_url=sandbox.base_url, api_version=version) as intercom:
            summary = await export(intercom, tmp_path / "a.ndjson", expansion=ListExpansion(("segments",)))
    rows = [json.loads(line) for line in (tmp_path / "a.ndjson").read_bytes().splitlines()]
    assert [row["id"] for row in rows] == [json.loads(record)["id"] for record in expected]
    assert summary.lists_missing_causes == {"gone": 3}


async def test_notes_go_on_while_their_contact_moves() -> None:
    """The cursor of a nested list belongs to the contact, wherever that is in the workspace."""
    async with session_of(512) as (sandbox, session):
        index = max(range(512), key=lambda number: len(sandbox.workspace.nested(number, "notes")))
        whole, contact_id = sandbox.workspace.nested(index, "notes"), sandbox.workspace.id_of(index)
        url, read, params = f"/contacts/{contact_id}/notes", [], {"per_page": "50"}
        while params is not None:
            async with session.get(url, params=params) as answer:
                page = await answer.json()
            read += page["data"]
            sandbox.change("insert", 0)
            sandbox.change("update", sandbox.workspace.index_of(contact_id), 100)
            following = page["pages"].get("next")
            params = following and {"per_page": "50", "starting_after": following["starting_after"]}
        assert read == whole
        assert len(read) > 50


async def test_the_command_line(serve: Callable[..., AbstractContextManager[Any]]) -> None:
    """--change may be given several times."""
    with serve("--contacts", "30", "--change", "delete=1", "--change", "delete@1x3") as served:
        headers = {"Authorization": f"Bearer {served.token}"}
        async with aiohttp.ClientSession(served.base_url, headers=headers) as session:
            assert [page["total_count"] for page in await walk(session)] == [30, 26, 25]


def test_a_mistake_on_the_command_line(command: Any) -> None:
    """It ends with the code for a wrong configuration and one line that says how to write it."""
    done = command.run("sandbox", "--change", "split=3")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"'split=3'" in done.stderr
    assert b"NAME=EVERY, NAME@PAGE or NAME@PAGExTIMES" in done.stderr
