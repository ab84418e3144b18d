"""Workspaces that change while they are exported: what lasts is written once, and nothing healthy raises an alarm."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import anyio
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

    async with api.serving() as intercom:
        await check_complete(api, intercom, tmp_path, observer=at_end(create))


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
        await check_complete(api, intercom, tmp_path, observer=at_end(lambda: is_due.append(is_due.pop() or True)))
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


class Busy(Unreliable):
    """A workspace in which contacts are created and deleted all the time, with an index that is late.

    Args:
        seed: seed of everything random.
        every_s: seconds between two creations, and between two deletions, on average.
        new: share of the deletions that meet a contact of the last ten minutes.
        lag_s: most seconds until the index has a creation, and until it has a deletion.
    """

    def __init__(self, seed: int, every_s: tuple[float, float], new: float, lag_s: tuple[float, float]) -> None:
        super().__init__(1_500)
        self._random, self._every_s, self._new, self._lag_s = Random(seed), every_s, new, lag_s
        self._next = [self.now_s, self.now_s]
        self._indexed_at: dict[str, float] = {}
        self.deleted_at: dict[str, float] = {}
        self.listed = lambda one: one["id"] not in self.deleted_at
        self.searched = self._is_found
        self.answer = lambda *_anything: self.advance(0.25)
        self.advance(1_500)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now_s + seconds
        while min(self._next) <= end:
            which = self._next.index(min(self._next))
            self.now_s = self._next[which]
            self._next[which] += self._random.expovariate(1 / self._every_s[which])
            (self._create, self._delete)[which]()
        self.now_s = end

    def _create(self) -> None:
        one = self.contact(10**6 + len(self.contacts), int(self.now_s))
        self._indexed_at[one["id"]] = self.now_s + self._random.uniform(1, self._lag_s[0])
        self.contacts.append(one)

    def _delete(self) -> None:
        left = [one for one in self.contacts if self.listed(one)]
        new = [one for one in left if one["created_at"] > self.now_s - 600]
        one = self._random.choice(new if new and self._random.random() < self._new else left)
        self.deleted_at[one["id"]] = self.now_s + self._random.uniform(0, self._lag_s[1])

    def _is_found(self, one: Contact) -> bool:
        is_deleted = self.deleted_at.get(one["id"], self.now_s + 1) <= self.now_s
        return self._indexed_at.get(one["id"], 0) <= self.now_s and not is_deleted


@pytest.mark.parametrize(
    ("every_s", "new", "lag_s"),
    [((10, 60), 0.5, (120, 0)), ((2, 10), 1.0, (120, 0)), ((30, 60), 0.0, (120, 60)), ((1e9, 5), 0.0, (120, 60))],
    ids=["usual", "leads merged soon", "late deletions", "mass deletion"],
)
async def test_busy_workspace_is_proven_complete(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    every_s: tuple[float, float],
    new: float,
    lag_s: tuple[float, float],
) -> None:
    """By the clock of the workspace: no false alarm, and whoever stays is written once."""
    real_sleep = anyio.sleep
    for seed in range(3):
        api = Busy(seed, every_s, new, lag_s)

        async def sleep(seconds: float, api: Busy = api) -> None:
            api.advance(seconds)
            await real_sleep(0)

        for module in ("ranges.proof", "ranges.list_comparison", "source.planning"):
            monkeypatch.setattr(f"exporter.{module}.anyio.sleep", sleep)
        for module in ("ranges.proof", "ranges.lanes"):
            monkeypatch.setattr(f"exporter.{module}.time.time", lambda api=api: api.now_s)
        folder = anyio.Path(tmp_path / f"{seed}")
        await folder.mkdir()
        async with api.serving() as intercom:
            await check_complete(api, intercom, Path(folder), settle_s=300)
        monkeypatch.undo()
