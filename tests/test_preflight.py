"""check(): what one page says about an export before it starts."""

import json
from pathlib import Path
from typing import Any

import pytest

import exporter
from tests.support.clients import client_of
from tests.support.responses import last_response
from tests.support.server import RawServer, send_in_turn


async def test_check_reports_what_the_export_will_be(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom, tmp_path: Path
) -> None:
    """Contacts and pages are the API's, sizes those of its first page; two requests, and nothing is written."""
    checked = await exporter.check(intercom, tmp_path / "a.ndjson.gz")
    assert (checked.workspace, checked.workspace_region) == ("Sandbox 1", "US")
    assert (checked.api_version, checked.api_version_echoed) == ("2.14", "2.14")
    assert (checked.contacts, checked.pages, checked.requests) == (1_000, 7, 7)
    assert checked.window_limit == 1_000_000
    assert checked.free_disk_bytes is not None
    assert checked.free_disk_bytes > 0
    assert checked.warnings == ()
    assert sandbox.requests == 1
    assert list(tmp_path.iterdir()) == []
    summary = await exporter.export(intercom, tmp_path / "a.ndjson.gz")
    assert checked.estimated_bytes == pytest.approx(summary.files[0].bytes, rel=0.2)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.ndjson", "a.ndjson.zst", "a.parquet"])
async def test_check_estimates_the_size_of_each_format(intercom: exporter.Intercom, tmp_path: Path, name: str) -> None:
    """The estimate is about right; for Parquet it includes the journal, which exists at the same time."""
    checked = await exporter.check(intercom, tmp_path / name)
    summary = await exporter.export(intercom, tmp_path / name)
    needed = summary.files[0].bytes
    if name == "a.parquet":
        journal = (await exporter.export(intercom, tmp_path / "a.ndjson.gz")).files[0].bytes
        needed += journal
    assert checked.estimated_bytes == pytest.approx(needed, rel=0.3)


async def test_check_counts_expanded_lists_and_limits(intercom: exporter.Intercom) -> None:
    """A request for each contact's segments; no more contacts than are asked for."""
    segments = await exporter.check(intercom, expansion=exporter.ListExpansion(("segments",), tag_names=True))
    assert segments.requests == 7 + 1_000 + 1
    few = await exporter.check(intercom, max_contacts=200)
    assert (few.contacts, few.pages, few.free_disk_bytes) == (200, 2, None)


async def test_check_duration_is_the_longer_of_responses_and_rate_limit() -> None:
    """The estimate is the longer of the two."""
    async with exporter.Sandbox(15_000, rate_limit=100, latency_ms=20) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, reserve_percent=50) as intercom:
            plain = await exporter.check(intercom)
            lists = await exporter.check(intercom, expansion=exporter.ListExpansion(("segments",)))
    assert plain.estimated_duration_s is not None
    assert plain.estimated_duration_s >= 100 / 5
    assert plain.window_limit == 100
    assert lists.estimated_duration_s == pytest.approx(15_100 / 5, rel=0.01)


@pytest.mark.slow
async def test_check_warns_of_existing_files(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """A finished export, other settings, a foreign file and a missing folder are reported."""
    await exporter.export(intercom, tmp_path / "a.ndjson")
    assert "already complete" in (await exporter.check(intercom, tmp_path / "a.ndjson")).warnings[0]
    other = await exporter.check(intercom, tmp_path / "a.ndjson", selection=exporter.FieldSelection(fields=("id",)))
    assert "another fields" in other.warnings[0]
    await exporter.export(intercom, f"{tmp_path}/raw/", file_format="csv", csv_raw=True, part_contacts=300)
    same = await exporter.check(intercom, f"{tmp_path}/raw/", file_format="csv", csv_raw=True, part_contacts=300)
    assert "already complete" in same.warnings[0]
    (tmp_path / "b.ndjson").write_text("mine")
    assert "not a finished export" in (await exporter.check(intercom, tmp_path / "b.ndjson")).warnings[0]
    with pytest.raises(exporter.ConfigError, match="cannot be used"):
        await exporter.check(intercom, tmp_path / "no" / "such" / "a.ndjson")
    with pytest.raises(exporter.ConfigError, match=r"\.ndjson"):
        await exporter.check(intercom, tmp_path / "a.xml")


async def test_check_warns_of_what_the_api_lacks() -> None:
    """Warnings name what is missing: a count, a limit, the requested version, a name."""
    bodies = (b'{"data":[{"id":"1"}],"pages":{"next":{"starting_after":"c"}}}', b"{}")
    script = send_in_turn(*(last_response(body, "Intercom-Version: 2.9") for body in bodies))
    async with RawServer(script) as server, client_of(server.base_url, per_page=50) as intercom:
        checked = await exporter.check(intercom)
    told = " ".join(checked.warnings)
    assert all(words in told for words in ("version 2.9", "does not count", "no rate limit", "name", "pages of 50"))
    assert (checked.contacts, checked.pages, checked.estimated_bytes, checked.estimated_duration_s) == (None,) * 4


async def test_check_redacts_a_workspace_name_with_the_token() -> None:
    """What `/me` says of the workspace is the server's, like a message."""
    token = "dG9rOjBmOWMxZDUy"
    page = b'{"data":[{"id":"1"}],"pages":null,"total_count":1}'
    name = b'{"app":{"name":"of %b","region":"\\u001b%b"}}' % (token.encode(), b"x" * 5_000)
    script = send_in_turn(last_response(page), last_response(name))
    async with RawServer(script) as server, client_of(server.base_url, token=token) as intercom:
        checked = await exporter.check(intercom)
    assert checked.workspace == "of [token]"
    assert checked.workspace_region == "\x1b" + "x" * 99


async def test_check_of_an_empty_workspace_in_an_old_version() -> None:
    """An old version lists leads alone; no contact at all is one page."""
    async with exporter.Sandbox(0) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, api_version="1.4") as intercom:
            checked = await exporter.check(intercom)
    assert (checked.contacts, checked.pages, checked.estimated_bytes) == (0, 1, None)
    assert "only leads" in checked.warnings[0]


@pytest.mark.parametrize("fault", ["http_401@1", "http_403@1"])
async def test_check_with_a_refused_token_is_a_credentials_error(fault: str) -> None:
    """A refused token is the same error as in an export."""
    async with exporter.Sandbox(10, faults=[fault]) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            with pytest.raises(exporter.CredentialsError):
                await exporter.check(intercom)


async def test_check_of_an_unfinished_export_estimates_what_is_left(tmp_path: Path) -> None:
    """Contacts, requests, bytes and time of what is still to be written; nothing of a finished one."""
    async with exporter.Sandbox(1_500) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:

            def stop(event: exporter.Event) -> None:
                if isinstance(event, exporter.PageWritten) and event.position.pages == 6:
                    raise KeyError("stopped")

            begun = await exporter.check(intercom, tmp_path / "a.ndjson")
            with pytest.raises(KeyError):
                await exporter.export(intercom, tmp_path / "a.ndjson", observer=stop, checkpoint_every_s=0)
            rest = await exporter.check(intercom, tmp_path / "a.ndjson")
            await exporter.export(intercom, tmp_path / "a.ndjson")
            nothing = await exporter.check(intercom, tmp_path / "a.ndjson")
    assert (begun.contacts_left, begun.requests) == (1_500, 10)
    assert rest.contacts == 1_500
    assert rest.contacts_left in (600, 750)
    assert rest.requests == (rest.contacts_left or 0) / 150
    assert rest.estimated_bytes == pytest.approx(
        (begun.estimated_bytes or 0) * (rest.contacts_left or 0) / 1_500, rel=0.01
    )
    assert (nothing.contacts_left, nothing.requests, nothing.estimated_bytes) == (0, 0, 0)


async def test_check_warns_of_too_little_free_space(
    intercom: exporter.Intercom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minimum that the disk is below already, and one that the export would break, are warnings."""
    free = 10**10  # what a real disk has free changes from moment to moment
    monkeypatch.setattr("exporter.preflight.free_bytes", lambda _folder: free)
    below = await exporter.check(intercom, tmp_path / "a.ndjson", min_free_bytes=free * 2)
    assert any("less than the minimum of" in warning for warning in below.warnings)
    tight = await exporter.check(intercom, tmp_path / "a.ndjson", min_free_bytes=free - 2_000_000)
    assert any("must stay free" in warning for warning in tight.warnings)
    enough = await exporter.check(intercom, tmp_path / "a.ndjson", min_free_bytes=1)
    assert not any("free" in warning for warning in enough.warnings)


def test_check_strict_with_warnings_exits_with_2(serve: Any, command: Any) -> None:
    """Without warnings, or without the option, it exits with 0."""
    with serve("--contacts=300", "--rate-limit=1000") as served:
        base = ("check", "-o", "a.ndjson")
        assert command.run(*base, "--strict", served=served).returncode == 0
        low = command.run(*base, "--min-free-disk=8000TB", "--strict", served=served)
        assert (low.returncode, low.stderr) == (2, b"")
        assert b"warning:" in low.stdout
        assert b"less than the minimum of" in low.stdout
        assert command.run(*base, "--min-free-disk=8000TB", served=served).returncode == 0
        told = json.loads(command.run(*base, "--json", "--strict", "--per-page=50", served=served).stdout)
        assert told["warnings"]


def test_check_command_prints_text_or_json(serve: Any, command: Any) -> None:
    """Lines on stdout, or one JSON object with the documented keys; exit code 0, 3 for a token that is refused."""
    with serve("--contacts=1000") as served:
        text = command.run("check", "-o", "a.csv.gz", served=served)
        assert (text.returncode, text.stderr) == (0, b"")
        assert b"1,000 in 7 pages" in text.stdout
        assert b"Sandbox 1" in text.stdout
        found = command.run("check", "--json", "-o", "missing/a.ndjson", served=served)
        facts = json.loads(found.stdout)
        documented = {"contacts", "pages", "api_version_echoed", "estimated_bytes", "estimated_duration_s"}
        assert documented | {"window_limit", "free_disk_bytes"} <= facts.keys()
        assert "does not exist" in facts["warnings"][0]
        refused = command.run("check", served=served, INTERCOM_ACCESS_TOKEN="dG9rOm5v")
        assert (refused.returncode, refused.stdout, refused.stderr.count(b"\n")) == (3, b"", 1)
        assert not list(command.folder.iterdir())
