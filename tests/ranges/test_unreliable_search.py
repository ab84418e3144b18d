"""A search that cannot be trusted: no incomplete export ends as a complete one, and no complete one as incomplete."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

import exporter
from exporter.observe.events import Event, PageWritten, RangeDiscarded
from tests.support.ranges import lines_in
from tests.support.unreliable import STEP_S, Unreliable, refusal


async def export(intercom: exporter.Intercom, folder: Path, **settings: Any) -> exporter.Summary:
    """Export with four cursors, without waiting for the search."""
    return await exporter.export(intercom, f"{folder}/out/", **{"cursors": 4, "settle_s": 0, **settings})


async def written(folder: Path) -> Counter[str]:
    """Return how often each contact is in the output, by its id, or its JSON without one."""
    lines = await anyio.to_thread.run_sync(lines_in, folder / "out")
    return Counter(json.loads(line).get("id") or line.decode() for line in lines)


def add_recent(api: Unreliable, count: int, first: int = 900_000) -> set[str]:
    """Add contacts that were created in the last minutes; return their ids."""
    created = [api.contact(first + number, int(api.now_s) - 300 + number) for number in range(count)]
    api.contacts += created
    return {one["id"] for one in created}


async def test_index_that_loses_contacts_after_the_plan_is_noticed(tmp_path: Path) -> None:
    """Search and ranges agree with one another, but the list still counts what they do not have."""
    api = Unreliable(1_000)
    reading = False

    def observe(event: Event) -> None:
        nonlocal reading
        reading = reading or type(event).__name__ == "Planned"

    api.searched = lambda one: not reading or int(one["id"], 16) % 3 > 0
    async with api.serving() as intercom:
        with pytest.raises(exporter.ContractError, match="not proven complete"):
            await export(intercom, tmp_path, observer=observe)
        summary = await export(intercom, tmp_path, prove="ids")
    assert await written(tmp_path) == Counter(one["id"] for one in api.contacts)
    assert summary.contacts == 1_000


@pytest.mark.parametrize("lost", [1, 7])
async def test_index_that_loses_a_few_contacts_of_an_active_workspace_is_noticed(tmp_path: Path, lost: int) -> None:
    """A few missing contacts are no proof that they were created just now: it waits, and they stay missing."""
    api = Unreliable(1_000)
    add_recent(api, 3)
    gone = {one["id"] for one in api.contacts[100 : 100 + lost]}
    reading = [False]

    def observe(event: Event) -> None:
        reading[0] = reading[0] or type(event).__name__ == "Planned"

    api.searched = lambda one: not reading[0] or one["id"] not in gone
    async with api.serving() as intercom:
        with pytest.raises(exporter.ContractError, match=f"differ by {lost} contact"):
            await export(intercom, tmp_path, observer=observe, settle_s=0.2)


async def test_contacts_created_at_the_end_are_waited_for(tmp_path: Path) -> None:
    """The list counts them at once, the search only later: no difference once it has them."""
    api = Unreliable(1_000)
    created: set[str] = set()
    searches = [0]

    def observe(event: Event) -> None:
        if type(event).__name__ == "RangeFinished" and event.finished == event.ranges:  # type: ignore[union-attr]
            api.now_s += 100
            new = [api.contact(700_000 + number, int(api.now_s) - 20) for number in range(4)]
            api.contacts += new
            created.update(one["id"] for one in new)

    def appear(path: str, _parameters: dict[str, Any], _page: Any) -> None:
        searches[0] += bool(created) and path == "/contacts/search"

    api.searched = lambda one: one["id"] not in created or searches[0] > 0
    api.answer = appear
    async with api.serving() as intercom:
        summary = await export(intercom, tmp_path, observer=observe, settle_s=0.2)
    assert summary.contacts == 1_000
    assert summary.total_count_last == 1_004


async def fails_in_the_list(api: Unreliable, intercom: exporter.Intercom, folder: Path, **settings: Any) -> None:
    """Run an export with `ids` whose read of the list is refused in its middle."""

    def refuse(path: str, parameters: dict[str, Any], _page: Any) -> web.Response | None:
        in_middle = path == "/contacts" and int(parameters["per_page"]) > 1 and "starting_after" in parameters
        return refusal(401) if in_middle else None

    api.answer = refuse
    with pytest.raises(exporter.CredentialsError):
        await export(intercom, folder, prove="ids", checkpoint_every_s=0, **settings)
    api.answer = lambda _path, _parameters, _page: None


@pytest.mark.parametrize("in_first_run", [True, False])
async def test_late_contacts_are_written_once_whichever_run_finds_them(tmp_path: Path, *, in_first_run: bool) -> None:
    """The second search of one run has them, that of the other has not; the list was read up to its middle."""
    api = Unreliable(400)
    late = add_recent(api, 8)
    api.contacts = api.contacts[-8:] + api.contacts[:-8]  # the list begins with them
    searches = 0

    def observe(event: Event) -> None:
        nonlocal searches
        searches += isinstance(event, PageWritten)

    has_late = [False]
    api.searched = lambda one: one["id"] not in late or has_late[0]
    async with api.serving() as intercom:
        plan_end = len(api.contacts)
        if in_first_run:

            def appear(event: Event) -> None:
                finished = type(event).__name__ == "RangeFinished" and event.finished == event.ranges  # type: ignore[union-attr]
                has_late[0] = has_late[0] or finished

            await fails_in_the_list(api, intercom, tmp_path, observer=appear)
            has_late[0] = False
        else:
            await fails_in_the_list(api, intercom, tmp_path, observer=observe)
            has_late[0] = True
        summary = await export(intercom, tmp_path, prove="ids")
    assert summary.contacts == plan_end
    assert await written(tmp_path) == Counter(one["id"] for one in api.contacts)


async def test_contacts_without_an_id_are_written_by_ids(tmp_path: Path) -> None:
    """The search lacks them; all their bytes tell them apart."""
    api = Unreliable(300)
    nameless = [{"type": "contact", "email": f"{n}@example.com", "created_at": 1_600_000_000 + n} for n in range(2)]
    api.contacts += nameless
    api.searched = lambda one: "id" in one
    async with api.serving() as intercom:
        summary = await export(intercom, tmp_path, prove="ids")
    assert summary.contacts == 302
    assert sum((await written(tmp_path)).values()) == 302


async def test_contact_repeated_on_a_page_of_the_list_is_written_once(tmp_path: Path) -> None:
    """By `ids`: the list may repeat what it likes."""
    api = Unreliable(300)
    lost = api.contacts[7]
    api.searched = lambda one: one is not lost

    def repeat(path: str, _parameters: dict[str, Any], page: dict[str, Any]) -> None:
        if path == "/contacts" and lost in page["data"]:
            page["data"] = [lost, *page["data"]]

    api.answer = repeat
    async with api.serving() as intercom:
        await export(intercom, tmp_path, prove="ids")
    assert await written(tmp_path) == Counter(one["id"] for one in api.contacts)


@pytest.mark.parametrize("prove", ["counts", "ids"])
async def test_search_that_ignores_its_filter_is_noticed_at_once(tmp_path: Path, prove: Any) -> None:
    """Each range would have all contacts."""
    api = Unreliable(3_000)

    def ignore(path: str, parameters: dict[str, Any], page: dict[str, Any]) -> None:
        if path == "/contacts/search" and int(parameters["per_page"]) > 1:
            page["total_count"] = 3_000

    api.answer = ignore
    pages: list[Event] = []
    async with api.serving() as intercom:
        with pytest.raises(exporter.ContractError, match="does not select by creation date"):
            await export(intercom, tmp_path, prove=prove, observer=pages.append)
    assert sum(isinstance(event, PageWritten) for event in pages) < 10


@pytest.mark.parametrize("prove", ["counts", "ids"])
async def test_contact_that_the_search_gives_twice_is_no_success(tmp_path: Path, prove: Any) -> None:
    """Whatever the proof is."""
    api = Unreliable(600)
    first, other = api.contacts[0], api.contacts[400]

    def repeat(path: str, _parameters: dict[str, Any], page: dict[str, Any]) -> None:
        if path == "/contacts/search" and other in page["data"]:
            page["data"] = [first if one is other else one for one in page["data"]]

    api.answer = repeat
    async with api.serving() as intercom:
        with pytest.raises(exporter.ContractError):
            await export(intercom, tmp_path, prove=prove)


async def test_listed_contacts_stay_when_the_next_run_proves_by_counts(tmp_path: Path) -> None:
    """The option may change between two runs: nothing that was written is removed."""
    api = Unreliable(400)
    lost = {one["id"] for one in api.contacts[:3]}
    hidden = [True]
    api.searched = lambda one: one["id"] not in lost or not hidden[0]
    async with api.serving() as intercom:
        await fails_in_the_list(api, intercom, tmp_path)
        hidden[0] = False
        summary = await export(intercom, tmp_path)
    assert summary.proof is not None
    assert (summary.proof.by, summary.proof.distinct) == ("counts", 400)
    assert await written(tmp_path) == Counter(one["id"] for one in api.contacts)


async def test_time_zone_that_cannot_be_read_for_a_moment_is_no_change(tmp_path: Path) -> None:
    """The run ends with exit code 4; the next one succeeds. A value of another kind is no name."""
    api = Unreliable(600, "day")
    async with api.serving() as intercom:

        def refuse(event: Event) -> None:
            api.timezone = None if isinstance(event, PageWritten) else api.timezone

        with pytest.raises(exporter.ContractError, match="cannot be read any more"):
            await export(intercom, tmp_path, observer=refuse)
        api.timezone = {"name": 5}
        with pytest.raises(exporter.ContractError, match="cannot be read any more"):
            await export(intercom, tmp_path)
        api.timezone = "UTC"
        assert (await export(intercom, tmp_path)).contacts == 600


async def test_refused_cursor_of_the_list_costs_no_range(tmp_path: Path) -> None:
    """The list is read again from its beginning; what it had is not written twice."""
    api = Unreliable(400)
    lost = {one["id"] for one in api.contacts[:60]}
    api.searched = lambda one: one["id"] not in lost
    refused = [0]

    def refuse(path: str, parameters: dict[str, Any], _page: Any) -> web.Response | None:
        if path == "/contacts" and "starting_after" in parameters and refused[0] < 2:
            refused[0] += 1
            return refusal(404)
        return None

    api.answer = refuse
    async with api.serving() as intercom:
        summary = await export(intercom, tmp_path, prove="ids")
    assert refused == [2]
    assert summary.proof is not None
    assert summary.proof.listed == 60
    assert await written(tmp_path) == Counter(one["id"] for one in api.contacts)


async def test_refused_cursors_of_ranges_cost_their_ranges_alone(tmp_path: Path) -> None:
    """They are read again from their beginning."""
    api = Unreliable(900)
    refused = [0]

    def refuse(path: str, parameters: dict[str, Any], _page: Any) -> web.Response | None:
        if path == "/contacts/search" and "starting_after" in parameters and refused[0] < 3:
            refused[0] += 1
            return refusal(400)
        return None

    api.answer = refuse
    registry = CollectorRegistry()
    count, events = exporter.Metrics(registry).observer("x"), list[Event]()

    def observe(event: Event) -> None:
        events.append(event)
        count(event)

    async with api.serving() as intercom:
        summary = await export(intercom, tmp_path, checkpoint_every_s=0, part_contacts=50, observer=observe)
    discarded = [event for event in events if isinstance(event, RangeDiscarded)]
    assert [event.reason for event in discarded] == ["cursor"] * 3
    assert registry.get_sample_value("intercom_exporter_contacts", {"output": "x"}) == 900
    written_again = registry.get_sample_value("intercom_exporter_contacts_written_total", {"output": "x"})
    assert written_again == 900 + 3 * 50
    assert refused == [3]
    assert summary.contacts == 900
    assert await written(tmp_path) == Counter(one["id"] for one in api.contacts)


async def test_index_that_catches_up_while_the_plan_is_made_is_no_difference(tmp_path: Path) -> None:
    """What the search had at the start is counted by one response, not before and after the plan."""
    api = Unreliable(600)
    recent = add_recent(api, 6)
    visible: set[str] = set(list(recent)[:1])

    def catch_up(path: str, parameters: dict[str, Any], _page: Any) -> None:
        is_count = path == "/contacts/search" and int(parameters["per_page"]) == 1
        if is_count and "AND" in json.dumps(parameters["query"]):
            visible.update(recent)  # while ranges are counted

    api.searched = lambda one: one["id"] not in recent or one["id"] in visible
    api.answer = catch_up
    async with api.serving() as intercom:
        summary = await export(intercom, tmp_path)
    assert summary.contacts == 606
    assert summary.proof is not None
    assert summary.proof.unexplained == 0


async def test_contacts_created_and_deleted_in_the_newest_range_are_no_difference(tmp_path: Path) -> None:
    """Its counts stay level, and more were written than any of them."""
    api = Unreliable(300)
    add_recent(api, 200)
    deleted = [0]

    def change(path: str, parameters: dict[str, Any], _page: Any) -> None:
        if path == "/contacts/search" and "starting_after" in parameters:
            deleted[0] += 1
            api.now_s += 1
            api.contacts.append(api.contact(800_000 + deleted[0], int(api.now_s) + 1))
            api.contacts.pop(300)

    api.answer = change
    async with api.serving() as intercom:
        summary = await export(intercom, tmp_path, cursors=2)
    assert deleted[0] > 2
    assert summary.proof is not None
    assert summary.proof.unexplained == 0


async def test_clock_behind_the_newest_contact_is_refused(tmp_path: Path) -> None:
    """It would make all contacts new ones, about which the proof says nothing."""
    api = Unreliable(600)
    api.now_s -= 2_000 * STEP_S
    async with api.serving() as intercom:
        with pytest.raises(exporter.ContractError, match="header Date"):
            await export(intercom, tmp_path)


async def test_large_difference_is_refused_before_any_page_although_contacts_are_created(tmp_path: Path) -> None:
    """A few contacts may be missing from the index for some minutes, not half of all."""
    api = Unreliable(1_000)
    add_recent(api, 1)
    api.searched = lambda one: int(one["id"], 16) % 2 == 0
    pages: list[Event] = []
    async with api.serving() as intercom:
        with pytest.raises(exporter.ContractError, match="and the search only"):
            await export(intercom, tmp_path, observer=pages.append)
    assert not any(isinstance(event, PageWritten) for event in pages)


PROOF_COUNTS = (
    *("list_first", "search_first", "late", "search_last", "distinct"),
    *("created_during_run", "duplicates", "unexplained"),
)
DAMAGES: dict[str, Any] = {
    "resume token": lambda one: next(iter(one["open"].values())).update(resume_token="garbage"),
    "huge count": lambda one: next(iter(one["open"].values())).update(count_first=10**30),
    "negative count": lambda one: next(iter(one["open"].values())).update(created=-5),
    "discarded too often": lambda one: one["plan"].update(again={"00001": 10**20}),
    "discarded less than never": lambda one: one["plan"].update(again={"00001": -1}),
    "a proof too early": lambda one: one["plan"].update(proof=dict.fromkeys(PROOF_COUNTS, 1) | {"by": "counts"}),
    "no keys": lambda one: one.update(keys=None),
    "a doubtful range that is none": lambda one: one["plan"].update(doubtful=[-3]),
    "a track outside": lambda one: one["finished"].update({"../../x": []}),
    "a range that the plan has not": lambda one: one["finished"].update({"99999": []}),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_checkpoint_of_ranges_is_refused(tmp_path: Path, damage: str) -> None:
    """One line, and `restart` as the way out; nothing is believed of it."""
    api = Unreliable(900)

    def stop(path: str, parameters: dict[str, Any], _page: Any) -> web.Response | None:
        return refusal(401) if path == "/contacts/search" and "starting_after" in parameters else None

    async with api.serving() as intercom:
        api.answer = stop
        with pytest.raises(exporter.CredentialsError):
            await export(intercom, tmp_path, checkpoint_every_s=0)
        checkpoint = tmp_path / "out" / "_checkpoint.json"
        stored = json.loads(await anyio.to_thread.run_sync(checkpoint.read_bytes))
        assert stored["checkpoint_version"] == 2
        assert stored["open"]
        DAMAGES[damage](stored)
        await anyio.to_thread.run_sync(checkpoint.write_text, json.dumps(stored))
        api.answer = lambda _path, _parameters, _page: None
        with pytest.raises(exporter.CheckpointError, match="--restart"):
            await export(intercom, tmp_path)
        assert (await export(intercom, tmp_path, restart=True)).contacts == 900


async def test_contacts_created_last_are_counted_from_the_newest_page_on(tmp_path: Path) -> None:
    """Also if the second search has written something and stopped in the middle of the newest contacts."""
    api = Unreliable(600)
    recent = add_recent(api, 120)  # more than a page
    shown = set(sorted(recent)[:60])
    created: set[str] = set()
    searches = [0]

    def observe(event: Event) -> None:
        if type(event).__name__ == "RangeFinished" and event.finished == event.ranges:  # type: ignore[union-attr]
            shown.update(recent)  # found by the second search
            api.now_s += 100
            new = [api.contact(600_000 + number, int(api.now_s) - 20) for number in range(70)]
            api.contacts += new
            created.update(one["id"] for one in new)

    def appear(path: str, parameters: dict[str, Any], _page: Any) -> None:
        is_last = path == "/contacts/search" and "starting_after" in parameters
        searches[0] += bool(created) and is_last

    api.searched = lambda one: (
        (one["id"] not in recent or one["id"] in shown) and (one["id"] not in created or searches[0] > 1)
    )
    api.answer = appear
    async with api.serving() as intercom:
        summary = await export(intercom, tmp_path, observer=observe, settle_s=0.3)
    assert summary.contacts == 720
    assert summary.proof is not None
    assert summary.proof.late == 60
