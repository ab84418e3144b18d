"""The command, run as a user runs it."""

import asyncio
import gzip
import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import exporter

Serve = Callable[..., AbstractContextManager[Any]]

USAGE_ERRORS: list[tuple[list[str], str]] = [
    (["contacts"], "INTERCOM_ACCESS_TOKEN"),
    (["contcats"], "contacts"),
    (["contacts", "dG9rOm15"], "argument too many"),
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
def test_usage_errors_are_one_line_that_says_what_to_change(command: Any, arguments: list[str], hint: str) -> None:
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
def test_bad_settings_in_the_environment_are_usage_errors(command: Any, variable: str, value: str) -> None:
    """A wrong variable is named, and nothing is requested."""
    done = command.run("demo", **{variable: value})
    assert (done.returncode, done.stdout) == (2, b"")
    assert variable in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_hostile_arguments_cannot_draw_on_the_terminal(command: Any) -> None:
    """Control characters of an argument are shown escaped, on the one line."""
    done = command.run("demo", "--output", "a\x1b[31m\nb.xml")
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_every_option_reads_the_environment(command: Any) -> None:
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


def test_demo_writes_a_file_and_knows_it_again(command: Any) -> None:
    """The demo's file is complete; run again, it says so and changes nothing."""
    first = command.run("demo", "-o", "contacts.ndjson.gz")
    path = command.folder / "contacts.ndjson.gz"
    content, stamp = path.read_bytes(), path.stat().st_mtime_ns
    again = command.run("demo", "-o", "contacts.ndjson.gz")
    assert (first.returncode, again.returncode, first.stdout, again.stdout) == (0, 0, b"", b"")
    assert b"10,000 contacts" in first.stderr
    assert b"complete already" in again.stderr
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, stamp)
    assert gzip.decompress(content).count(b"\n") == 10_000


def test_demo_takes_the_options_of_the_job(command: Any) -> None:
    """The demo's own option and the job's work together; options that name the API do nothing."""
    done = command.run("demo", "--contacts=42", "--per-page=5", "--region=eu", "-q", INTERCOM_ACCESS_TOKEN="")
    assert (done.returncode, done.stdout.count(b"\n"), done.stderr) == (0, 42, b"")


@pytest.mark.parametrize("output", [["-o", "-"], ["--output", "-"], ["--output=-"], []])
def test_a_dash_is_stdout(command: Any, output: list[str]) -> None:
    """However it is written, "-" means stdout, and no file of that name."""
    done = command.run("demo", "--max-contacts=2", "-q", *output)
    assert (done.returncode, done.stdout.count(b"\n"), done.stderr) == (0, 2, b"")
    assert list(command.folder.iterdir()) == []


def test_an_export_by_the_command_is_an_export_by_the_library(serve: Serve, command: Any) -> None:
    """What contacts writes has a manifest, and is not taken for one with other settings."""
    with serve("--contacts=300") as served:
        done = command.run("contacts", "-o", "a.ndjson.gz", served=served)
        assert done.returncode == 0
        manifest = json.loads((command.folder / "a.ndjson.gz.manifest.json").read_bytes())
        assert (manifest["complete"], manifest["contacts"], manifest["pages"]) == (True, 300, 2)
        other = command.run("contacts", "-o", "a.ndjson.gz", "--per-page=50", served=served)
    assert other.returncode == 6
    assert b"per page" in other.stderr
    assert other.stderr.count(b"\n") == 1


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
def test_failures_of_the_api_have_their_codes(
    serve: Serve, command: Any, faults: list[str], code: int, hint: str
) -> None:
    """Each class of failure ends with its code and one line that names the cause."""
    with serve("--contacts=1000", *faults) as served:
        done = command.run("contacts", "-o", "a.ndjson", "--max-retry-time=0.3", "-q", served=served)
    assert done.returncode == code
    assert hint in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert not (command.folder / "a.ndjson").exists()


def test_a_wrong_token_is_told_without_showing_it(serve: Serve, command: Any) -> None:
    """A refused token appears nowhere, however verbose the command is."""
    with serve("--contacts=10") as served:
        done = command.run("contacts", "-v", served=served, INTERCOM_ACCESS_TOKEN="dG9rOmNhbmFyeQ==")
    assert done.returncode == 3
    assert b"canary" not in done.stderr
    assert b"dG9rOmNhbmFyeQ" not in done.stdout + done.stderr


def test_retries_are_told_in_a_line_each(serve: Serve, command: Any) -> None:
    """A retry prints one line, without a trace of the libraries beneath; -q silences it."""
    with serve("--contacts=1000", "--no-hostile", "--fault=http_503@2", "--fault=reset@4") as served:
        done = command.run("contacts", "-o", "a.ndjson", served=served)
        lines = done.stderr.decode().splitlines()
        assert done.returncode == 0
        assert len(lines) == 5
        assert "503" in lines[0]
        assert "attempt 2" in lines[0]
        assert all(line.startswith("intercom-exporter: ") for line in lines)
        assert "on the way: 2 of 9 requests repeated (http_503 1, network 1)" in lines[3]
        assert lines[4].endswith(": intercom-exporter verify a.ndjson")
    with serve("--contacts=1000", "--fault=http_503@2") as served:
        assert command.run("contacts", "-o", "b.ndjson", "-q", served=served).stderr == b""


def test_progress_as_json_is_one_object_a_line(serve: Serve, command: Any) -> None:
    """--progress json says each page, retry and the end as an object of its own on stderr."""
    with serve("--contacts=450", "--fault=http_500@2") as served:
        done = command.run("contacts", "-o", "a.ndjson", "--progress=json", served=served)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    events = [event for event in events if event["event"] != "checkpoint"]
    assert sorted(event["event"] for event in events) == ["finished", "page", "page", "page", "retry", "started"]
    assert events[-1]["contacts"] == 450
    assert events[-2]["position"]["contacts"] == 450


def test_commits_and_resuming_are_told_as_json(serve: Serve, command: Any) -> None:
    """A run that goes on says so, and each commit says what is on disk by then."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        command.run("contacts", "-o", "a.ndjson", served=served)
        done = command.run("contacts", "-o", "a.ndjson", "--progress=json", "--checkpoint-every=0", served=served)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    told = [(event["event"], event["position"]["contacts"]) for event in events if "position" in event]
    assert told == [
        *(("resumed", 150), ("checkpoint", 150)),
        *(("page", 300), ("checkpoint", 300)),
        *(("page", 450), ("checkpoint", 450)),
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_in_order(serve: Serve, command: Any, number: signal.Signals, code: int) -> None:
    """A first signal ends the run with its code, one line, whole lines in the part and no finished file."""
    with serve("--contacts=100000", "--latency-ms=20") as served:
        run = command.start("contacts", "-o", "a.ndjson", served=served)
        _wait_for(lambda: _size(command.folder / "a.ndjson.part") > 0)
        run.send_signal(number)
        _out, said = run.communicate(timeout=60)
    assert run.returncode == code
    assert said.count(b"\n") == 1
    content = (command.folder / "a.ndjson.part").read_bytes()
    kept = json.loads((command.folder / "a.ndjson.checkpoint.json").read_bytes())["figures"]["position"]
    assert content.endswith(b"\n")
    assert (kept["contacts"], kept["written_bytes"]) == (content.count(b"\n"), len(content))
    assert f"{kept['contacts']:,} contacts are kept on disk; run the same command again to resume" in said.decode()
    assert not (command.folder / "a.ndjson").exists()


def test_a_limit_of_time_stops_in_order_too(serve: Serve, command: Any) -> None:
    """--max-duration ends with 8; the same command resumes, until the whole file is there."""
    with serve("--contacts=1500", "--latency-ms=100") as served:
        codes: list[int] = []
        while (done := command.run("contacts", "-o", "a.ndjson", "--max-duration=0.35s", served=served)).returncode:
            codes.append(done.returncode)
            assert b"stopped by --max-duration" in done.stderr
            assert len(codes) < 20
    assert codes
    assert set(codes) == {8}
    manifest = json.loads((command.folder / "a.ndjson.manifest.json").read_bytes())
    assert 1 <= manifest["interruptions"] <= len(codes)  # a run may end before it has begun to write
    assert (command.folder / "a.ndjson").read_bytes().count(b"\n") == manifest["contacts"] == 1500


def test_a_disk_that_gets_full_stops_in_order(command: Any) -> None:
    """--min-free-disk ends with 5 before the disk is full, in one line that says how much is left."""
    done = command.run("demo", "-o", "a.ndjson", "--min-free-disk=8000TB")
    assert (done.returncode, done.stderr.count(b"\n")) == (5, 1)
    assert b"are free in" in done.stderr
    assert list(command.folder.iterdir()) == []


def test_an_error_says_what_is_kept(serve: Serve, command: Any) -> None:
    """Credentials that are revoked in the middle end with 3; a new token goes on."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        failed = command.run("contacts", "-o", "a.ndjson", served=served)
        done = command.run("contacts", "-o", "a.ndjson", served=served)
    assert (failed.returncode, done.returncode) == (3, 0)
    assert b"150 contacts are kept: run the same command again to resume" in failed.stderr
    assert b"going on after 150 contacts" in done.stderr
    assert (command.folder / "a.ndjson").read_bytes().count(b"\n") == 450


def test_other_settings_do_not_go_on(serve: Serve, command: Any) -> None:
    """An unfinished export is not mixed with another page size: 6; --restart starts over."""
    with serve("--contacts=450", "--fault=http_401@2") as served:
        command.run("contacts", "-o", "a.ndjson.gz", served=served)
        refused = command.run("contacts", "-o", "a.ndjson.gz", "--per-page=100", served=served)
        done = command.run("contacts", "-o", "a.ndjson.gz", "--per-page=100", "--restart", served=served)
    assert (refused.returncode, done.returncode) == (6, 0)
    assert b"another per page" in refused.stderr
    assert json.loads((command.folder / "a.ndjson.gz.manifest.json").read_bytes())["pages"] == 5


def test_parts_fill_a_folder(command: Any) -> None:
    """A folder gets numbered parts and one manifest; the parts together are the export."""
    done = command.run("demo", "--contacts=1000", "-o", "out/", "--part-contacts=300", "--format=ndjson")
    assert done.returncode == 0
    names = sorted(path.name for path in (command.folder / "out").iterdir())
    assert names == ["_manifest.json", *(f"contacts-{number:05}.ndjson" for number in range(1, 5))]
    command.run("demo", "--contacts=1000", "-o", "a.ndjson")
    parts = b"".join((command.folder / "out" / name).read_bytes() for name in names if name != "_manifest.json")
    assert parts == (command.folder / "a.ndjson").read_bytes()


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("500kB", 500_000), ("1.5MB", 1_500_000), ("2GiB", 2 << 30), ("1g", 10**9), ("64 KiB", 1 << 16)],
)
def test_sizes_are_read_as_people_write_them(command: Any, text: str, size: int) -> None:
    """A size has a decimal or a binary unit, or none."""
    done = command.run("demo", "--contacts=1", "-o", "out/", f"--part-bytes={text}")
    assert done.returncode == 0
    assert json.loads((command.folder / "out" / "_manifest.json").read_bytes())["part_bytes"] == size


async def test_a_count_that_does_not_fit_is_told(raw_server: Any, command: Any) -> None:
    """When the API counts more contacts than it lists, a complete export says so in one line more."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b'{"type":"list","data":[{"id":"1"}],"total_count":100,"pages":{"next":null}}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with raw_server(answer) as base_url:
        done = await anyio.to_thread.run_sync(
            lambda: command.run(
                "contacts", "-o", "a.ndjson", f"--base-url={base_url}", INTERCOM_ACCESS_TOKEN="dG9rOm15"
            )
        )
    assert done.returncode == 0
    assert b"counts 100 contacts, but listed 1:" in done.stderr.splitlines()[1]


def test_a_killed_run_leaves_nothing_half_done(serve: Serve, command: Any) -> None:
    """SIGKILL leaves no finished file and no lock: the same command then makes the whole one."""
    with serve("--contacts=3000", "--latency-ms=20") as served:
        run = command.start("contacts", "-o", "a.ndjson", served=served)
        _wait_for(lambda: _size(command.folder / "a.ndjson.part") > 0)
        run.kill()
        run.communicate(timeout=60)
        assert run.returncode == -signal.SIGKILL
        left = sorted(path.name for path in command.folder.iterdir() if path.suffix != ".tmp")
        assert left == ["a.ndjson.checkpoint.json", "a.ndjson.part"]
        done = command.run("contacts", "-o", "a.ndjson", served=served)
    assert done.returncode == 0
    assert (command.folder / "a.ndjson").read_bytes().count(b"\n") == 3000


def test_a_signal_does_not_wait_for_a_reader_or_a_server(serve: Serve, command: Any) -> None:
    """SIGTERM ends a run whose reader has stopped reading, and one whose server says nothing."""
    with serve("--contacts=100000") as served:
        run = command.start("contacts", served=served)
        os.read(run.stdout.fileno(), 1)
        time.sleep(0.5)
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143
        run.communicate()
    with serve("--contacts=1", "--latency-ms=600000") as served:
        run = command.start("contacts", "-o", "a.ndjson", served=served)
        _wait_for((command.folder / "a.ndjson.part").exists)
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)
        assert run.returncode == 143


def test_a_second_process_is_refused_at_once(serve: Serve, command: Any) -> None:
    """While one process writes an output, another one ends with 5."""
    with serve("--contacts=100000", "--latency-ms=100") as served:
        first = command.start("contacts", "-o", "a.ndjson", served=served)
        _wait_for(lambda: _size(command.folder / "a.ndjson.part") > 0)
        second = command.run("contacts", "-o", "a.ndjson", served=served)
        first.kill()
        first.communicate()
    assert second.returncode == 5
    assert b"another export" in second.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nothing can be written")
def test_a_read_only_folder_is_a_destination_that_failed(command: Any) -> None:
    """A destination that takes no file ends with 5 and one line."""
    done = command.run("demo", "-o", "/proc/contacts.ndjson")
    assert done.returncode == 5
    assert done.stderr.count(b"\n") == 1


def test_the_token_comes_from_a_private_file_or_stdin(serve: Serve, command: Any) -> None:
    """--token-file reads a file for its owner alone, or stdin; a file that others can read is refused."""
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


def test_a_terminal_gets_a_progress_bar_and_its_line_back(serve: Serve, command: Any) -> None:
    """On a terminal progress is drawn on stderr, and taken away before the last line."""
    leader, follower = pty.openpty()
    with serve("--contacts=1500", "--no-hostile", "--latency-ms=100") as served:
        run = subprocess.Popen(
            command.line("contacts", "-o", "a.ndjson"),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=command.environment(served, TERM="xterm"),
            cwd=command.folder,
        )
        os.close(follower)
        shown = _read_terminal(leader)
        assert run.wait(60) == 0
    os.close(leader)
    assert b"contacts" in shown
    assert "█".encode() in shown
    assert b"1,500 contacts in 10 pages" in shown.splitlines()[-2]


def test_gzip_is_not_poured_into_a_terminal(command: Any) -> None:
    """Compressed contacts on a terminal are refused."""
    leader, follower = pty.openpty()
    run = subprocess.run(
        command.line("demo", "--gzip"), stdout=follower, stderr=subprocess.PIPE, env=command.environment(), check=False
    )
    os.close(leader)
    os.close(follower)
    assert run.returncode == 2


def test_version_and_help(command: Any) -> None:
    """--version and --help speak on stdout and end with 0; so does the bare command."""
    assert command.run("--version").stdout.decode().strip() == exporter.__version__
    for arguments in (["--help"], [], ["contacts", "--help"], ["sandbox", "--help"]):
        done = command.run(*arguments)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"Usage: intercom-exporter" in done.stdout


def test_the_sandbox_says_where_it_is_and_ends_in_order(serve: Serve) -> None:
    """Its first line is JSON with address and token; SIGTERM ends it with 0 (asserted where it is started)."""
    with serve("--contacts=5", "--token=dG9rOm15") as served:
        assert served.token == "dG9rOm15"
        assert served.base_url.startswith("http://127.0.0.1:")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _wait_for(state: Callable[[], bool]) -> None:
    for _ in range(600):
        if state():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def _read_terminal(leader: int) -> bytes:
    """Read what a terminal shows until its last program has left it."""
    shown = b""
    while select.select([leader], [], [], 60)[0]:
        try:
            piece = os.read(leader, 65_536)
        except OSError:
            break
        shown += piece
        if not piece:
            break
    return shown


def test_an_interruption_while_the_token_is_awaited_ends_it(command: Any) -> None:
    """Ctrl-C ends a command at once that waits for its token, and one that has hardly begun."""
    run = subprocess.Popen(
        command.line("contacts", "-o", "a.ndjson", "--token-file=-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=command.folder,
        env=command.environment(),
    )
    command.started.append(run)
    for _ in range(100):
        time.sleep(0.05)
        if Path(f"/proc/{run.pid}/wchan").exists() and len(list(Path(f"/proc/{run.pid}/task").iterdir())) > 1:
            break  # the thread that reads has begun
    run.send_signal(signal.SIGINT)
    assert run.wait(30) == 130
    assert run.stdin is not None
    run.stdin.close()


def test_numbers_beyond_counting_are_usage_errors(command: Any) -> None:
    """A number that no manifest can hold is refused, not met by a bug."""
    for option in ("--max-contacts", "--part-contacts", "--part-bytes", "--min-free-disk"):
        done = command.run("demo", "-o", "out/", option, "9" * 40)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


def test_other_files_in_a_folder_are_never_touched(serve: Serve, command: Any) -> None:
    """What is no part of the export is refused in every state of the folder, and stays."""
    stranger = command.folder / "out" / "contacts-20260101.xml"
    with serve("--contacts=450", "--fault=http_401@2") as served:
        command.run("contacts", "-o", "out/", served=served)
        stranger.write_text("precious")
        for options in ((), ("--restart",), ("--overwrite",), ("--restart", "--per-page=100")):
            assert command.run("contacts", "-o", "out/", *options, served=served).returncode == 2
        stranger.rename(stranger.with_name("contacts-00002.ndjson.gz"))
        for options in ((), ("--restart",), ("--restart", "--per-page=100")):
            assert command.run("contacts", "-o", "out/", *options, served=served).returncode == 2
    assert (command.folder / "out" / "contacts-00002.ndjson.gz").read_text() == "precious"


@pytest.mark.parametrize("options", [(), ("--part-contacts=150",)])
def test_a_file_that_others_cut_or_take_away_is_not_vouched_for(
    serve: Serve, command: Any, options: tuple[str, ...]
) -> None:
    """A part that somebody cuts while it is written, or a finished one that is gone, never gets a manifest."""
    output = "out/" if options else "a.ndjson"
    written = command.folder / ("out/contacts-00001.ndjson.gz" if options else "a.ndjson.part")
    with serve("--contacts=1500", "--latency-ms=50") as served:
        run = command.start("contacts", "-o", output, *options, served=served)
        _wait_for(lambda: _size(written) > 1000)
        if options:
            written.unlink()
        else:
            os.truncate(written, 100)
        _out, said = run.communicate(timeout=60)
    assert run.returncode in (5, 6)
    assert b"are kept" not in said
    assert not list(command.folder.rglob("*manifest.json"))
