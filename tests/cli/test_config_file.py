"""Settings: option, environment, file, default; and where each came from."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def settings(command: Any) -> Callable[[str], Path]:
    """Write a settings file into the command's folder."""

    def write(text: str) -> Path:
        path: Path = command.folder / "settings.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def shown(command: Any, *words: str, **variables: str) -> dict[str, Any]:
    """Give what `config show` says, by setting."""
    done = command.run("config", "show", *words, "--json", **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_file_has_the_lowest_precedence_before_defaults(command: Any, settings: Callable[[str], Path]) -> None:
    """Option, then environment, then file, then default."""
    settings("max-contacts = 7\nper_page = 3\nqueue-pages = 2\nquiet = true\n")
    base = ("demo", "--config", "settings.toml")
    assert command.run(*base).stdout.count(b"\n") == 7
    assert command.run(*base, INTERCOM_EXPORTER_MAX_CONTACTS="5").stdout.count(b"\n") == 5
    assert command.run(*base, "--max-contacts", "2", INTERCOM_EXPORTER_MAX_CONTACTS="5").stdout.count(b"\n") == 2
    found = shown(command, *base, "--max-contacts=2", INTERCOM_EXPORTER_PER_PAGE="4")
    assert {name: found[name] for name in ("max-contacts", "per-page", "queue-pages", "consumers", "quiet")} == {
        "max-contacts": {"value": 2, "from": "option --max-contacts"},
        "per-page": {"value": 4, "from": "environment INTERCOM_EXPORTER_PER_PAGE"},
        "queue-pages": {"value": 2, "from": "file settings.toml"},
        "consumers": {"value": None, "from": "default"},
        "quiet": {"value": True, "from": "file settings.toml"},
    }


def test_file_can_be_named_by_the_environment(command: Any, settings: Callable[[str], Path]) -> None:
    """As every option can."""
    settings("max-contacts = 7\nquiet = true")
    done = command.run("demo", INTERCOM_EXPORTER_CONFIG="settings.toml")
    assert (done.stdout.count(b"\n"), done.stderr) == (7, b"")


def test_table_applies_to_its_command(command: Any, settings: Callable[[str], Path]) -> None:
    """It wins over top-level keys, and other commands do not see it."""
    settings('region = "eu"\nmax-contacts = 3\n[demo]\nmax-contacts = 9\n[sandbox]\ncontacts = 5\ntoken = "mine"')
    assert shown(command, "demo", "--config=settings.toml")["max-contacts"]["value"] == 9
    found = shown(command, "--config=settings.toml")
    assert (found["max-contacts"]["value"], found["region"]["value"]) == (3, "eu")
    assert shown(command, "sandbox", "--config=settings.toml")["contacts"]["value"] == 5


def test_list_may_be_a_list_or_text(command: Any, settings: Callable[[str], Path]) -> None:
    """Both spellings mean the same; an empty list is ignored."""
    settings('expand = ["tags", "notes"]\nfields = "id, email"\ndrop = []')
    found = shown(command, "--config=settings.toml")
    assert [found[name]["value"] for name in ("expand", "fields", "drop")] == [["tags", "notes"], ["id", "email"], []]


BAD = {
    "per-page = 'many'": "per-page",
    "per-page = 1.5": "per-page",
    "nope = 1": "nope",
    "[nope]\na = 1": "nope",
    "region = {a = 1}": "region",
    "region = 2020-01-01": "region",
    "expand = [{a = 1}]": "expand",
    "quiet = 'maybe'": "quiet",
    "progress = 'loud'": "progress",
    "a = [": "TOML",
    "per-page = 1\nper_page = 2": "twice",
    "token = 'dG9rOm15'": "token-command",
    "INTERCOM_ACCESS_TOKEN = 'dG9rOm15'": "token-command",
    "[contacts]\naccess_token = 'dG9rOm15'": "token-command",
    "config = 'other.toml'": "config",
    "x = " + "[" * 3_000: "TOML",
    "[schema]\nformat = 'table'": "schema",
    'key-file = "a\\u0000b"\npseudonymise = "email"': "key file",
    'metrics-file = "a\\u0000.prom"': "metrics file",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:20])
def test_invalid_file_is_one_line_that_names_the_setting(
    command: Any, settings: Callable[[str], Path], text: str
) -> None:
    """Exit 2, and nothing of a token."""
    settings(text)
    done = command.run("contacts", "--config", "settings.toml", INTERCOM_ACCESS_TOKEN="x")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert BAD[text] in done.stderr.decode()
    assert b"dG9r" not in done.stderr


@pytest.mark.parametrize("name", ["missing.toml", ".", "a" * 300, "huge.toml", "latin.toml"], ids=lambda name: name[:9])
def test_unreadable_file_is_one_line(command: Any, name: str) -> None:
    """For any reason."""
    (command.folder / "huge.toml").write_bytes(b"#" * 2_000_000)
    (command.folder / "latin.toml").write_bytes(b'region = "\xe9"')
    done = command.run("demo", "--config", name)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)


@pytest.mark.parametrize("address", ["http://me:hunter2@127.0.0.1", "http://127.0.0.1/?token=hunter2"])
def test_config_show_shows_no_token(command: Any, address: str) -> None:
    """Not from the environment, a program's arguments, an address or an output's name."""
    done = command.run(
        *("config", "show", "--token-command", "echo dG9rOm15", "--output", "dG9rOm15.ndjson"),
        *("--base-url", address),
        INTERCOM_ACCESS_TOKEN="dG9rOm15",
    )
    assert done.returncode == 0
    assert b"dG9r" not in done.stdout + done.stderr
    assert b"hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize("command_name", ["verify", "report", "check", "sandbox", "demo"])
def test_config_show_works_for_every_command_with_settings(command: Any, command_name: str) -> None:
    """Also for those that need a path."""
    assert shown(command, command_name)["config"] == {"value": None, "from": "default"}


def test_file_may_be_called_like_another_origin(command: Any) -> None:
    """It is still a file."""
    (command.folder / "env").write_text("per-page = 7")
    assert shown(command, "--config", "env")["per-page"] == {"value": 7, "from": "file env"}


@pytest.mark.parametrize(
    "words",
    [
        ["contcats"],
        ["schema"],
        ["completion"],
        ["config"],
        ["contacts", "--nope"],
        ["--per-page", "many"],
        ["contacts", "extra"],
    ],
)
def test_config_show_with_wrong_options_is_a_usage_error(command: Any, words: list[str]) -> None:
    """As it would be for the command itself."""
    done = command.run("config", "show", *words)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)


def test_config_show_prints_any_value(command: Any) -> None:
    """Large numbers, names that are not text, a terminal that lacks letters."""
    words = ("--max-contacts", "1" + "0" * 12, "--output", os.fsdecode(b"\xff.ndjson"))
    assert shown(command, *words)["max-contacts"]["value"] == 10**12
    done = command.run("config", "show", "-o", "größe.ndjson", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")


def test_format_in_the_environment_does_not_apply_to_schema(command: Any) -> None:
    """The two options share only their name."""
    done = command.run("schema", INTERCOM_EXPORTER_FORMAT="csv")
    assert done.returncode == 0
    assert done.stdout.startswith(b"field ")


def test_empty_variable_is_ignored(command: Any) -> None:
    """As if it were not set, for any option."""
    empty = ("PER_PAGE", "QUIET", "METRICS_PORT", "MAX_DURATION", "OUTPUT", "FIELDS", "CONFIG")
    found = shown(command, **{f"INTERCOM_EXPORTER_{name}": "" for name in empty})
    assert {found[name.lower().replace("_", "-")]["from"] for name in empty} == {"default"}
