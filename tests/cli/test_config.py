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


def test_a_file_sets_what_nothing_else_does(command: Any, settings: Callable[[str], Path]) -> None:
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


def test_the_file_can_be_named_by_the_environment(command: Any, settings: Callable[[str], Path]) -> None:
    """As every option can."""
    settings("max-contacts = 7\nquiet = true")
    done = command.run("demo", INTERCOM_EXPORTER_CONFIG="settings.toml")
    assert (done.stdout.count(b"\n"), done.stderr) == (7, b"")


def test_a_table_is_for_one_command(command: Any, settings: Callable[[str], Path]) -> None:
    """It wins over what stands in no table, and other commands do not see it."""
    settings('region = "eu"\nmax-contacts = 3\n[demo]\nmax-contacts = 9\n[sandbox]\ncontacts = 5\ntoken = "mine"')
    assert shown(command, "demo", "--config=settings.toml")["max-contacts"]["value"] == 9
    found = shown(command, "--config=settings.toml")
    assert (found["max-contacts"]["value"], found["region"]["value"]) == (3, "eu")
    assert shown(command, "sandbox", "--config=settings.toml")["contacts"]["value"] == 5


def test_lists_are_lists_or_text(command: Any, settings: Callable[[str], Path]) -> None:
    """Both spellings mean the same; an empty list says nothing."""
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
def test_a_bad_file_is_one_line_that_says_where(command: Any, settings: Callable[[str], Path], text: str) -> None:
    """Exit 2, and nothing of a token."""
    settings(text)
    done = command.run("contacts", "--config", "settings.toml", INTERCOM_ACCESS_TOKEN="x")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert BAD[text] in done.stderr.decode()
    assert b"dG9r" not in done.stderr


@pytest.mark.parametrize("name", ["missing.toml", ".", "a" * 300, "huge.toml", "latin.toml"], ids=lambda name: name[:9])
def test_a_file_that_cannot_be_read_is_one_line(command: Any, name: str) -> None:
    """Whatever is in the way."""
    (command.folder / "huge.toml").write_bytes(b"#" * 2_000_000)
    (command.folder / "latin.toml").write_bytes(b'region = "\xe9"')
    done = command.run("demo", "--config", name)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)


@pytest.mark.parametrize("address", ["http://me:hunter2@127.0.0.1", "http://127.0.0.1/?token=hunter2"])
def test_no_token_is_ever_shown(command: Any, address: str) -> None:
    """Wherever it was put: in the environment, in a program's words, in an address, in an output's name."""
    done = command.run(
        *("config", "show", "--token-command", "echo dG9rOm15", "--output", "dG9rOm15.ndjson"),
        *("--base-url", address),
        INTERCOM_ACCESS_TOKEN="dG9rOm15",
    )
    assert done.returncode == 0
    assert b"dG9r" not in done.stdout + done.stderr
    assert b"hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize("command_name", ["verify", "report", "check", "sandbox", "demo"])
def test_every_command_with_settings_can_be_shown(command: Any, command_name: str) -> None:
    """Also those that need a path."""
    assert shown(command, command_name)["config"] == {"value": None, "from": "default"}


def test_a_file_may_have_any_name(command: Any) -> None:
    """It is not taken for one of the other places."""
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
def test_showing_what_cannot_be_is_a_usage_error(command: Any, words: list[str]) -> None:
    """As it would be for the command itself."""
    done = command.run("config", "show", *words)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)


def test_whatever_can_be_set_can_be_shown(command: Any) -> None:
    """Large numbers, names that are no text, a terminal that lacks letters."""
    words = ("--max-contacts", "1" + "0" * 12, "--output", os.fsdecode(b"\xff.ndjson"))
    assert shown(command, *words)["max-contacts"]["value"] == 10**12
    done = command.run("config", "show", "-o", "größe.ndjson", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_format_in_the_environment_is_not_the_schemas(command: Any) -> None:
    """The two options share their name, and nothing else."""
    done = command.run("schema", INTERCOM_EXPORTER_FORMAT="csv")
    assert done.returncode == 0
    assert done.stdout.startswith(b"field ")


def test_a_variable_that_is_empty_says_nothing(command: Any) -> None:
    """As one that is not there, whatever it is for."""
    empty = ("PER_PAGE", "QUIET", "METRICS_PORT", "MAX_DURATION", "OUTPUT", "FIELDS", "CONFIG")
    found = shown(command, **{f"INTERCOM_EXPORTER_{name}": "" for name in empty})
    assert {found[name.lower().replace("_", "-")]["from"] for name in empty} == {"default"}
