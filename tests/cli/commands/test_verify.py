"""The command `verify`: exit codes, and what it says."""

import json
import signal
from typing import Any

import pytest

from tests.support.report_exports import write_export

pytestmark = pytest.mark.smoke


@pytest.fixture
def export(command: Any) -> Any:
    """Give the command, with a finished file and a finished folder."""
    command.run("demo", "--contacts=1000", "-o", "a.ndjson")
    command.run("demo", "--contacts=1000", "-o", "parts/", "--part-contacts=300")
    return command


@pytest.mark.slow
@pytest.mark.parametrize("path", ["a.ndjson", "a.ndjson.manifest.json", "parts", "parts/", "parts/_manifest.json"])
def test_verify_of_an_intact_export_ends_with_0(export: Any, path: str) -> None:
    """One line with the number of contacts; with -q none."""
    done, quiet = export.run("verify", path), export.run("verify", path, "-q")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (0, b"", 1)
    assert b"matches its manifest: 1,000 contacts" in done.stderr
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, b"", b"")


def test_verify_prints_each_difference_and_ends_with_7(export: Any) -> None:
    """A missing, a changed and an extra file are three lines at least, also with -q."""
    parts = export.folder / "parts"
    (parts / "contacts-00001.ndjson.gz").unlink()
    (parts / "contacts-00009.ndjson.gz").touch()
    with (parts / "contacts-00002.ndjson.gz").open("r+b") as file:
        file.write(b"\x00")
    done = export.run("verify", "parts", "-q")
    assert done.returncode == 7
    lines = done.stderr.decode().splitlines()
    assert all(line.startswith("intercom-exporter: ") for line in lines)
    for what in ("1.ndjson.gz' is missing", "9.ndjson.gz' is in the folder", "2.ndjson.gz' has a different SHA-256"):
        assert sum(what in line for line in lines) == 1


def test_verify_of_a_missing_path_is_a_usage_error(command: Any) -> None:
    """It ends with 2 and one line."""
    done = command.run("verify", "nothing.ndjson")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


def test_verify_of_an_unfinished_export_names_it(serve: Any, command: Any) -> None:
    """The line explains how to finish the export."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        command.run("contacts", "-o", "parts/", served=served)
    done = command.run("verify", "parts")
    assert done.returncode == 7
    assert b"run the export command again to resume it" in done.stderr


def test_verify_of_a_limited_export_ends_with_0(command: Any) -> None:
    """The line names the limit."""
    command.run("demo", "--max-contacts=7", "-o", "a.ndjson")
    done = command.run("verify", "a.ndjson")
    assert done.returncode == 0
    assert b"7 contacts (limited to 7)" in done.stderr


def test_verify_has_json_progress(export: Any) -> None:
    """Bytes read, and bytes in all."""
    done = export.run("verify", "parts", "--progress=json", "-q")
    assert done.stderr == b""
    done = export.run("verify", "parts", "--progress=json")
    *_events, last, verified = map(json.loads, done.stderr.splitlines())
    assert last["event"] == "verifying"
    assert last["bytes_read"] == last["bytes_total"] > 0
    assert verified["event"] == "verified"
    assert (verified["contacts"], verified["duplicates"], verified["differences"]) == (1000, 0, [])


def test_verify_signalled_leaves_no_temporary_file(command: Any) -> None:
    """SIGTERM ends it with 143; spilled ids are removed."""
    temporary = command.folder / "tmp"
    temporary.mkdir()
    write_export(command.folder / "a.ndjson", [f'{{"id":"{number}"}}' for number in range(400_000)])
    run = command.start("verify", "a.ndjson", "--progress=json", TMPDIR=str(temporary))
    assert run.stderr is not None
    while not any(temporary.iterdir()):
        assert run.stderr.readline(), "it ended before anything was spilled"
    run.send_signal(signal.SIGTERM)
    _out, message = run.communicate(timeout=60)
    assert run.returncode == 143
    assert b"stopped by SIGTERM" in message
    assert list(temporary.iterdir()) == []
