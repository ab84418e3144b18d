"""Progress as JSON: a contract, with a schema in the package."""

import json
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jsonschema
import pytest

from exporter.cli.progress.json_events import events_schema

Serve = Callable[..., AbstractContextManager[Any]]
CHECK = jsonschema.Draft202012Validator(
    json.loads(events_schema()), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def events_of(done: Any) -> list[dict[str, Any]]:
    """Give the events that a command printed, each as the schema says, in one run and in order."""
    found = [json.loads(line) for line in done.stderr.splitlines() if line.startswith(b"{")]
    for event in found:
        CHECK.validate(event)
    assert len({event["run_id"] for event in found}) == 1
    assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
    return found


def test_schema_is_valid_and_printed_by_the_command(command: Any) -> None:
    """With an example that it refuses."""
    jsonschema.Draft202012Validator.check_schema(json.loads(events_schema()))
    printed = command.run("schema", "--of", "events")
    assert json.loads(printed.stdout) == json.loads(events_schema())
    assert not CHECK.is_valid({"event": "page"})
    assert not CHECK.is_valid({"event_version": 1, "run_id": "0" * 32, "seq": 1, "at": "", "event": "other"})


def test_export_has_events_from_start_to_end(serve: Serve, command: Any) -> None:
    """Started, pages, retries, checkpoints, finished; the last has the manifest's figures."""
    with serve("--contacts=450", "--fault=http_503@2") as served:
        done = command.run("contacts", "-o", "a.csv", "--progress=json", "--checkpoint-every=0", served=served)
    events = events_of(done)
    names = [event["event"] for event in events]
    assert (names[0], names[-1]) == ("started", "finished")
    assert {"page", "retry", "checkpoint"} <= set(names)
    assert (events[0]["command"], events[0]["output"]) == ("contacts", "a.csv")
    manifest = json.loads((command.folder / "a.csv.manifest.json").read_text())
    assert {name: events[-1][name] for name in ("contacts", "pages", "requests", "retries", "columns")} == {
        name: manifest[name] for name in ("contacts", "pages", "requests", "retries", "columns")
    }
    assert "next_cursor" not in json.dumps(events)


def test_failed_event_has_the_exit_code(serve: Serve, command: Any) -> None:
    """And the contacts saved; a line for people is printed besides."""
    with serve("--contacts=450", "--fault=http_401@3") as served:
        done = command.run("contacts", "-o", "a.ndjson", "--progress=json", served=served)
    last = events_of(done)[-1]
    assert (last["event"], last["error"], last["exit_code"], last["contacts_kept"]) == (
        *("failed", "CredentialsError"),
        *(done.returncode, 300),
    )
    assert done.stderr.splitlines()[-1].startswith(b"intercom-exporter: ")


def test_signal_is_a_failed_event(serve: Serve, command: Any) -> None:
    """With the code that the command ends with."""
    with serve("--contacts=100000", "--latency-ms=20") as served:
        run = command.start("contacts", "-o", "a.ndjson", "--progress=json", served=served)
        first = run.stderr.readline()
        run.send_signal(signal.SIGTERM)
        run.stdout.close()
        run.stdout = None
        _out, message = run.communicate(timeout=60)
    events = [json.loads(line) for line in (first + message).splitlines() if line.startswith(b"{")]
    assert (events[0]["event"], events[-1]["event"], events[-1]["exit_code"]) == ("started", "failed", 143)


@pytest.mark.parametrize("arguments", [("verify", "a.ndjson"), ("demo", "--contacts=300", "-o", "b.ndjson.gz")])
def test_events_of_other_commands_match_the_schema(command: Any, arguments: tuple[str, ...]) -> None:
    """Each event has the same head."""
    command.run("demo", "--contacts=300", "-q", "-o", "a.ndjson")
    assert events_of(command.run(*arguments, "--progress=json"))[-1]["event"] in ("verified", "finished")


def test_fields_missing_on_the_first_page_are_an_event(command: Any) -> None:
    """As the schema says, with their names."""
    done = command.run("demo", "--contacts=5", "-o", "a.ndjson", "--fields=id,nope", "--progress=json")
    (event,) = [event for event in events_of(done) if event["event"] == "fields_not_found"]
    assert event["fields"] == ["nope"]
