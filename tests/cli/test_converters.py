"""Types of options: durations, sizes and numbers as people write them, and sentences about what is none."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter
from exporter import validation as bounds
from exporter.cli.converters import duration_text, size_text
from exporter.options import ExportOptions
from tests.conftest import TOKEN

DURATIONS = {
    "90": 90,
    "1.5": 1.5,
    "500ms": 0.5,
    "15m": 900,
    "15min": 900,
    "1h30m": 5_400,
    "1 h 30 min": 5_400,
    "1H": 3_600,
    "90s": 90,
    "2d": 172_800,
    "1m0.5s": 60.5,
}
LIMITED_TO_A_DAY = ("timeout", "idle-timeout", "checkpoint-every")
DURATION_OPTIONS = (*LIMITED_TO_A_DAY, "max-retry-time", "max-run-retry-time", "max-duration")
SIZE_OPTIONS = ("part-bytes", "min-free-disk")
WHOLE_OPTIONS = (
    "per-page",
    "consumers",
    "queue-pages",
    "max-contacts",
    "part-contacts",
    "expand-concurrency",
    "contacts",
)
NUMBER_OPTIONS = ("reserve",)
NONSENSE = (
    "soon",
    "nan",
    "inf",
    "-inf",
    "1e3",
    "-1",
    "\u0661\u0660",
    "5\u017f",
    "5 \u212ab",
    "1_000",
    "0x10",
    "9" * 50,
    "1,5",
    "  ",
)


def shown(command: Any, *words: str, **variables: str) -> dict[str, Any]:
    """Return the settings that `config show` prints."""
    done = command.run("config", "show", *words, "--json", **variables)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    settings: dict[str, Any] = json.loads(done.stdout)
    return settings


def test_duration_in_any_spelling_is_accepted_by_each_option(command: Any) -> None:
    """All options for a duration have one type."""
    for spelling, seconds in DURATIONS.items():
        options = [name for name in DURATION_OPTIONS if seconds <= 86_400 or name not in LIMITED_TO_A_DAY]
        settings = shown(command, "demo", *(f"--{name}={spelling}" for name in options))
        assert {settings[name]["value"] for name in options} == {seconds}, spelling


def test_size_in_any_spelling_is_accepted_by_each_option(command: Any) -> None:
    """All options for a size have one type."""
    sizes = {"5000": 5_000, "500MB": 500_000_000, "1GB": 10**9, "64MiB": 64 << 20, "1.5 kB": 1_500, "2t": 2 * 10**12}
    for spelling, size in sizes.items():
        settings = shown(command, *(f"--{name}={spelling}" for name in SIZE_OPTIONS))
        assert {settings[name]["value"] for name in SIZE_OPTIONS} == {size}, spelling


def test_duration_and_size_may_come_from_the_environment_and_a_file(command: Any) -> None:
    """With the same units; a number in TOML may be a number."""
    (command.folder / "settings.toml").write_text('timeout = "1m"\nmax-duration = 90.5\npart-bytes = "64MiB"\n')
    settings = shown(
        command,
        "--config=settings.toml",
        INTERCOM_EXPORTER_IDLE_TIMEOUT="1m30s",
        INTERCOM_EXPORTER_MIN_FREE_DISK="2GB",
    )
    names = ("timeout", "max-duration", "part-bytes", "idle-timeout", "min-free-disk")
    assert [settings[name]["value"] for name in names] == [60, 90.5, 64 << 20, 90, 2 * 10**9]


_REFUSED = """
import sys
from exporter.cli.app import main
sys.exit(sum(main(["demo", "--expand=tags", argument]) != 2 for argument in sys.argv[1:]))
"""


@pytest.mark.slow
def test_option_with_a_malformed_number_is_one_line_that_names_it(command: Any) -> None:
    """Every option with a number, and every malformed number for one option of each type."""
    tried = [(name, "soon") for name in (*DURATION_OPTIONS, *SIZE_OPTIONS, *WHOLE_OPTIONS, *NUMBER_OPTIONS)]
    tried += [(name, value) for name in ("timeout", "part-bytes", "per-page", "reserve") for value in NONSENSE]
    done = command.program(_REFUSED, *(f"--{name}={value}" for name, value in tried))
    assert (done.returncode, done.stdout) == (0, b"")
    for (name, _value), line in zip(tried, done.stderr.decode().splitlines(), strict=True):
        assert_names(line, f"--{name} must be ")


@pytest.mark.parametrize("value", ["soon", "9" * 50])
def test_malformed_variable_or_setting_is_one_line_that_names_it(command: Any, value: str) -> None:
    """A value is named by where it came from."""
    (command.folder / "settings.toml").write_text(f"[demo]\npart-bytes = {json.dumps(value)}\n")
    done = command.run("demo", INTERCOM_EXPORTER_PER_PAGE=value)
    assert_names(done.stderr.decode(), "INTERCOM_EXPORTER_PER_PAGE must be ")
    assert done.returncode == 2
    done = command.run("demo", "--config=settings.toml")
    assert_names(done.stderr.decode(), "part-bytes in 'settings.toml' must be ")
    assert done.returncode == 2


def assert_names(message: str, beginning: str) -> None:
    """Check that a line begins so, points to the help, and has no name of the program's own."""
    assert message.startswith(f"intercom-exporter: {beginning}"), message
    assert message.rstrip().endswith(". See intercom-exporter demo --help."), message
    assert message.strip().count("\n") == 0
    assert not re.search("[a-z]_[a-z]|9007199254740992|Python|digits", message), message


@pytest.mark.parametrize(
    ("option", "range_text"),
    [
        ("--timeout=0", "1ms to 24h"),
        ("--max-duration=0", "1ms to 365d"),
        ("--per-page=0", "1 to 150"),
        ("--queue-pages=0", "1 to 1,000"),
        ("--part-bytes=0", "1 to 1EB"),
        ("--reserve=91%", "0 to 90"),
        ("--max-contacts=0", "1 to 1,000,000,000,000"),
    ],
)
def test_option_out_of_range_is_refused_with_the_range(command: Any, option: str, range_text: str) -> None:
    """A range is spelled as its values are."""
    done = command.run("demo", option)
    assert done.returncode == 2
    assert f"{option.partition('=')[0]} must be from {range_text}, not" in done.stderr.decode()


BOUNDS: dict[str, tuple[int, Callable[[int], Any]]] = {
    "per-page": (bounds.MAX_PER_PAGE, lambda most: exporter.Intercom(TOKEN, per_page=most)),
    "reserve": (bounds.MAX_RESERVE_PERCENT, lambda most: exporter.Intercom(TOKEN, reserve_percent=most)),
    "consumers": (bounds.MAX_CONSUMERS, lambda most: ExportOptions(consumers=most)),
    "queue-pages": (bounds.MAX_QUEUE_PAGES, lambda most: ExportOptions(queue_pages=most)),
    "max-contacts": (bounds.MAX_CONTACTS, lambda most: ExportOptions(max_contacts=most)),
    "part-contacts": (bounds.MAX_CONTACTS, lambda most: ExportOptions(part_contacts=most)),
    "part-bytes": (bounds.MAX_BYTES, lambda most: ExportOptions(part_bytes=most)),
    "min-free-disk": (bounds.MAX_BYTES, lambda most: ExportOptions(min_free_bytes=most)),
    "expand-concurrency": (bounds.MAX_CONCURRENCY, lambda most: exporter.ListExpansion(("tags",), concurrency=most)),
}


def test_option_has_the_bound_of_the_library(command: Any) -> None:
    """The library takes what the command takes, and refuses what it refuses."""
    settings = shown(command, "contacts", "--expand=tags", *(f"--{name}={most}" for name, (most, _) in BOUNDS.items()))
    for name, (most, make) in BOUNDS.items():
        assert settings[name]["value"] == most
        make(most)
        with pytest.raises(exporter.ConfigError):
            make(most + 1)
    beyond = command.program(_REFUSED, *(f"--{name}={most + 1}" for name, (most, _) in BOUNDS.items()))
    assert [line.split()[1] for line in beyond.stderr.decode().splitlines()] == [f"--{name}" for name in BOUNDS]


def test_help_names_durations_and_sizes(command: Any) -> None:
    """No option is a FLOAT, an INT or a STR."""
    for name in ("contacts", "demo", "check", "verify", "report", "sandbox"):
        text = command.run(name, "--help", COLUMNS="200").stdout.decode()
        assert not any(word in text.split() for word in ("FLOAT", "INT", "STR", "STR...")), name
    text = command.run("contacts", "--help", COLUMNS="200").stdout.decode()
    for name in DURATION_OPTIONS:
        assert f"--{name} DURATION" in text
    for name in SIZE_OPTIONS:
        assert f"--{name} SIZE" in text
    assert "[default: 6h]" in text


def test_value_that_may_be_a_token_is_not_shown(command: Any) -> None:
    """A token in a wrong place does not reach the terminal or a log."""
    token = "dG9rOmNhbmFyeQ=="
    for words in ([f"--per-page={token}"], [f"--region={token}"], [f"--gzip={token}"], [f"--{token}"], [token]):
        done = command.run("demo", *words)
        assert (done.returncode, b"canary" in done.stderr, b"dG9r" in done.stderr) == (2, False, False), done.stderr
    assert b"dG9r" not in command.run(token).stderr


@given(st.integers(1, 10**7))
def test_duration_text_is_read_back(milliseconds: int) -> None:
    """What a message shows can be given as a value."""
    text = duration_text(milliseconds / 1000)
    amount = float(text.rstrip("dhms").replace(",", ""))
    unit = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}[text.lstrip("0123456789.,")]
    assert amount * unit == pytest.approx(milliseconds / 1000, rel=1e-4)


def test_size_text_has_the_largest_whole_unit() -> None:
    """As a user would write it."""
    assert [size_text(size) for size in (0, 1, 999, 1_500, 64_000, 10**9, 10**18)] == [
        *("0", "1", "999", "1500", "64kB", "1GB", "1EB"),
    ]
