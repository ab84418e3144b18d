"""Lines on stderr: as text or as JSON, with each request where that is asked for, and nothing personal."""

import json
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import exporter

Serve = Callable[..., AbstractContextManager[Any]]


def lines_of(done: Any) -> list[dict[str, Any]]:
    """Give the lines on stderr, each a JSON object."""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_verbose_logs_each_request(serve: Serve, command: Any) -> None:
    """Method, path, status, seconds, bytes and the API's request id."""
    with serve("--contacts=300", "--fault=http_503@2") as served:
        done = command.run("contacts", "-v", "-o", "a.ndjson", served=served)
    printed = [line for line in done.stderr.decode().splitlines() if "GET /contacts" in line]
    assert [line.split()[3] for line in printed] == ["200", "503", "200"]
    assert all(line.startswith("intercom-exporter: GET /contacts ") and ", request " in line for line in printed)


def test_json_log_lines_have_time_level_and_message(serve: Serve, command: Any) -> None:
    """And the members of an event."""
    with serve("--contacts=300", "--fault=http_503@2") as served:
        done = command.run("contacts", "-v", "-o", "a.ndjson", "--log-format=json", served=served)
    lines = lines_of(done)
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    requests = [line for line in lines if line.get("event") == "request"]
    assert [line["status"] for line in requests] == [200, 503, 200]
    retry = next(line for line in lines if line.get("event") == "retry")
    assert (retry["level"], retry["cause"], retry["attempt"]) == ("warning", "http_503", 1)
    assert lines[-1]["level"] == "info"


def test_error_is_a_json_log_line(serve: Serve, command: Any) -> None:
    """With the level that alerts look for."""
    with serve("--contacts=10") as served:
        done = command.run("contacts", "--log-format=json", served=served, INTERCOM_ACCESS_TOKEN="wrong")
    (line,) = lines_of(done)
    assert (done.returncode, line["level"]) == (3, "error")


def test_requests_are_not_logged_without_verbose(serve: Serve, command: Any) -> None:
    """Retries are."""
    with serve("--contacts=300", "--fault=http_503@2") as served:
        done = command.run("contacts", "-o", "a.ndjson", served=served)
    assert b"GET" not in done.stderr
    assert b"503" in done.stderr


def test_json_progress_has_requests_only_with_verbose(command: Any) -> None:
    """There are as many as pages."""
    message = command.run("demo", "--contacts=10", "--progress=json").stderr
    assert b'"request"' not in message
    assert b'"request"' in command.run("demo", "--contacts=10", "--progress=json", "-v").stderr


async def test_library_logs_requests_at_debug_level(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom, caplog: pytest.LogCaptureFixture
) -> None:
    """Under one name, each record with its event; nothing of a contact, a token or a cursor."""
    expansion = exporter.ListExpansion(("tags",))
    with caplog.at_level(logging.DEBUG, "exporter"):
        async with exporter.stream(intercom, expansion=expansion) as chunks:
            content = b"".join([chunk async for chunk in chunks])
    records = [record for record in caplog.records if record.name == "exporter"]
    assert {record.levelno for record in records} == {logging.DEBUG}
    paths = {record.event.path for record in records}  # type: ignore[attr-defined]
    assert paths == {"/contacts", "/contacts/{id}/tags"}
    text = "\n".join(record.getMessage() for record in records)
    contacts = [json.loads(line) for line in content.splitlines()]
    assert not any(contact["id"] in text or (contact["email"] or "@@") in text for contact in contacts)
    assert sandbox.token not in text
    assert "starting_after" not in text


async def test_resumed_export_logs_each_event_once(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And no cursor, not even in the record."""

    def stop(event: exporter.Event) -> None:
        if isinstance(event, exporter.PageWritten) and event.position.pages == 3:
            raise KeyError("stopped")

    with pytest.raises(KeyError):
        await exporter.export(intercom, tmp_path / "a.ndjson", observer=stop, checkpoint_every_s=0)
    before = sandbox.requests
    with caplog.at_level(logging.DEBUG, "exporter"):
        await exporter.export(intercom, tmp_path / "a.ndjson")
    events = [record.event for record in caplog.records if record.name == "exporter"]  # type: ignore[attr-defined]
    assert [type(event).__name__ for event in events].count("RequestFinished") == sandbox.requests - before
    resumed = [event for event in events if isinstance(event, exporter.Resumed)]
    assert [event.position.next_cursor for event in resumed] == [None]


def test_verbose_into_an_unread_pipe_does_not_slow_an_export(command: Any) -> None:
    """Lines are dropped: 200 requests do not wait half a second each."""
    assert command.run_unheard("demo", "--contacts=1000", "--per-page=5", "-v", "-o", "a.ndjson") == 0


async def test_observer_gets_an_event_for_each_request(sandbox: exporter.Sandbox, intercom: exporter.Intercom) -> None:
    """As many as the sandbox counts, with the bytes sent and received."""
    printed: list[exporter.RequestFinished] = []

    def observe(event: exporter.Event) -> None:
        if isinstance(event, exporter.RequestFinished):
            printed.append(event)

    async for _page in intercom.pages(observer=observe):
        pass
    assert len(printed) == sandbox.requests
    assert {(event.method, event.path, event.status, event.cause) for event in printed} == {
        ("GET", "/contacts", 200, None)
    }
    assert all(event.bytes > 0 and event.duration_s >= 0 and event.request_id for event in printed)


async def test_request_without_a_response_has_a_cause() -> None:
    """Instead of a status."""
    printed: list[exporter.Event] = []
    retry_policy = exporter.RetryPolicy(initial_backoff_s=0.001)
    async with exporter.Sandbox(300, faults={"reset": 2}) as broken:
        async with exporter.Intercom(broken.token, base_url=broken.base_url, retry_policy=retry_policy) as intercom:
            async for _page in intercom.pages(observer=printed.append):
                pass
    causes = [event.cause for event in printed if isinstance(event, exporter.RequestFinished)]
    assert "network" in causes
