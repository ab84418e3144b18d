"""Workspaces that change while they are exported: what lasts is written once, and nothing healthy raises an alarm."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from aiohttp import web

import exporter
from exporter.observe.events import Event, Planned, RangeFinished
from tests.support.ranges import lines_in
from tests.support.unreliable import Contact, Unreliable, refusal


async def export(intercom: exporter.Intercom, folder: Path, **settings: Any) -> exporter.Summary:
    """Export with four cursors."""
    return await exporter.export(intercom, f"{folder}/out/", **{"cursors": 4, "settle_s": 0.2, **settings})


async def written(folder: Path) -> Counter[str]:
    """Return how often each contact is in the output, by its id."""
    lines = await anyio.to_thread.run_sync(lines_in, folder / "out")
    return Counter(json.loads(line)["id"] for line in lines)


def add_recent(api: Unreliable, count: int) -> list[Contact]:
    """Add contacts that were created in the last minutes."""
    created = [api.contact(900_000 + number, int(api.now_s) - 300 + number) for number in range(count)]
    api.contacts += created
    return created


def at_end(act: Callable[[], object]) -> Callable[[Event], None]:
    """Return an observer that acts once all ranges are read."""

    def observe(event: Event) -> None:
        if isinstance(event, RangeFinished) and event.finished == event.ranges:
            act()

    return observe


async def check_complete(api: Unreliable, intercom: exporter.Intercom, folder: Path, **settings: Any) -> None:
    """Check that an export is proven complete, and has each contact once that was there before and after it."""
    before = {one["id"] for one in api.contacts if api.listed(one)}
    summary = await export(intercom, folder, **settings)
    assert summary.proof is not None
    assert (summary.proof.by, summary.proof.unexplained) == ("counts", 0)
    found = await written(folder)
    assert before & {one["id"] for one in api.contacts if api.listed(one)} <= found.keys()
    assert set(found.values()) == {1}


@pytest.mark.parametrize("precision", ["day", "second"])
async def test_contacts_that_the_search_lacks_for_a_while_are_found_although_others_are_deleted(
    tmp_path: Path, precision: str
) -> None:
    """The sums of all ranges are equal; but one range has more contacts now than were written, and is read again."""
    api = Unreliable(3_000, precision)
    lost = {one["id"] for one in api.contacts[100:105]}
    is_reading = [False]

    def observe(event: Event) -> None:
        is_reading[0] = is_reading[0] or isinstance(event, Planned)
        if isinstance(event, RangeFinished) and event.finished == event.ranges:
            is_reading[0] = False
            del api.contacts[2_000:2_005]

    api.searched = lambda one: not is_reading[0] or one["id"] not in lost
    async with api.serving() as intercom:
        await check_complete(api, intercom, tmp_path, observer=observe)
        summary = await export(intercom, tmp_path)
    assert summary.proof is not None
    assert summary.proof.late == 5


async def test_contacts_that_the_search_lacks_for_good_are_noticed_although_others_are_deleted(tmp_path: Path) -> None:
    """The search lost them after the plan; at the end it still has fewer contacts than the list, in each comparison."""
    api = Unreliable(1_000)
    lost = {one["id"] for one in add_recent(api, 3)[:2]}

    async with api.serving() as intercom:
        api.searched = lambda one: one["id"] not in lost
        with pytest.raises(exporter.ContractError, match="differ by 2 contacts"):
            await export(intercom, tmp_path, observer=at_end(lambda: api.contacts.pop(500)))


async def test_contacts_that_the_search_loses_for_good_are_noticed_although_others_are_deleted(tmp_path: Path) -> None:
    """As many are deleted after they were written: the search has all that was written, but fewer than the list."""
    api = Unreliable(1_000)
    lost: set[str] = set()
    api.searched = lambda one: one["id"] not in lost

    def observe(event: Event) -> None:
        if isinstance(event, Planned):
            lost.update(one["id"] for one in api.contacts[100:102])
        if isinstance(event, RangeFinished) and event.finished == event.ranges:
            del api.contacts[500:504]

    async with api.serving() as intercom:
        with pytest.raises(exporter.ContractError, match="differ by 2 contacts"):
            await export(intercom, tmp_path, observer=observe)


@pytest.mark.parametrize("is_found_first", [True, False])
async def test_recent_contact_that_is_deleted_is_no_difference(tmp_path: Path, *, is_found_first: bool) -> None:
    """The list counted it, and it never appears: at the end the search has all that the list has."""
    api = Unreliable(1_000)
    deleted, late, _ = add_recent(api, 3)
    hidden = {late["id"]} if is_found_first else {late["id"], deleted["id"]}
    api.searched = lambda one: one["id"] not in hidden

    def change() -> None:
        api.contacts.remove(deleted)
        hidden.clear()
        api.now_s += 300

    async with api.serving() as intercom:
        await check_complete(api, intercom, tmp_path, observer=at_end(change))


async def test_deleted_contact_that_is_still_found_is_no_difference(tmp_path: Path) -> None:
    """The index is late for deletions too: more contacts are written than either of them counted."""
    api = Unreliable(1_000)
    deleted, created = api.contacts[500], add_recent(api, 2)[1]
    is_current = [False]
    api.searched = lambda one: one is not (deleted if is_current[0] else created)
    api.listed = lambda one: one is not deleted

    def catch_up() -> None:
        is_current[0] = True
        api.now_s += 300

    async with api.serving() as intercom:
        await check_complete(api, intercom, tmp_path, observer=at_end(catch_up))


async def test_contact_deleted_between_the_counts_of_the_plan_is_no_difference(tmp_path: Path) -> None:
    """The list counted it, and the search a second later did not."""
    api = Unreliable(1_000)
    add_recent(api, 1)

    def delete(path: str, parameters: dict[str, Any], page: dict[str, Any]) -> None:
        if path == "/contacts/search" and int(parameters["per_page"]) > 1 and len(api.contacts) > 1_000:
            del api.contacts[10]
            page["total_count"] -= 1

    api.answer = delete
    async with api.serving() as intercom:
        await check_complete(api, intercom, tmp_path)


async def test_new_contact_deleted_between_the_counts_at_the_end_is_no_difference(tmp_path: Path) -> None:
    """The list counted it, and the search did not any more: both are counted again."""
    api = Unreliable(1_000)
    add_recent(api, 1)
    added: list[Contact] = []

    def create() -> None:
        api.now_s += 300
        added.append(api.contact(800_000, int(api.now_s) - 50))
        api.contacts.append(added[0])

    def delete(path: str, _parameters: dict[str, Any], _page: Any) -> None:
        if added and path == "/contacts":
            api.contacts.remove(added.pop())

    api.answer = delete
    async with api.serving() as intercom:
        await check_complete(api, intercom, tmp_path, observer=at_end(create), settle_s=1)


@pytest.mark.parametrize("ahead_s", [1, 30])
async def test_clock_of_creation_dates_may_be_ahead_of_the_responses(tmp_path: Path, ahead_s: int) -> None:
    """At the start, and for a contact that is created at the end."""
    api = Unreliable(1_000)
    add_recent(api, 1)
    api.contacts.append(api.contact(800_000, int(api.now_s) + ahead_s))

    def create() -> None:
        api.now_s += 300
        api.contacts.append(api.contact(800_001, int(api.now_s) + ahead_s))

    def pass_time(*_anything: Any) -> None:
        api.now_s += 1

    api.answer = pass_time
    async with api.serving() as intercom:
        await check_complete(api, intercom, tmp_path, observer=at_end(create))


async def test_lost_contact_is_noticed_while_others_are_created_with_dates_in_the_future(tmp_path: Path) -> None:
    """A contact created between the counts of list and search does not make up for it."""
    api = Unreliable(1_000)
    add_recent(api, 1)
    lost = api.contacts[100]["id"]
    is_reading = [False]
    api.searched = lambda one: one["id"] != lost or not is_reading[0]

    def create(*_anything: Any) -> None:
        api.now_s += 1
        if is_reading[0]:
            api.contacts.append(api.contact(800_000 + len(api.contacts), int(api.now_s) + 30))

    def observe(event: Event) -> None:
        is_reading[0] = is_reading[0] or isinstance(event, Planned)

    api.answer = create
    async with api.serving() as intercom:
        with pytest.raises(exporter.ContractError, match="not proven complete"):
            await export(intercom, tmp_path, observer=observe)


async def test_contact_restored_while_the_export_runs_is_written(tmp_path: Path) -> None:
    """It was created long ago, and no count at the start has it; its range has more contacts than were written."""
    api = Unreliable(1_000)
    restored = api.contacts.pop(300)
    async with api.serving() as intercom:
        await check_complete(api, intercom, tmp_path, observer=at_end(lambda: api.contacts.insert(300, restored)))
    assert restored["id"] in await written(tmp_path)


async def test_search_that_is_late_for_deletions_at_the_start_is_no_difference(tmp_path: Path) -> None:
    """It counts more contacts than the list, whose count falls."""
    api = Unreliable(1_000)
    deleted: list[str] = []
    api.listed = lambda one: one["id"] not in deleted
    api.searched = lambda one: one["id"] not in deleted[:-3]

    def delete(path: str, _parameters: dict[str, Any], _page: Any) -> None:
        if path == "/contacts":
            deleted.append(api.contacts[len(deleted)]["id"])

    api.answer = delete
    async with api.serving() as intercom:
        await check_complete(api, intercom, tmp_path)


async def test_range_that_did_not_fit_is_searched_again_by_the_next_run(tmp_path: Path) -> None:
    """A count that was wrong for a while does not condemn the export."""
    api = Unreliable(600)
    is_wrong = [True]

    def miscount(path: str, parameters: dict[str, Any], page: dict[str, Any]) -> None:
        if is_wrong[0] and path == "/contacts/search" and int(parameters["per_page"]) > 1:
            page["total_count"] += 1

    api.answer = miscount
    async with api.serving() as intercom:
        with pytest.raises(exporter.ContractError, match="not proven complete"):
            await export(intercom, tmp_path)
        is_wrong[0] = False
        await check_complete(api, intercom, tmp_path)


@pytest.mark.parametrize("when", ["plan", "end"])
async def test_refused_cursor_of_the_newest_contacts_is_asked_for_again(tmp_path: Path, when: str) -> None:
    """In the plan and in the second search."""
    api = Unreliable(1_000)
    add_recent(api, 120)
    is_due, refused = [when == "plan"], [0]

    def refuse(path: str, parameters: dict[str, Any], _page: Any) -> web.Response | None:
        if is_due[0] and path == "/contacts/search" and "starting_after" in parameters and not refused[0]:
            refused[0] += 1
            return refusal(404)
        return None

    api.answer = refuse
    async with api.serving() as intercom:
        await check_complete(api, intercom, tmp_path, observer=at_end(lambda: is_due.__setitem__(0, True)))
    assert refused == [1]


async def test_absurd_counts_end_the_plan(tmp_path: Path) -> None:
    """A server may report any number: the plan has a limit."""
    api, requests = Unreliable(300), [0]

    def count(_path: str, _parameters: dict[str, Any], page: dict[str, Any]) -> None:
        requests[0] += 1
        page["total_count"] = 10**12

    api.answer = count
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.source.planner._MAX_COUNTS", 200)
        async with api.serving() as intercom:
            with pytest.raises(exporter.ContractError):
                await export(intercom, tmp_path)
    assert requests[0] < 2_000
