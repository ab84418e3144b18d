"""Options without effect are refused, contradictions are decided by what was set closest; JSON mode has no text."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jsonschema
import pytest

from exporter.cli.progress.json_events import events_schema

Serve = Callable[..., AbstractContextManager[Any]]

REFUSED = [
    (("demo", "--quiet", "--verbose"), "--quiet and --verbose are mutually exclusive"),
    (("verify", "x", "-q", "-v"), "-q and -v are mutually exclusive"),
    (("demo", "--metrics-host=localhost"), "--metrics-host has no effect without --metrics-port"),
    (("demo", "--expand-concurrency=5"), "--expand-concurrency has no effect without --expand"),
    (("schema", "--of=events", "--format=table"), "--format table is for contacts"),
    (("sandbox", "--from=x", "--seed=5"), "--seed has no effect with --from: the contacts come from that export"),
    (("demo", "--overwrite"), "--overwrite is for files"),
    (("demo", "--restart"), "--restart is for files"),
    (("demo", "--checkpoint-every=5s"), "--checkpoint-every is for files"),
    (("demo", "--min-free-disk=1GB"), "--min-free-disk is for files"),
]
_MAIN = """
import json, sys
from exporter.cli.app import main
sys.exit(sum(main(words) != 2 for words in json.loads(sys.argv[1])))
"""


def test_option_without_effect_is_refused(command: Any) -> None:
    """One line that names both options."""
    done = command.program(_MAIN, json.dumps([words for words, _ in REFUSED]))
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    for (words, hint), line in zip(REFUSED, done.stderr.decode().splitlines(), strict=True):
        assert hint in line, (words, line)


def test_option_set_closest_wins_over_its_opposite(command: Any) -> None:
    """A variable or a file for all runs does not prevent one run from differing."""
    (command.folder / "settings.toml").write_text("quiet = true\n")
    shown = json.loads(command.run("config", "show", "-v", "--config=settings.toml", "--json").stdout)
    assert (shown["quiet"]["value"], shown["verbose"]["value"]) == (False, True)
    both = command.run("config", "show", "-v", "--json", INTERCOM_EXPORTER_QUIET="1")
    assert json.loads(both.stdout)["quiet"]["value"] is False
    off = command.run("config", "show", "-v", "--json", INTERCOM_EXPORTER_QUIET="false")
    assert off.returncode == 0
    variables = {"INTERCOM_EXPORTER_QUIET": "1", "INTERCOM_EXPORTER_VERBOSE": "1"}
    refused = command.run("demo", **variables)
    assert (refused.returncode, b"INTERCOM_EXPORTER_QUIET and INTERCOM_EXPORTER_VERBOSE" in refused.stderr) == (2, True)
    everywhere = command.run("demo", "--contacts=1", INTERCOM_EXPORTER_MIN_FREE_DISK="1kB")
    assert everywhere.returncode == 0  # it is meant for runs that write files


def test_wrong_option_points_to_the_help_of_its_command(command: Any) -> None:
    """Not to that of all commands."""
    for words in (["contacts", "--nope"], ["contacts", "--per-page=x"], ["contacts", "x"], ["contacts", "--per-page"]):
        assert command.run(*words).stderr.endswith(b"See intercom-exporter contacts --help.\n"), words


def _events(done: Any) -> list[dict[str, Any]]:
    """Return the events on stderr; every line is one, as the schema says."""
    check = jsonschema.Draft202012Validator(json.loads(events_schema()))
    events = [json.loads(line) for line in done.stderr.splitlines()]
    for event in events:
        check.validate(event)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    return events


def test_metrics_address_in_json_mode_is_an_event(command: Any) -> None:
    """Nothing on stderr is text then, and all events are of one run."""
    done = command.run("demo", "--contacts=10", "-o", "a.ndjson", "--progress=json", "--metrics-port=0")
    events = _events(done)
    (metrics,) = [event for event in events if event["event"] == "metrics"]
    assert metrics["address"].startswith("http://127.0.0.1:")
    assert len({event["run_id"] for event in events}) == 1


@pytest.mark.parametrize("words", [("report", "a.ndjson"), ("verify", "a.ndjson")])
def test_command_in_json_mode_prints_no_text(command: Any, words: tuple[str, ...]) -> None:
    """A report's name is an event, too."""
    assert command.run("demo", "--contacts=10", "-o", "a.ndjson", "-q").returncode == 0
    done = command.run(*words, "--progress=json")
    assert done.returncode == 0
    assert _events(done)[-1]["event"] in ("report", "verified")


def test_warning_in_json_mode_is_an_event(command: Any, serve: Serve) -> None:
    """Such as one about a secret that others can read."""
    data = command.folder / "..data"
    data.mkdir()
    (data / "token").write_text("dG9rOm15")
    (data / "token").chmod(0o644)
    (command.folder / "token").symlink_to("..data/token")
    with serve("--contacts=10", "--token=dG9rOm15") as served:
        for name in ("contacts", "check"):
            done = command.run(
                *(name, "--progress=json", "--token-file=token"), INTERCOM_EXPORTER_BASE_URL=served.base_url
            )
            logs = [event for event in _events(done) if event["event"] == "log"]
            assert (done.returncode, [event["level"] for event in logs]) == (0, ["warning"])
