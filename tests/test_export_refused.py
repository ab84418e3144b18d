"""export() again where it cannot resume: an expired cursor, other settings, damage, a circle, standard output."""

from pathlib import Path
from typing import Any

import pytest

import exporter
from tests.support.exports import files_in
from tests.support.sandboxes import serving

KINDS: dict[str, dict[str, Any]] = {
    "contacts.ndjson": {},
    "contacts.ndjson.gz": {},
    "parts/": {"part_contacts": 30},
}
kinds = pytest.mark.parametrize("kind", KINDS)


async def export(intercom: exporter.Intercom, folder: Path, kind: str, **settings: Any) -> exporter.Summary:
    """Export into one of the three kinds of output."""
    return await exporter.export(intercom, f"{folder}/{kind}", **(KINDS[kind] | settings))


async def leave_unfinished(folder: Path, kind: str) -> None:
    """Leave an export of the first five pages."""
    async with serving(faults=["http_401@6"]) as (_, intercom):
        with pytest.raises(exporter.CredentialsError):
            await export(intercom, folder, kind)


def contacts_in(folder: Path) -> int:
    """Count the lines in plain data files."""
    return sum(content.count(b"\n") for name, content in files_in(folder).items() if not name.endswith(".json"))


@kinds
async def test_resume_with_an_expired_cursor_is_refused(tmp_path: Path, kind: str) -> None:
    """A workspace that does not know the cursor ends the export before anything is mixed; restart starts over."""
    await leave_unfinished(tmp_path, kind)
    data = {name: content for name, content in files_in(tmp_path).items() if not name.endswith(".json")}
    async with serving(seed=2) as (sandbox, intercom):
        for requests in (1, 2):
            with pytest.raises(exporter.CheckpointError, match="rejected the saved cursor") as caught:
                await export(intercom, tmp_path, kind)
            assert sandbox.requests == requests
        assert caught.value.path is not None
        assert caught.value.path.exists()
        assert "use --restart" in str(caught.value)
        assert isinstance(caught.value.__cause__, exporter.CursorError)
        assert caught.value.__cause__.status == 400
        assert {name: (tmp_path / name).read_bytes() for name in data} == data
        summary = await export(intercom, tmp_path, kind, restart=True)
        assert (summary.runs, summary.contacts, summary.complete) == (1, 115, True)


@kinds
@pytest.mark.parametrize("status", [404, 410])
async def test_cursor_that_expires_during_a_run_keeps_what_was_committed(
    tmp_path: Path, kind: str, status: int
) -> None:
    """What came before it is committed, so that the same call resumes if the cursor is accepted again."""
    async with serving(faults=[f"http_{status}@6"]) as (sandbox, intercom):
        with pytest.raises(exporter.CheckpointError, match=f"API answered {status}"):
            await export(intercom, tmp_path, kind)
        events: list[exporter.Event] = []
        summary = await export(intercom, tmp_path, kind, observer=events.append)
        assert isinstance(events[0], exporter.Resumed)
        assert events[0].position.pages == 5
        assert (summary.runs, summary.pages, sandbox.requests) == (2, 12, 13)


@pytest.mark.parametrize("status", [404, 410])
async def test_refused_first_request_is_no_cursor_error(tmp_path: Path, status: int) -> None:
    """Where no cursor was sent, it is a refusal like any other; the run counts from its start."""
    async with serving(faults=[f"http_{status}@1"]) as (_, intercom):
        with pytest.raises(exporter.ApiError) as caught:
            await export(intercom, tmp_path, "contacts.ndjson")
        assert not isinstance(caught.value, exporter.CursorError)
        summary = await export(intercom, tmp_path, "contacts.ndjson")
        assert (summary.complete, summary.runs, summary.requests) == (True, 2, 13)


@kinds
async def test_resume_with_other_settings_is_refused(tmp_path: Path, kind: str) -> None:
    """Each setting that decides the bytes is compared before any request; then nothing has been changed."""
    await leave_unfinished(tmp_path, kind)
    before = files_in(tmp_path)
    async with exporter.Sandbox(115) as sandbox:
        settings: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "base url": ({}, {}),
            "base url, per page": ({"per_page": 11}, {}),
            "base url, api version": ({"api_version": "2.13"}, {}),
            "base url, max contacts": ({}, {"max_contacts": 100}),
        }
        if kind == "parts/":
            settings |= {
                "base url, format": ({}, {"file_format": "ndjson"}),
                "base url, part contacts": ({}, {"part_contacts": None}),
                "base url, part bytes": ({}, {"part_bytes": 7}),
            }
        for named, (of_client, of_export) in settings.items():
            client = exporter.Intercom(sandbox.token, base_url=sandbox.base_url, **({"per_page": 10} | of_client))
            async with client as intercom:
                with pytest.raises(exporter.CheckpointError, match=f"unfinished export with another {named}:"):
                    await export(intercom, tmp_path, kind, **of_export)
        assert sandbox.requests == 0
    assert files_in(tmp_path) == before


async def test_export_without_a_page_starts_with_any_settings(tmp_path: Path) -> None:
    """Nothing is lost with it: a first attempt with a wrong setting does not stand in the way."""
    async with serving(faults=["http_401@1"]) as (_, intercom):
        with pytest.raises(exporter.CredentialsError):
            await export(intercom, tmp_path, "contacts.ndjson")
        summary = await export(intercom, tmp_path, "contacts.ndjson", max_contacts=7)
        assert (summary.contacts, summary.runs) == (7, 1)


@kinds
@pytest.mark.parametrize("damage", ["changed", "cut", "missing", "checkpoint"])
async def test_resume_of_damaged_files_is_refused_before_any_request(tmp_path: Path, kind: str, damage: str) -> None:
    """Committed bytes that are not there any more, or a checkpoint that is not whole, end the export at once."""
    await leave_unfinished(tmp_path, kind)
    part, checkpoint = next(tmp_path.rglob("*.part")), next(tmp_path.rglob("*checkpoint.json"))
    content = part.read_bytes()
    match damage:
        case "changed":
            part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            part.write_bytes(content[:-1])
        case "missing":
            part.unlink()
        case _:
            checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    async with serving() as (sandbox, intercom):
        with pytest.raises(exporter.CheckpointError, match="use --restart to start over") as caught:
            await export(intercom, tmp_path, kind)
        assert caught.value.path == (checkpoint if damage == "checkpoint" else part)
        assert sandbox.requests == 0
        assert (await export(intercom, tmp_path, kind, restart=True)).complete


@kinds
async def test_damaged_checkpoint_is_refused_and_unchanged(tmp_path: Path, kind: str) -> None:
    """A checkpoint that cannot be understood is refused before any request, and nothing is changed."""
    await leave_unfinished(tmp_path, kind)
    checkpoint = next(tmp_path.rglob("*checkpoint.json"))
    content = checkpoint.read_bytes().replace(b'"trail": "', b'"trail": "x')
    checkpoint.write_bytes(content)
    async with serving() as (sandbox, intercom):
        for _ in range(2):
            with pytest.raises(exporter.CheckpointError, match="damaged"):
                await export(intercom, tmp_path, kind)
        assert sandbox.requests == 0
    assert checkpoint.read_bytes() == content


@pytest.mark.parametrize("stops", [[], [1], [2, 1], [4], [4, 1], [5]])
@pytest.mark.parametrize("kind", ["contacts.ndjson", "parts/"])
async def test_circle_is_noticed_after_any_interruptions(tmp_path: Path, kind: str, stops: list[int]) -> None:
    """The page that leads back is never written, however often and wherever the export was stopped before."""
    fault, settings = "cursor_loop@6", {"file_format": "ndjson"} if kind == "parts/" else {}
    for pages in stops:
        async with serving(faults=[fault]) as (_, intercom):
            with pytest.raises(RuntimeError, match="stop"):
                await export(intercom, tmp_path, kind, observer=stopping_after(pages), consumers=1, **settings)
    for _ in range(2):
        async with serving(faults=[fault]) as (_, intercom):
            with pytest.raises(exporter.ContractError, match="goes in a circle"):
                await export(intercom, tmp_path, kind, **settings)
        assert contacts_in(tmp_path) == 50


def stopping_after(pages: int) -> exporter.Observer:
    """Give an observer that fails once so many pages are written."""
    left = pages

    def observe(event: exporter.Event) -> None:
        nonlocal left
        if isinstance(event, exporter.PageWritten):
            left -= 1
            if not left:
                raise RuntimeError("stop")

    return observe


async def test_export_to_stdout_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """An export into a pipe cannot be resumed: it starts from the beginning, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    async with serving(faults=["http_401@6"]) as (sandbox, intercom):
        with pytest.raises(exporter.CredentialsError):
            await exporter.export(intercom, "-")
        assert capfdbinary.readouterr().out.count(b"\n") == 50
        events: list[exporter.Event] = []
        summary = await exporter.export(intercom, "-", observer=events.append)
        assert (summary.runs, summary.contacts, summary.files, sandbox.requests) == (1, 115, (), 6 + 12)
    assert capfdbinary.readouterr().out.count(b"\n") == 115
    assert {type(event) for event in events} == {exporter.PageWritten, exporter.RequestFinished}
    assert list(tmp_path.iterdir()) == []
