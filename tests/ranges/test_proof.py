"""The proof that an export with several cursors is complete: it catches what is missing, and nothing else."""

from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio.to_thread
import pytest

import exporter
from exporter.observe.events import Event, PageWritten, Planned, RangeFinished
from tests.support.exports import interrupted_after, verified
from tests.support.ranges import Clock, at_event, client_of, lines_in, records_of, sandbox_of

LOADED = [ZoneInfo(name) for name in ("UTC", "America/Los_Angeles")]
"""The first use of a zone reads a file."""


async def counted_lines(folder: Path) -> Counter[bytes]:
    """Return how often each line is in a folder."""
    return Counter(await anyio.to_thread.run_sync(lines_in, folder))


async def export(
    intercom: exporter.Intercom, folder: Path, observer: Any = lambda _event: None, **settings: Any
) -> exporter.Summary:
    """Export with four cursors, without waiting for the search."""
    settings = {"cursors": 4, "settle_s": 0, **settings}
    return await exporter.export(intercom, f"{folder}/", observer=observer, **settings)


@pytest.mark.parametrize("missing", [1, 30])
async def test_contact_missing_from_the_search_is_noticed_before_any_page(tmp_path: Path, missing: int) -> None:
    """The list counts it: nothing is read. With `ids` the list is read too, and the contact is written."""
    pages: list[Event] = []
    async with sandbox_of(1_000, missing=missing) as sandbox, client_of(sandbox) as intercom:
        with pytest.raises(exporter.ContractError, match=r"the list counts 1,000 contacts, .* --prove ids"):
            await export(intercom, tmp_path / "out", pages.append)
        assert not any(isinstance(event, PageWritten) for event in pages)
        summary = await export(intercom, tmp_path / "out", prove="ids")
        listed = await records_of(intercom)
    assert await counted_lines(tmp_path / "out") == Counter(listed)
    assert summary.proof is not None
    assert (summary.proof.by, summary.proof.listed, summary.contacts) == ("ids", missing, 1_000)
    assert summary.files[-1].name == "contacts-listed-01.ndjson.gz"
    assert (await verified(tmp_path / "out")).differences == ()


async def test_contact_missing_from_the_search_is_noticed_while_others_are_created(tmp_path: Path) -> None:
    """At the start it may have been created just now; at the end it is still missing. Everything written stays."""
    clock = Clock()
    async with (
        sandbox_of(1_000, missing=1, live=True, clock=clock) as sandbox,
        client_of(sandbox) as intercom,
    ):
        async with client_of(sandbox) as other:  # the index exists before the new contact
            await anext(other.search({"field": "created_at", "operator": ">", "value": 0}))
        sandbox.change("insert")
        clock.now_s += 35
        for _ in range(2):
            with pytest.raises(exporter.ContractError, match=r"not proven complete: .* differ by 1 contact"):
                await export(intercom, tmp_path / "out")
        summary = await export(intercom, tmp_path / "out", prove="ids")
        listed = await records_of(intercom)
    assert await counted_lines(tmp_path / "out") == Counter(listed)
    assert summary.proof is not None
    assert summary.proof.listed == 1
    assert summary.runs == 3


@pytest.mark.parametrize("precision", ["day", "second"])
@pytest.mark.parametrize("file_format", ["ndjson", "csv"])
async def test_contacts_that_appear_late_are_found_by_the_second_search(
    tmp_path: Path, precision: str, file_format: str
) -> None:
    """The search finds new contacts only minutes later; those that were created after the start do not count."""
    clock = Clock()
    async with (
        sandbox_of(1_000, precision, live=True, lag_s=60, clock=clock) as sandbox,
        client_of(sandbox) as intercom,
    ):
        async with client_of(sandbox) as other:
            await anext(other.search({"field": "created_at", "operator": ">", "value": 0}))
        sandbox.change("insert")
        clock.now_s += 100  # the first one has appeared
        late = [sandbox.change("insert") for _ in range(3)]

        def observe(event: Event) -> None:
            if isinstance(event, RangeFinished) and event.finished == event.ranges:
                clock.now_s += 40
                sandbox.change("insert")
                clock.now_s += 70

        summary = await export(intercom, tmp_path / "out", observe, file_format=file_format)
    assert summary.proof is not None
    proof = summary.proof
    assert (proof.list_first, proof.search_first, proof.late) == (1_004, 1_001, 3)
    assert (proof.search_last, proof.distinct, proof.duplicates, proof.unexplained) == (1_004, 1_004, 0, 0)
    written = (await counted_lines(tmp_path / "out")).keys()
    assert all(sum(one.encode() in line for line in written) == 1 for one in late)
    assert f"contacts-late-01.{file_format}" in {file.name for file in summary.files}


async def test_export_waits_until_contacts_created_just_before_can_be_found(tmp_path: Path) -> None:
    """At most so long after the latest range was begun; not at all if nothing was created."""
    clock = Clock()
    async with sandbox_of(300, live=True, clock=clock) as sandbox, client_of(sandbox) as intercom:
        waits: list[float] = []
        sleep = anyio.sleep

        async def record(delay_s: float) -> None:
            waits.append(delay_s)
            await sleep(0)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("exporter.ranges.proof.anyio.sleep", record)
            summary = await export(intercom, tmp_path / "quiet", settle_s=3_600)
            assert not any(wait_s > 60 for wait_s in waits)
            sandbox.change("insert")
            clock.now_s += 35
            await export(intercom, tmp_path / "active", settle_s=3_600)
    assert summary.proof is not None
    assert summary.proof.settle_s == 3_600
    assert any(3_000 < wait_s <= 3_600 for wait_s in waits)


@pytest.mark.parametrize("back", [False, True])
async def test_changed_time_zone_is_noticed_where_dates_are_days(tmp_path: Path, *, back: bool) -> None:
    """The limits of days have moved: the same command ends the same way, until `restart`."""
    async with sandbox_of(1_500, "day", timezone="UTC") as sandbox, client_of(sandbox) as intercom:

        def move() -> None:
            sandbox.timezone = "America/Los_Angeles"

        with pytest.raises(exporter.ContractError, match="time zone was changed from UTC to America/Los_Angeles"):
            await export(intercom, tmp_path / "out", at_event(PageWritten, 5, move))
        if back:
            sandbox.timezone = "UTC"
        with pytest.raises(exporter.ContractError, match=r"time zone was changed from UTC .* --restart"):
            await export(intercom, tmp_path / "out")
        summary = await export(intercom, tmp_path / "out", restart=True)
        listed = await records_of(intercom)
    assert await counted_lines(tmp_path / "out") == Counter(listed)
    assert summary.plan is not None
    assert summary.plan.by == "day"


async def test_changed_time_zone_does_not_matter_where_dates_are_seconds(tmp_path: Path) -> None:
    """They have no limits that move."""
    async with sandbox_of(1_000, "second", timezone="UTC") as sandbox, client_of(sandbox) as intercom:

        def move() -> None:
            sandbox.timezone = "America/Los_Angeles"

        summary = await export(intercom, tmp_path / "out", at_event(PageWritten, 5, move))
    assert summary.contacts == 1_000


async def test_capped_counts_are_refused(tmp_path: Path) -> None:
    """A plan would be wrong, whatever the proof: the list is the way."""
    async with sandbox_of(10_050, cap=10_000) as sandbox, client_of(sandbox, per_page=150) as intercom:
        for prove in ("counts", "ids"):
            with pytest.raises(exporter.ContractError, match=r"counts at most 10,000 contacts.*without --cursors"):
                await export(intercom, tmp_path / "out", prove=prove)


async def test_workspace_of_exactly_the_cap_is_no_cap(tmp_path: Path) -> None:
    """The list counts the same."""
    async with sandbox_of(10_000) as sandbox, client_of(sandbox, per_page=150) as intercom:
        assert (await export(intercom, tmp_path / "out")).contacts == 10_000


@pytest.mark.parametrize("precision", ["day", "second"])
@pytest.mark.parametrize("hot_day", [0.0, 0.5])
async def test_no_lasting_contact_is_lost_or_doubled_in_a_workspace_that_changes(
    tmp_path: Path, precision: str, hot_day: float
) -> None:
    """Contacts are created, updated, merged and deleted after every few pages; whoever stays is written once."""
    clock = Clock()
    async with (
        sandbox_of(1_500, precision, hot_day=hot_day, live=True, lag_s=30, clock=clock) as sandbox,
        client_of(sandbox) as intercom,
    ):
        before = {exporter_id(record) for record in await records_of(intercom)}
        names: list[Any] = ["insert", "update", "delete", "merge"]
        pages = 0

        def change(event: Event) -> None:
            nonlocal pages
            if isinstance(event, PageWritten):
                pages += 1
                sandbox.change(names[pages % 4])
                clock.now_s += 40

        summary = await export(intercom, tmp_path / "out", change)
        lasting = before & {exporter_id(record) for record in await records_of(intercom)}
    written = Counter(exporter_id(line) for line in await anyio.to_thread.run_sync(lines_in, tmp_path / "out"))
    assert {number for one, number in written.items() if one in lasting} == {1}
    assert lasting <= written.keys()
    assert len(lasting) < len(before)
    assert summary.proof is not None
    assert summary.proof.unexplained == 0


def exporter_id(record: bytes) -> bytes:
    """Return the id of a record, as the API writes it."""
    return record[len(b'{"type":"contact","id":"') :][:24]


async def test_read_of_the_list_is_resumed(tmp_path: Path) -> None:
    """`ids` reads it after all ranges; an interrupted run continues in it, and writes nothing twice."""
    async with sandbox_of(1_000, missing=40) as sandbox, client_of(sandbox) as intercom:
        whole = await export(intercom, tmp_path / "whole", prove="ids")
        assert whole.proof is not None
        pages = whole.pages
        for done in (pages - 15, pages - 8, pages - 2):
            with interrupted_after(done) as observer:
                await export(intercom, tmp_path / "out", observer, prove="ids", checkpoint_every_s=0)
        summary = await export(intercom, tmp_path / "out", prove="ids")
        listed = await records_of(intercom)
    assert await counted_lines(tmp_path / "out") == Counter(listed)
    assert summary.runs == 4
    assert summary.proof is not None
    assert summary.proof.listed == 40


async def test_range_whose_count_never_fits_is_read_twice_and_then_refused(tmp_path: Path) -> None:
    """What its search counts cannot be read from it. Reading it again discards what was written of it."""
    events: list[Event] = []
    async with sandbox_of(1_000, unsettled=1) as sandbox, client_of(sandbox) as intercom:
        with pytest.raises(exporter.ContractError, match=r"not proven complete: .* differ by 1 contact; .*--prove ids"):
            await export(intercom, tmp_path / "out", events.append)
        summary = await export(intercom, tmp_path / "out", prove="ids")
        listed = await records_of(intercom)
    assert await counted_lines(tmp_path / "out") == Counter(listed)
    assert summary.proof is not None
    assert (summary.proof.listed, summary.proof.duplicates) == (0, 0)
    assert sum(isinstance(event, Planned) for event in events) == 1
