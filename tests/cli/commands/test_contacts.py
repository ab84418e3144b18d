"""The command `contacts`: outputs, messages and exit codes."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import anyio.to_thread
import pytest

pytestmark = pytest.mark.smoke

Serve = Callable[..., AbstractContextManager[Any]]


def test_contacts_writes_a_manifest_and_refuses_other_settings(serve: Serve, command: Any) -> None:
    """Another page size does not match the finished export."""
    with serve("--contacts=300") as served:
        done = command.run("contacts", "-o", "a.ndjson.gz", served=served)
        assert done.returncode == 0
        manifest = json.loads((command.folder / "a.ndjson.gz.manifest.json").read_bytes())
        assert (manifest["complete"], manifest["contacts"], manifest["pages"]) == (True, 300, 2)
        other = command.run("contacts", "-o", "a.ndjson.gz", "--per-page=50", served=served)
    assert other.returncode == 6
    assert b"per page" in other.stderr
    assert other.stderr.count(b"\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "code", "hint"),
    [
        (["--fault=http_401=1"], 3, "region"),
        (["--fault=http_403=1"], 3, "permission"),
        (["--fault=http_404=1"], 4, "404"),
        (["--fault=cursor_loop@2"], 4, "circle"),
        (["--fault=http_503=1"], 4, "gave up"),
        (["--fault=html_200=1"], 4, "gave up"),
    ],
)
def test_failure_of_the_api_has_its_exit_code(
    serve: Serve, command: Any, faults: list[str], code: int, hint: str
) -> None:
    """Each class of failure ends with its code and one line that names the cause."""
    with serve("--contacts=1000", *faults) as served:
        done = command.run("contacts", "-o", "a.ndjson", "--max-retry-time=0.3", "-q", served=served)
    assert done.returncode == code
    assert hint in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert not (command.folder / "a.ndjson").exists()


def test_refused_token_is_not_shown(serve: Serve, command: Any) -> None:
    """A refused token appears nowhere, not even with --verbose."""
    with serve("--contacts=10") as served:
        done = command.run("contacts", "-v", served=served, INTERCOM_ACCESS_TOKEN="dG9rOmNhbmFyeQ==")
    assert done.returncode == 3
    assert b"canary" not in done.stderr
    assert b"dG9rOmNhbmFyeQ" not in done.stdout + done.stderr


def test_retry_is_one_line(serve: Serve, command: Any) -> None:
    """A retry prints one line, without a trace of the libraries beneath; -q silences it."""
    with serve("--contacts=1000", "--no-hostile", "--fault=http_503@2", "--fault=reset@4") as served:
        done = command.run("contacts", "-o", "a.ndjson", served=served)
        lines = done.stderr.decode().splitlines()
        assert done.returncode == 0
        assert len(lines) == 5
        assert "503" in lines[0]
        assert "attempt 2" in lines[0]
        assert all(line.startswith("intercom-exporter: ") for line in lines)
        assert "retries: 2 of 9 requests (http_503 1, network 1)" in lines[3]
        assert lines[4].endswith(": intercom-exporter verify a.ndjson")
    with serve("--contacts=1000", "--fault=http_503@2") as served:
        assert command.run("contacts", "-o", "b.ndjson", "-q", served=served).stderr == b""


def test_json_progress_has_an_event_for_each_page_and_retry(serve: Serve, command: Any) -> None:
    """--progress json writes each page, each retry and the end as an object on stderr."""
    with serve("--contacts=450", "--fault=http_500@2") as served:
        done = command.run("contacts", "-o", "a.ndjson", "--progress=json", served=served)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    events = [event for event in events if event["event"] != "checkpoint"]
    assert sorted(event["event"] for event in events) == ["finished", "page", "page", "page", "retry", "started"]
    assert events[-1]["contacts"] == 450
    assert events[-2]["position"]["contacts"] == 450


def test_resumed_export_has_events_of_resuming_and_each_checkpoint(serve: Serve, command: Any) -> None:
    """A resumed run has an event for it, and one for each checkpoint."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        command.run("contacts", "-o", "a.ndjson", served=served)
        done = command.run("contacts", "-o", "a.ndjson", "--progress=json", "--checkpoint-every=0", served=served)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    positions = [(event["event"], event["position"]["contacts"]) for event in events if "position" in event]
    assert positions == [
        *(("resumed", 150), ("checkpoint", 150)),
        *(("page", 300), ("checkpoint", 300)),
        *(("page", 450), ("checkpoint", 450)),
    ]


def test_error_line_names_the_saved_contacts(serve: Serve, command: Any) -> None:
    """Credentials that are revoked in the middle end with 3; a new token resumes."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        failed = command.run("contacts", "-o", "a.ndjson", served=served)
        done = command.run("contacts", "-o", "a.ndjson", served=served)
    assert (failed.returncode, done.returncode) == (3, 0)
    assert b"150 contacts saved: run the same command again to resume" in failed.stderr
    assert b"resuming after 150 contacts" in done.stderr
    assert (command.folder / "a.ndjson").read_bytes().count(b"\n") == 450


def test_unfinished_export_with_other_settings_is_not_resumed(serve: Serve, command: Any) -> None:
    """An unfinished export is not mixed with another page size: 6; --restart starts over."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        command.run("contacts", "-o", "a.ndjson.gz", served=served)
        refused = command.run("contacts", "-o", "a.ndjson.gz", "--per-page=100", served=served)
        done = command.run("contacts", "-o", "a.ndjson.gz", "--per-page=100", "--restart", served=served)
    assert (refused.returncode, done.returncode) == (6, 0)
    assert b"another per page" in refused.stderr
    assert json.loads((command.folder / "a.ndjson.gz.manifest.json").read_bytes())["pages"] == 5


async def test_count_that_differs_from_the_list_is_a_warning(raw_server: Any, command: Any) -> None:
    """A complete export reports it in one more line."""

    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b'{"type":"list","data":[{"id":"1"}],"total_count":100,"pages":{"next":null}}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with raw_server(respond) as base_url:
        done = await anyio.to_thread.run_sync(
            lambda: command.run(
                "contacts", "-o", "a.ndjson", f"--base-url={base_url}", INTERCOM_ACCESS_TOKEN="dG9rOm15"
            )
        )
    assert done.returncode == 0
    assert b"reports 100 contacts but listed 1:" in done.stderr.splitlines()[1]


def test_token_file_is_a_private_file_or_stdin(serve: Serve, command: Any) -> None:
    """A token file that others can read is refused."""
    with serve("--contacts=3") as served:
        path = command.folder / "token"
        path.write_text(f"  {served.token}\n")
        path.chmod(0o600)
        unset = {"INTERCOM_ACCESS_TOKEN": ""}
        assert command.run("contacts", "-q", "--token-file=token", served=served, **unset).stdout.count(b"\n") == 3
        done = command.run("contacts", "-q", "--token-file", "-", served=served, stdin=served.token.encode(), **unset)
        assert done.stdout.count(b"\n") == 3
        path.chmod(0o644)
        assert command.run("contacts", "--token-file=token", served=served, **unset).returncode == 2
        assert command.run("contacts", "--token-file=none", served=served, **unset).returncode == 2


def test_foreign_file_in_a_folder_is_refused_and_stays(serve: Serve, command: Any) -> None:
    """A file that does not belong to the export is refused in every state of the folder."""
    foreign = command.folder / "out" / "contacts-20260101.xml"
    with serve("--contacts=450", "--fault=http_401@2") as served:
        command.run("contacts", "-o", "out/", served=served)
        foreign.write_text("precious")
        for options in ((), ("--restart",), ("--overwrite",), ("--restart", "--per-page=100")):
            assert command.run("contacts", "-o", "out/", *options, served=served).returncode == 2
        foreign.rename(foreign.with_name("contacts-00002.ndjson.gz"))
        for options in ((), ("--restart",), ("--restart", "--per-page=100")):
            assert command.run("contacts", "-o", "out/", *options, served=served).returncode == 2
    assert (command.folder / "out" / "contacts-00002.ndjson.gz").read_text() == "precious"
