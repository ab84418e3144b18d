"""Exports with several cursors: every contact once, in files that depend on the plan alone."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import exporter
from exporter.layout.plan import decode_plan
from exporter.observe.events import CursorsChanged, Event, PageWritten, Planned, RangeFinished, VersionMismatch
from tests.support.clients import QUICK
from tests.support.exports import files_in, interrupted_after, verified
from tests.support.ranges import client_of, data_files, lines_in, records_of, sandbox_of

CONTACTS = 4_000


@pytest.mark.parametrize("precision", ["day", "second"])
@pytest.mark.parametrize("hot_day", [0.0, 0.6])
async def test_folder_has_every_contact_once_with_the_bytes_of_the_list(
    tmp_path: Path, precision: str, hot_day: float
) -> None:
    """Also with most contacts on one day, and whatever a date means; `verify` finds nothing."""
    events: list[Event] = []
    async with sandbox_of(CONTACTS, precision, hot_day=hot_day) as sandbox, client_of(sandbox) as intercom:
        summary = await exporter.export(intercom, f"{tmp_path}/out/", cursors=8, observer=events.append)
        listed = await records_of(intercom)
    assert Counter(await anyio.to_thread.run_sync(lines_in, tmp_path / "out")) == Counter(listed)
    assert (await verified(tmp_path / "out")).differences == ()
    assert summary.plan is not None
    assert summary.proof is not None
    assert summary.contacts == summary.proof.distinct == summary.proof.list_first == CONTACTS
    assert summary.source.endpoint == "/contacts/search"
    assert [file.name for file in summary.files] == sorted(file.name for file in summary.files)
    planned = next(event for event in events if isinstance(event, Planned))
    finished = [event for event in events if isinstance(event, RangeFinished)]
    assert planned.ranges == summary.plan.ranges == len(finished) > 10
    assert (finished[-1].finished, sum(event.contacts for event in finished)) == (planned.ranges, CONTACTS)
    assert summary.requests == sum(type(event).__name__ == "RequestFinished" for event in events)
    assert max(event.position.contacts for event in events if isinstance(event, PageWritten)) == CONTACTS
    assert any(isinstance(event, CursorsChanged) for event in events)


@pytest.mark.parametrize("file_format", ["ndjson", "ndjson.gz", "ndjson.zst", "csv", "csv.gz", "parquet"])
async def test_each_format_can_be_written_in_ranges(tmp_path: Path, file_format: str) -> None:
    """As parts of a folder; a range with many contacts has several parts."""
    async with sandbox_of(1_000) as sandbox, client_of(sandbox) as intercom:
        summary = await exporter.export(
            intercom, f"{tmp_path}/out/", cursors=4, file_format=file_format, part_contacts=100
        )
    assert summary.contacts == 1_000
    assert {file.name.partition(".")[2] for file in summary.files} == {file_format}
    assert any(file.name.startswith("contacts-00001-02.") for file in summary.files)
    result = await verified(tmp_path / "out")
    assert (result.differences, result.duplicates) == ((), 0)


@pytest.mark.parametrize("kind", ["csv", "ndjson.gz", "parquet"])
async def test_empty_workspace_is_one_empty_file(tmp_path: Path, kind: str) -> None:
    """As for the list."""
    async with sandbox_of(0) as sandbox, client_of(sandbox) as intercom:
        summary = await exporter.export(intercom, f"{tmp_path}/out/", cursors=4, file_format=kind)
        again = await exporter.export(intercom, f"{tmp_path}/out/", cursors=4, file_format=kind)
    assert [file.name for file in summary.files] == [f"contacts-00001-01.{kind}"]
    assert again == summary
    assert (await verified(tmp_path / "out")).differences == ()


async def test_bytes_depend_on_the_plan_alone(tmp_path: Path) -> None:
    """One lane at a time, 8 and 32 lanes, and interrupted: the same files from the same plan."""
    contents = []
    async with sandbox_of(CONTACTS) as sandbox, client_of(sandbox) as intercom:
        await exporter.export(intercom, f"{tmp_path}/plan/", cursors=8)
        plan = await anyio.to_thread.run_sync((tmp_path / "plan" / "_plan.json").read_bytes)
        for name, cursors in (("one", 1), ("eight", 8), ("many", 32)):
            folder = tmp_path / name
            with interrupted_after(1) as observer:
                await exporter.export(intercom, f"{folder}/", cursors=8, checkpoint_every_s=0, observer=observer)
            assert decode_plan(plan) is not None
            await exporter.export(intercom, f"{folder}/", cursors=cursors)
            contents.append(await anyio.to_thread.run_sync(data_files, folder))
        contents.append(await anyio.to_thread.run_sync(data_files, tmp_path / "plan"))
    assert all(content == contents[0] for content in contents)


async def test_interrupted_export_resumes_with_any_number_of_cursors(tmp_path: Path) -> None:
    """Also with none: an unfinished folder of ranges stays what it is. Each run continues where the last one ended."""
    async with sandbox_of(CONTACTS) as sandbox, client_of(sandbox) as intercom:
        complete = await exporter.export(intercom, f"{tmp_path}/complete/", cursors=5)
        runs = 0
        for cursors, pages in ((5, 3), (32, 10), (1, 15), (2, 26), (128, 39)):
            with interrupted_after(pages) as observer:
                await exporter.export(intercom, f"{tmp_path}/out/", cursors=cursors, observer=observer)
            runs += 1
        summary = await exporter.export(intercom, f"{tmp_path}/out/")
        requests = sandbox.requests
        assert await exporter.export(intercom, f"{tmp_path}/out/", cursors=9) == summary
        assert sandbox.requests == requests
    assert summary.runs == runs + 1
    assert summary.pages == complete.pages
    assert await anyio.to_thread.run_sync(data_files, tmp_path / "out") == await anyio.to_thread.run_sync(
        data_files, tmp_path / "complete"
    )
    assert {*files_in(tmp_path / "out")} - {*data_files(tmp_path / "out")} == {"_manifest.json", "_plan.json"}


async def test_unfinished_list_is_resumed_as_a_list(tmp_path: Path) -> None:
    """Options of several cursors do not change what was started without them."""
    async with sandbox_of(1_000) as sandbox, client_of(sandbox) as intercom:
        with interrupted_after(5) as observer:
            await exporter.export(intercom, f"{tmp_path}/out/", observer=observer)
        summary = await exporter.export(intercom, f"{tmp_path}/out/", cursors=8)
    assert (summary.plan, summary.source.endpoint, summary.contacts) == (None, "/contacts", 1_000)


async def test_changed_or_missing_plan_is_refused(tmp_path: Path) -> None:
    """Its digest is in the checkpoint; `restart` starts over."""
    async with sandbox_of(1_000) as sandbox, client_of(sandbox) as intercom:
        with interrupted_after(5) as observer:
            await exporter.export(intercom, f"{tmp_path}/out/", cursors=4, observer=observer)
        plan = tmp_path / "out" / "_plan.json"
        content = await anyio.to_thread.run_sync(plan.read_text)
        await anyio.to_thread.run_sync(
            plan.write_text, content.replace('"second"', '"day"').replace("UTC", "GMT") + " "
        )
        for _ in range(2):
            with pytest.raises(exporter.CheckpointError, match=r"the plan .* is missing, or was changed"):
                await exporter.export(intercom, f"{tmp_path}/out/", cursors=4)
            await anyio.to_thread.run_sync(lambda: plan.unlink(missing_ok=True))
        summary = await exporter.export(intercom, f"{tmp_path}/out/", cursors=4, restart=True)
    assert summary.contacts == 1_000


async def test_plan_of_a_run_that_died_before_its_checkpoint_is_made_anew(tmp_path: Path) -> None:
    """Nothing but the plan is in the folder."""
    async with sandbox_of(1_000) as sandbox, client_of(sandbox) as intercom:
        await exporter.export(intercom, f"{tmp_path}/first/", cursors=4)
        content = await anyio.to_thread.run_sync((tmp_path / "first" / "_plan.json").read_bytes)
        await anyio.to_thread.run_sync((tmp_path / "out").mkdir)
        await anyio.to_thread.run_sync((tmp_path / "out" / "_plan.json").write_bytes, content)
        summary = await exporter.export(intercom, f"{tmp_path}/out/", cursors=8)
    assert summary.contacts == 1_000


async def test_finished_folder_can_be_replaced_by_the_list_and_back(tmp_path: Path) -> None:
    """No file of the other kind is left behind."""
    async with sandbox_of(1_000) as sandbox, client_of(sandbox) as intercom:
        await exporter.export(intercom, f"{tmp_path}/out/", cursors=4)
        await exporter.export(intercom, f"{tmp_path}/out/", overwrite=True)
        assert (await exporter.export(intercom, f"{tmp_path}/out/")).plan is None
        assert {*files_in(tmp_path / "out")} == {"_manifest.json", "contacts-00001.ndjson.gz"}
        summary = await exporter.export(intercom, f"{tmp_path}/out/", cursors=4, overwrite=True)
    assert summary.plan is not None
    assert (await verified(tmp_path / "out")).differences == ()


async def test_replay_serves_the_contacts_in_the_order_of_the_files(tmp_path: Path) -> None:
    """The order of the manifest: ranges in order of time."""
    async with sandbox_of(1_000) as sandbox, client_of(sandbox) as intercom:
        await exporter.export(intercom, f"{tmp_path}/out/", cursors=4)
    replay = await anyio.to_thread.run_sync(exporter.Replay, tmp_path / "out")
    async with exporter.Sandbox(replay=replay) as sandbox, client_of(sandbox) as intercom:
        replayed = await records_of(intercom)
    assert replayed == await anyio.to_thread.run_sync(lines_in, tmp_path / "out")
    stamps = [json.loads(record)["created_at"] for record in replayed]
    assert stamps == sorted(stamps)


async def test_stream_has_every_contact_once() -> None:
    """In no order; it ends when the proof has succeeded."""
    async with sandbox_of(CONTACTS) as sandbox, client_of(sandbox) as intercom:
        async with exporter.stream(intercom, cursors=8) as chunks:
            streamed = b"".join([chunk async for chunk in chunks]).splitlines()
        listed = await records_of(intercom)
    assert Counter(streamed) == Counter(listed)


@pytest.mark.parametrize("fault", ["http_429=9", "http_503=5", "reset=7", "truncate=6", "empty_200=6", "html_200=8"])
async def test_faults_are_retried_without_loss(tmp_path: Path, fault: str) -> None:
    """Every few pages one fails: each contact is still written once."""
    patient = replace(QUICK, max_attempts=12, page_budget_s=60)
    async with sandbox_of(2_000, faults=[fault]) as sandbox, client_of(sandbox, retry_policy=patient) as intercom:
        summary = await exporter.export(intercom, f"{tmp_path}/out/", cursors=16)
        listed = await records_of(intercom)
    assert sum(summary.retries.values()) > 0
    assert Counter(await anyio.to_thread.run_sync(lines_in, tmp_path / "out")) == Counter(listed)


@pytest.mark.parametrize(
    ("path", "settings", "message"),
    [
        ("out.ndjson", {}, "end the output with a slash"),
        ("out.parquet", {}, "end the output with a slash"),
        ("out/", {"max_contacts": 5}, "mutually exclusive"),
        ("out/", {"cursors": 0}, "from 1 to 128"),
        ("out/", {"cursors": 129}, "from 1 to 128"),
        ("out/", {"cursors": "all"}, "or 'auto'"),
        ("out/", {"cursors": True}, "whole number"),
        ("out/", {"prove": "hope"}, "'counts' or 'ids'"),
        ("out/", {"settle_s": -1}, "settle_s"),
    ],
)
async def test_what_several_cursors_cannot_do_is_refused_before_any_request(
    tmp_path: Path, path: str, settings: dict[str, Any], message: str
) -> None:
    """One line that says what to do instead."""
    async with sandbox_of(10) as sandbox, client_of(sandbox) as intercom:
        with pytest.raises(exporter.ConfigError, match=message):
            await exporter.export(intercom, f"{tmp_path}/{path}", **{"cursors": 4, **settings})
        assert sandbox.requests == 0


async def test_version_without_search_is_refused(tmp_path: Path) -> None:
    """Versions 1.x."""
    async with sandbox_of(10) as sandbox, client_of(sandbox, api_version="1.4") as intercom:
        with pytest.raises(exporter.ConfigError, match="cannot search"):
            await exporter.export(intercom, f"{tmp_path}/out/", cursors=4)


async def test_other_version_of_the_api_is_reported_once(tmp_path: Path) -> None:
    """As for the list."""
    events: list[Event] = []
    async with sandbox_of(1_000) as sandbox, client_of(sandbox, api_version="2.13") as intercom:
        intercom.client.api_version = "2.14"  # what the responses are compared with
        await exporter.export(intercom, f"{tmp_path}/out/", cursors=4, observer=events.append)
    assert [event for event in events if isinstance(event, VersionMismatch)] == [VersionMismatch("2.14", "2.13")]


async def test_lists_are_expanded_in_ranges_as_in_the_list(tmp_path: Path) -> None:
    """The requests for lists share the client and its rate limit; each contact has the same bytes."""
    expansion = exporter.ListExpansion(("tags", "companies"), tag_names=True)
    async with sandbox_of(700) as sandbox, client_of(sandbox) as intercom:
        several = await exporter.export(intercom, f"{tmp_path}/ranges/", cursors=6, expansion=expansion)
        single = await exporter.export(intercom, f"{tmp_path}/list/", expansion=expansion)
    assert several.lists_expanded == single.lists_expanded > 0
    assert Counter(await anyio.to_thread.run_sync(lines_in, tmp_path / "ranges")) == Counter(
        await anyio.to_thread.run_sync(lines_in, tmp_path / "list")
    )


@pytest.mark.parametrize(
    ("file_format", "selection"),
    [
        ("ndjson", exporter.FieldSelection(fields=("email", "role"))),
        ("csv", exporter.FieldSelection(drop=("id",))),
        ("parquet", exporter.FieldSelection(fields=("id", "role"))),
    ],
)
async def test_ids_are_proven_whatever_is_written_of_a_contact(
    tmp_path: Path, file_format: str, selection: exporter.FieldSelection
) -> None:
    """What tells contacts apart is kept beside the files, also across runs."""
    async with sandbox_of(900, missing=30) as sandbox, client_of(sandbox) as intercom:
        settings: dict[str, Any] = {"cursors": 4, "prove": "ids", "settle_s": 0}
        settings |= {"file_format": file_format, "selection": selection, "checkpoint_every_s": 0}
        with interrupted_after(9) as observer:
            await exporter.export(intercom, f"{tmp_path}/out/", observer=observer, **settings)
        summary = await exporter.export(intercom, f"{tmp_path}/out/", **settings)
    assert summary.proof is not None
    assert (summary.contacts, summary.proof.listed, summary.duplicates) == (900, 30, 0)
    assert (await verified(tmp_path / "out")).differences == ()


@pytest.mark.parametrize("checks", range(3, 23))
async def test_export_that_reaches_the_minimum_of_free_space_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: int
) -> None:
    """Whichever check of the free space fails: a page and the keys of its contacts are written together or not."""
    left = [checks]

    def free_bytes(_folder: Path) -> int:
        left[0] -= 1
        return 10**9 if left[0] >= 0 else 0

    settings: dict[str, Any] = {"cursors": 3, "min_free_bytes": 1, "settle_s": 0}
    async with sandbox_of(900) as sandbox, client_of(sandbox) as intercom:
        with monkeypatch.context() as patch:
            patch.setattr("exporter.destination.free_space.free_bytes", free_bytes)
            with pytest.raises(exporter.SinkError, match="less than the minimum"):
                await exporter.export(intercom, f"{tmp_path}/out/", **settings)
        summary = await exporter.export(intercom, f"{tmp_path}/out/", **settings)
        listed = await records_of(intercom)
    assert summary.duplicates == 0
    assert Counter(await anyio.to_thread.run_sync(lines_in, tmp_path / "out")) == Counter(listed)
