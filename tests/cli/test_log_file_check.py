"""The log file: what it has, which files it can never be, and what happens where it cannot be written."""

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TOKEN

Serve = Callable[..., AbstractContextManager[Any]]


def contents(folder: Path) -> dict[str, bytes]:
    """Return each file below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(command: Any, words: tuple[str, ...], log: str, use: str = "", **variables: str) -> None:
    """Check that a log file is refused in one line, and that no file is made or changed."""
    before = contents(command.folder)
    done = command.run(*words, "--log-file", log, **variables)
    message = done.stderr.decode()
    assert (done.returncode, message.count("\n"), done.stdout) == (2, 1, b""), (log, message)
    assert message.startswith(f"intercom-exporter: --log-file cannot be {log!r}, which is {use}"), message
    assert contents(command.folder) == before, log


def run_limited(command: Any, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command where no file can get longer than 1,024 bytes."""
    return subprocess.run(
        ["sh", "-c", 'ulimit -f 2; exec "$@"', "sh", *command.line(*words)],
        cwd=command.folder,
        env=command.environment(),
        capture_output=True,
        timeout=100,
        check=False,
    )


def test_log_file_has_the_lines_of_stderr_with_times(command: Any) -> None:
    """Appended by each run, for its owner alone; errors and JSON too."""
    log = command.folder / "contacts.log"
    log.write_text("before\n")
    log.chmod(0o644)
    options = ("--contacts=3", "-o", "a.ndjson", "--log-file=contacts.log")
    first = command.run("demo", *options)
    second = command.run("demo", *options, "--log-format=json")
    refused = command.run("verify", "missing.ndjson", "--log-file=contacts.log")
    assert (first.returncode, second.returncode, refused.returncode) == (0, 0, 2)
    before, *lines = log.read_text().splitlines()
    assert before == "before"
    printed = b"".join(done.stderr for done in (first, second, refused)).decode().splitlines()
    for line, message in zip(lines, printed, strict=True):
        if message.startswith("{"):
            assert json.loads(line) == json.loads(message)
        else:
            assert re.fullmatch(rf"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z {re.escape(message)}", line)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_log_file_that_is_a_link_or_has_an_invalid_path_is_refused(command: Any) -> None:
    """Before the first request."""
    (command.folder / "link").symlink_to("target")
    os.mkfifo(command.folder / "pipe")
    for name in ("link", "pipe", "missing/x.log", "."):
        done = command.run("demo", "-o", "a.ndjson", "--log-file", name)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), name
        assert b"--log-file" in done.stderr
    assert not (command.folder / "target").exists()
    assert not (command.folder / "a.ndjson").exists()


def test_log_file_on_a_full_disk_does_not_end_the_export(command: Any) -> None:
    """One warning; then nothing more is written to it."""
    done = run_limited(command, "demo", "--contacts=3000", "--per-page=50", "-v", "--log-file=contacts.log")
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 3_000)
    assert done.stderr.count(b"the log file cannot be written any more") == 1


def test_log_file_that_cannot_be_written_is_silent_with_quiet(command: Any) -> None:
    """Only the line of an error is printed."""
    for words, code, lines in ((("--per-page=0",), 2, 1), ((), 0, 0)):
        (command.folder / "contacts.log").write_bytes(b"x" * 1024)
        done = run_limited(command, "demo", "--contacts=3", "-q", "--log-file=contacts.log", *words)
        assert (done.returncode, done.stderr.count(b"\n")) == (code, lines), done.stderr
        assert b"log file" not in done.stderr


def test_log_file_that_cannot_be_written_is_an_event_with_json_progress(command: Any) -> None:
    """As every warning is."""
    done = run_limited(command, "demo", "--progress=json", "--log-file=x.log")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    (warning,) = [event for event in events if event["event"] == "log"]
    assert (done.returncode, warning["level"]) == (0, "warning")
    assert warning["message"].startswith("the log file cannot be written any more")


OWN = ("", ".part", ".tmp", ".checkpoint.json", ".manifest.json", ".checkpoint.json.tmp", ".manifest.json.tmp")


@pytest.mark.slow
@pytest.mark.parametrize("output", ["a.ndjson", "a.parquet", "x/a.csv.gz"])
def test_log_file_on_a_file_of_the_export_is_refused(command: Any, output: str) -> None:
    """Before the export, where none of its files are there; and after it, where two are."""
    (command.folder / "x").mkdir()
    (command.folder / "link").symlink_to("x")
    words = ("demo", "--contacts=3", "-q", "-o", output)
    for ending in OWN:
        assert_refused(command, words, f"{output}{ending}", "a file of the export to ")
    assert command.run(*words).returncode == 0
    absolute = str(command.folder / output)
    for log in (output, f"./x/../{output}.manifest.json", absolute, output.replace("x/", "link/")):
        assert_refused(command, words, log, "a file of the export to ")
    assert command.run("verify", output).returncode == 0


def test_log_file_through_a_link_of_either_kind_is_refused(command: Any) -> None:
    """A symbolic link to the output, also before that is there, and a hard link."""
    folder = command.folder
    (folder / "soft").symlink_to("a.ndjson")
    words = ("demo", "--contacts=3", "-q", "-o", "a.ndjson")
    assert_refused(command, words, "soft", "a file of the export to ")
    assert command.run(*words).returncode == 0
    os.link(folder / "a.ndjson", folder / "hard")
    assert_refused(command, words, "hard", "a file of the export to ")


def test_log_file_in_a_folder_of_parts_is_refused(command: Any) -> None:
    """Whatever its name, at any depth, also through a link to the folder and before the folder is there."""
    (command.folder / "link").symlink_to("parts")
    words = ("demo", "--contacts=3", "-q", "-o", "parts/")
    for log in ("parts/run.log", "parts/sub/run.log", "link/run.log"):
        assert_refused(command, words, log, "a file of the export to 'parts/'")
    assert command.run(*words).returncode == 0
    for log in ("parts/run.log", "parts/.run.log", "parts/_manifest.json", "parts", "./link/_checkpoint.json"):
        assert_refused(command, words, log, "a file of the export to 'parts/'")
    assert command.run(*words, "--log-file=parts.log").returncode == 0


def test_log_file_on_a_file_of_an_export_of_any_day_is_refused(command: Any) -> None:
    """After dates are put into the output's name: today's, an earlier one and a later one."""
    for name in ("a-2020-01-31.ndjson", "a-2999-01-31.ndjson.part", "a-2020-01-31.ndjson.manifest.json"):
        assert_refused(command, ("demo", "-q", "-o", "a-{date}.ndjson"), name, "a file of the export to ")
    assert_refused(command, ("check", "-o", "x-{date}/"), "x-2020-01-31/a.log", "a file of the export to ")
    assert_refused(command, ("demo", "-o", "{date}/c.csv", "--mkdir"), "2020-01-31/c.csv", "a file of the export to ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "use"),
    [
        (("contacts", "--token-file=own"), "the file of the access token"),
        (("check", "--token-file=own"), "the file of the access token"),
        (("demo", "--pseudonymise=email", "--key-file=own"), "the file of the key"),
        (("demo", "--config=own"), "the settings file"),
        (("verify", "missing", "--config=own"), "the settings file"),
        (("report", "missing", "--html=own"), "the report"),
        (("report", "own"), "a file of the export 'own', or its report"),
    ],
)
def test_log_file_on_another_file_of_the_command_is_refused(command: Any, words: tuple[str, ...], use: str) -> None:
    """By its own name, and by a relative, symbolic and hard one."""
    own = command.folder / "own"
    own.write_text("# nothing\n")
    own.chmod(0o600)
    (command.folder / "x").mkdir()
    (command.folder / "soft").symlink_to("own")
    for log in ("own", "x/../own", str(own), "soft"):
        assert_refused(command, words, log, use)
    os.link(own, command.folder / "hard")
    assert_refused(command, words, "hard", use)


def test_log_file_on_the_metrics_file_is_refused(command: Any) -> None:
    """Which is not there yet."""
    words = ("demo", "-q", "--metrics-file=x.prom")
    assert_refused(command, words, "./x.prom", "the metrics file")


@pytest.mark.parametrize("name", ["verify", "report"])
def test_log_file_on_a_file_of_the_export_that_is_read_is_refused(command: Any, name: str) -> None:
    """Of a file, of a folder, and where the manifest is named."""
    for output, logs in (
        ("a.ndjson", ("a.ndjson", "a.ndjson.manifest.json", "a.ndjson.part", "a.ndjson.report.html")),
        ("parts/", ("parts/x.log", "parts/_manifest.json", "parts/contacts-00001.ndjson.gz", "parts.report.html")),
    ):
        assert command.run("demo", "--contacts=3", "-q", "-o", output).returncode == 0
        manifest = f"{output}_manifest.json" if output.endswith("/") else f"{output}.manifest.json"
        for path in (output, manifest):
            for log in logs:
                assert_refused(command, (name, path), log, f"a file of the export {path!r}, or its report")
        assert command.run("verify", output, "--log-file=verify.log").returncode == 0


@pytest.mark.parametrize(
    ("words", "use"),
    [
        (("demo", "--contacts=3"), "stdout"),
        (("demo", "--contacts=3", "-o", "-"), "stdout"),
        (("report", "a.ndjson", "--html=-"), "stdout"),
        (("contacts", "--token-file=-", "-o", "b.ndjson"), "stdin, from which the access token is read"),
    ],
)
def test_log_file_that_is_a_standard_stream_with_data_is_refused(
    command: Any, words: tuple[str, ...], use: str
) -> None:
    """Lines between records, or behind a token."""
    path = command.folder / "stream"
    path.write_text(TOKEN)
    path.chmod(0o600)
    with path.open("r+b") as file:
        done = subprocess.run(
            command.line(*words, "--log-file=stream"),
            cwd=command.folder,
            env=command.environment(),
            stdin=file,
            stdout=file if use == "stdout" else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=100,
            check=False,
        )
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert f"--log-file cannot be 'stream', which is {use}: choose another file" in done.stderr.decode()
    assert path.read_text() == TOKEN


def test_log_file_from_the_environment_or_a_file_is_checked_too(command: Any) -> None:
    """The line names where it was set."""
    (command.folder / "settings.toml").write_text('log-file = "a.ndjson"\noutput = "a.ndjson"\n')
    done = command.run("demo", "-o", "a.ndjson", INTERCOM_EXPORTER_LOG_FILE="a.ndjson")
    assert done.returncode == 2
    assert b"INTERCOM_EXPORTER_LOG_FILE cannot be 'a.ndjson', which is a file of the export" in done.stderr
    done = command.run("demo", "--config=settings.toml")
    assert done.returncode == 2
    assert b"log-file in 'settings.toml' cannot be 'a.ndjson', which is a file of the export" in done.stderr
    assert not (command.folder / "a.ndjson").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--per-page=0"),
        ("demo", "--region=mars"),
        ("demo", "--no-such-option"),
        ("demo", "superfluous"),
        ("demo", "--quiet", "--verbose"),
        ("demo", "--metrics-host=::1"),
        ("demo", "-o", "a.xml"),
        ("demo", "--overwrite"),
        ("demo", "--gzip", "-o", "a.ndjson"),
        ("demo", "--fields=nope"),
        ("demo", "--metrics-file=x"),
        ("verify",),
        ("verify", "missing"),
        ("report", "missing"),
    ],
)
def test_log_file_has_errors_of_usage(command: Any, words: tuple[str, ...]) -> None:
    """Each as stderr has it, with its time."""
    done = command.run(*words, "--log-file=x.log", "--log-format=json")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert (command.folder / "x.log").read_bytes() == done.stderr


def test_log_file_is_not_opened_if_no_command_runs(command: Any) -> None:
    """For `config show` and `--help`."""
    for words in (("config", "show", "contacts"), ("contacts", "--help")):
        assert command.run(*words, "--log-file=x.log").returncode == 0
    assert not (command.folder / "x.log").exists()


@pytest.mark.parametrize(
    "path", [".", "/", "..", "x" * 300, "x" * 300 + "-{date}.ndjson", "{date}", "\udcff{date}.csv"]
)
def test_log_file_beside_an_invalid_output_is_not_blamed(command: Any, path: str) -> None:
    """One line about the output."""
    for words in (("demo", "-q", "-o", path), ("verify", path), ("report", path)):
        done = command.run(*words, "--log-file=x.log")
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr


def test_log_file_in_a_folder_that_is_gone_is_refused(command: Any) -> None:
    """In one line."""
    for words in ("demo -o a.ndjson", "demo -o a-{date}.ndjson", "verify a"):
        code = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
        (command.folder / "gone").mkdir(exist_ok=True)
        done = subprocess.run(
            ["sh", "-c", code, "sh", str(command.folder / "gone"), *command.line(*words.split(), "--log-file=x.log")],
            env=command.environment(),
            capture_output=True,
            timeout=100,
            check=False,
        )
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr
        assert b"--log-file 'x.log' cannot be opened" in done.stderr
