"""The command line as a whole: wrong options and variables, help and version."""

import gzip
import json
from typing import Any

import pytest

import exporter

USAGE_ERRORS: list[tuple[list[str], str]] = [
    (["contacts"], "INTERCOM_ACCESS_TOKEN"),
    (["contcats"], "contacts"),
    (["contacts", "dG9rOm15"], "unexpected positional argument"),
    (["demo", "--per-page", "149.7"], "--per-page"),
    (["demo", "--max-contacts", "1e3"], "--max-contacts"),
    (["demo", "--timeout", "inf"], "timeout"),
    (["demo", "--consumers", "100000"], "consumers"),
    (["contacts", "--nope"], "--nope"),
    (["contacts", "--per-page", "many"], "--per-page"),
    (["contacts", "--per-page"], "--per-page"),
    (["contacts", "--region", "mars"], "us"),
    (["demo", "--per-page", "0"], "150"),
    (["demo", "--per-page", "151"], "150"),
    (["demo", "--api-version", "2.99"], "2.17"),
    (["demo", "--consumers", "0"], "consumers"),
    (["demo", "--queue-pages", "-1"], "--queue-pages"),
    (["demo", "--max-contacts", "0"], "--max-contacts"),
    (["demo", "--reserve", "101"], "90"),
    (["demo", "--timeout", "nan"], "timeout"),
    (["demo", "--output", "contacts.xml"], ".ndjson"),
    (["demo", "--output", "contacts.ndjson", "--csv-raw"], "CSV"),
    (["demo", "--output", ""], ".ndjson"),
    (["demo", "--output", "missing/contacts.ndjson"], "folder"),
    (["demo", "--output", "contacts.ndjson", "--gzip"], "suffix"),
    (["demo", "--output", "contacts.ndjson", "--part-contacts", "5"], "folder"),
    (["demo", "--output", "out/", "--part-contacts", "0"], "--part-contacts"),
    (["demo", "--output", "out/", "--part-bytes", "lots"], "500MB"),
    (["demo", "--output", "out/", "--part-bytes", "0.1"], "--part-bytes"),
    (["demo", "--output", "out/", "--format", "xml"], "ndjson.gz"),
    (["demo", "--output", "missing/out/"], "folder"),
    (["demo", "--part-bytes", "1GB"], "folder"),
    (["demo", "--gzip", "--format", "ndjson.zst"], "exclusive"),
    (["demo", "--format", "parquet"], "file"),
    (["demo", "--max-duration", "soon"], "15m"),
    (["demo", "--checkpoint-every", "-1"], "checkpoint-every"),
    (["demo", "--output", "a.ndjson", "--min-free-disk", "5 apples"], "500MB"),
    (["demo", "--contacts", "-5"], "contacts"),
    (["sandbox", "--fault", "meteor=3"], "http_500"),
    (["sandbox", "--port", "99999"], "port"),
]


@pytest.mark.parametrize(("arguments", "hint"), USAGE_ERRORS, ids=lambda value: " ".join(value) if value else None)
def test_wrong_option_is_one_line_that_says_what_to_change(command: Any, arguments: list[str], hint: str) -> None:
    """A wrong call ends with 2, one line on stderr, nothing on stdout and no file."""
    done = command.run(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"intercom-exporter: ")
    assert done.stderr.count(b"\n") == 1
    assert hint in done.stderr.decode()
    assert list(command.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("INTERCOM_EXPORTER_PER_PAGE", "many"),
        ("INTERCOM_EXPORTER_GZIP", "perhaps"),
        ("INTERCOM_EXPORTER_REGION", "mars"),
        ("INTERCOM_EXPORTER_PROGRESS", "loud"),
    ],
)
def test_wrong_variable_is_named(command: Any, variable: str, value: str) -> None:
    """A wrong variable is named, and no request is sent."""
    done = command.run("demo", **{variable: value})
    assert (done.returncode, done.stdout) == (2, b"")
    assert variable in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_control_characters_in_an_argument_are_escaped(command: Any) -> None:
    """Control characters of an argument are shown escaped, on the one line."""
    done = command.run("demo", "--output", "a\x1b[31m\nb.xml")
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_option_wins_over_its_variable(command: Any) -> None:
    """Variables set what options set; an option wins over its variable."""
    variables = {
        "INTERCOM_EXPORTER_MAX_CONTACTS": "7",
        "INTERCOM_EXPORTER_GZIP": "1",
        "INTERCOM_EXPORTER_QUIET": "true",
    }
    done = command.run("demo", **variables)
    assert gzip.decompress(done.stdout).count(b"\n") == 7
    assert done.stderr == b""
    done = command.run("demo", "--max-contacts", "3", **variables)
    assert gzip.decompress(done.stdout).count(b"\n") == 3


def test_number_that_no_manifest_can_hold_is_refused(command: Any) -> None:
    """Each option with a number refuses it, in one line."""
    for option in ("--max-contacts", "--part-contacts", "--part-bytes", "--min-free-disk"):
        done = command.run("demo", "-o", "out/", option, "9" * 40)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("500kB", 500_000), ("1.5MB", 1_500_000), ("2GiB", 2 << 30), ("1g", 10**9), ("64 KiB", 1 << 16)],
)
def test_size_may_have_a_decimal_or_binary_unit(command: Any, text: str, size: int) -> None:
    """A size has a decimal or a binary unit, or none."""
    done = command.run("demo", "--contacts=1", "-o", "out/", f"--part-bytes={text}")
    assert done.returncode == 0
    assert json.loads((command.folder / "out" / "_manifest.json").read_bytes())["part_bytes"] == size


def test_version_and_help_are_printed_on_stdout(command: Any) -> None:
    """--version, --help and the bare command print to stdout and end with 0."""
    assert command.run("--version").stdout.decode().strip() == exporter.__version__
    for arguments in (["--help"], [], ["contacts", "--help"], ["sandbox", "--help"]):
        done = command.run(*arguments)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"Usage: intercom-exporter" in done.stdout
