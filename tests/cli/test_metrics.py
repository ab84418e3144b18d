"""Metrics: served while it runs, left in a file for cron jobs, kept for whoever embeds an export."""

import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import exporter

Serve = Callable[..., AbstractContextManager[Any]]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """Give each sample of an exposition, by name and labels without ``output``."""
    return {
        (sample.name.removeprefix("intercom_exporter_"), tuple(sorted(_others(sample.labels)))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _others(labels: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in labels.items() if name != "output"]


def of_file(command: Any, name: str = "export.prom") -> Samples:
    """Give the samples of a metrics file."""
    return samples((command.folder / name).read_text(encoding="utf-8"))


def test_metrics_file_has_the_figures_of_a_run(serve: Serve, command: Any) -> None:
    """Counters, a histogram, how it ended and when; readable by all users."""
    with serve("--contacts=450", "--fault=http_503@2", "--rate-limit=1000") as served:
        done = command.run("contacts", "-q", "-o", "a.ndjson", "--metrics-file=export.prom", served=served)
    assert (done.returncode, done.stderr) == (0, b"")
    found = of_file(command)
    size = (command.folder / "a.ndjson").stat().st_size
    path = ("path", "/contacts")
    expected = {
        "contacts_written_total": 450,
        "pages_written_total": 3,
        "written_bytes_total": size,
        "contacts": 450,
        "workspace_contacts": 450,
        "rate_limit_calls": 1000,
        "rate_limit_wait_seconds_total": 0,
        "running": 0,
        "last_exit_code": 0,
    }
    assert {name: found[name, ()] for name in expected} == expected
    assert found["requests_total", (path, ("status", "200"))] == 3
    assert found["requests_total", (path, ("status", "503"))] == 1
    assert found["retries_total", (("cause", "http_503"),)] == 1
    assert found["request_duration_seconds_count", (path,)] == 4
    assert found["received_bytes_total", ()] > 0
    now = time.time()
    for name in ("last_success", "last_end", "last_start"):
        assert now - 100 < found[f"{name}_timestamp_seconds", ()] <= now
    assert (command.folder / "export.prom").stat().st_mode & 0o444 == 0o444 & ~_umask()
    assert list(command.folder.glob("export.prom*")) == [command.folder / "export.prom"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_failed_run_preserves_the_time_of_the_last_success(serve: Serve, command: Any) -> None:
    """So that an alert can ask how long ago that is."""
    with serve("--contacts=10") as served:
        command.run("contacts", "-o", "a.ndjson", "--metrics-file=export.prom", served=served)
        good = of_file(command)
        wrong = command.run(
            *("contacts", "-o", "a.ndjson", "--overwrite", "--metrics-file=export.prom"),
            served=served,
            INTERCOM_ACCESS_TOKEN="wrong",
        )
    bad = of_file(command)
    assert (wrong.returncode, bad["last_exit_code", ()]) == (3, 3)
    assert bad["last_success_timestamp_seconds", ()] == good["last_success_timestamp_seconds", ()]
    assert bad["last_end_timestamp_seconds", ()] >= good["last_end_timestamp_seconds", ()]


def test_last_success_belongs_to_one_output(serve: Serve, command: Any) -> None:
    """Before the first one it is 0, so that an alert fires for a job that never worked."""
    command.run("demo", "--contacts=5", "-o", "other.ndjson", "--metrics-file=export.prom")
    assert of_file(command)["last_success_timestamp_seconds", ()] > 0
    with serve("--contacts=10") as served:
        options = ("-o", "mine.ndjson", "--metrics-file=export.prom")
        done = command.run("contacts", *options, served=served, INTERCOM_ACCESS_TOKEN="wrong")
    assert (done.returncode, of_file(command)["last_success_timestamp_seconds", ()]) == (3, 0)


def test_metrics_address_is_an_event(command: Any) -> None:
    """It is the only way to learn a free port."""
    done = command.run("demo", "--contacts=5", "--progress=json", "--metrics-port=0")
    first = json.loads(done.stderr.splitlines()[0])
    assert first["event"] == "metrics"
    assert first["address"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("there", [b"", b"not { a metric", b"\xff\xfe", b"x" * 3_000_000])
def test_metrics_file_replaces_an_existing_file(command: Any, there: bytes) -> None:
    """It has the suffix that only such files have."""
    (command.folder / "export.prom").write_bytes(there)
    assert command.run("demo", "--contacts=5", "-q", "--metrics-file=export.prom").returncode == 0
    assert of_file(command)["contacts_written_total", ()] == 5


def test_metrics_of_a_stopped_run_have_its_exit_code(serve: Serve, command: Any) -> None:
    """One that was killed still seems to be running, and its success grows old."""
    with serve("--contacts=100000", "--latency-ms=50") as served:
        for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, None)):
            (command.folder / "export.prom").unlink(missing_ok=True)
            run = command.start("contacts", "-o", "a.ndjson", "-q", "--metrics-file=export.prom", served=served)
            _wait_for(lambda: (command.folder / "a.ndjson.part").exists() and (command.folder / "export.prom").exists())
            run.send_signal(number)
            run.communicate(timeout=30)
            found = of_file(command)
            assert (found["running", ()], found.get(("last_exit_code", ()))) == ((0, code) if code else (1, None))


def _wait_for(state: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if state():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_metrics_are_served_while_the_command_runs(serve: Serve, command: Any) -> None:
    """At an address that is logged; afterwards the port is closed."""
    with serve("--contacts=100000", "--latency-ms=20") as served:
        run = command.start("contacts", "-o", "a.ndjson", "--metrics-port=0", served=served)
        assert run.stderr is not None
        address = run.stderr.readline().decode().split()[-1]
        _wait_for(lambda: samples(httpx.get(address).text)["pages_written_total", ()] > 2)
        assert samples(httpx.get(address).text)["running", ()] == 1
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=30)
    assert run.returncode == 143
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


@pytest.mark.slow
def test_malformed_requests_for_metrics_are_harmless(serve: Serve, command: Any) -> None:
    """Broken requests and too many connections cost no line, no descriptor and no export."""
    with serve("--contacts=15000", "--latency-ms=50") as served:
        run = command.start("contacts", "-o", "a.ndjson", "--metrics-port=0", served=served)
        assert run.stderr is not None
        address = run.stderr.readline().decode().split()[-1]
        port = int(address.rpartition(":")[2].partition("/")[0])
        for broken in (
            b"GET /metrics HT",
            b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=\xff\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(broken)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        descriptors = len(list(Path(f"/proc/{run.pid}/fd").iterdir())) if sys.platform == "linux" else 0
        _out, message = run.communicate(timeout=60)
        for client in idle:
            client.close()
    assert run.returncode == 0
    assert descriptors < 60
    assert all(line.startswith(b"intercom-exporter: ") for line in message.splitlines())


@pytest.mark.parametrize("name", ["größe.ndjson", "a\nb.ndjson", 'a"b\\.ndjson'])
def test_metrics_label_is_text_for_any_output_name(command: Any, name: str) -> None:
    """Names of files need not be text."""
    done = command.run("demo", "--contacts=5", "-q", "-o", name, "--metrics-file=export.prom")
    assert (done.returncode, done.stderr) == (0, b"")
    assert of_file(command)["last_exit_code", ()] == 0


def test_pipe_under_the_name_of_the_metrics_file_does_not_block(command: Any) -> None:
    """It is replaced as any other file."""
    os.mkfifo(command.folder / "export.prom")
    assert command.run("demo", "--contacts=5", "-q", "--metrics-file=export.prom").returncode == 0
    assert of_file(command)["contacts_written_total", ()] == 5


WRONG = {
    "--metrics-file=export.txt": ".prom",
    "--metrics-file=missing/export.prom": "folder",
    "--metrics-port=99999": "99999",
    "--metrics-port=-1": "-1",
    "--metrics-port=0 --metrics-host=203.0.113.1": "203.0.113.1",
    "--metrics-port=0 --quiet": "--quiet",
    "--metrics-port=0 --metrics-host=.a": ".a",
}


@pytest.mark.parametrize("options", WRONG)
def test_invalid_metrics_options_are_one_line(command: Any, options: str) -> None:
    """Exit 2, before the first request."""
    done = command.run("demo", *options.split())
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert WRONG[options] in done.stderr.decode()


def test_metrics_port_in_use_is_one_line(command: Any) -> None:
    """Exit 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command.run("demo", f"--metrics-port={taken.getsockname()[1]}")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)


def test_full_disk_for_metrics_does_not_end_an_export(command: Any) -> None:
    """One warning; the contacts are what counts."""
    folder = Path(command.folder) / "metrics"
    folder.mkdir()
    program = (
        "import os, sys, exporter.cli.metrics as m\n"
        "def full(*_): raise OSError(28, 'No space left on device')\n"
        "import prometheus_client; prometheus_client.write_to_textfile = full\n"
        "from exporter.cli.app import main; sys.exit(main(sys.argv[1:]))"
    )
    done = command.program(program, "demo", "--contacts=5", "-o", "a.ndjson", "--metrics-file=metrics/a.prom")
    assert (done.returncode, done.stderr.count(b"No space left")) == (0, 1)
    assert (command.folder / "a.ndjson").exists()


async def test_metrics_of_several_exports_share_a_registry(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom, tmp_path: Path
) -> None:
    """A label for each export."""
    registry = CollectorRegistry()
    metrics = exporter.Metrics(registry)
    for name in ("one", "two"):
        await exporter.export(intercom, tmp_path / f"{name}.ndjson", observer=metrics.observer(name))
    text = generate_latest(registry).decode()
    for name in ("one", "two"):
        assert f'intercom_exporter_contacts_written_total{{output="{name}"}} 1000.0' in text


async def test_metrics_observer_can_be_used_for_another_export(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """Its counters continue."""
    registry = CollectorRegistry()
    observer = exporter.Metrics(registry).observer("nightly")
    for name in ("monday", "tuesday"):
        await exporter.export(intercom, tmp_path / f"{name}.ndjson", observer=observer)
    assert samples(generate_latest(registry).decode())["contacts_written_total", ()] == 2_000


async def test_resumed_export_counts_only_what_it_writes(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom, tmp_path: Path
) -> None:
    """Contacts of earlier runs are in the gauge, not in the counter."""
    printed: list[exporter.Event] = []

    def stop_at_third(event: exporter.Event) -> None:
        printed.append(event)
        if isinstance(event, exporter.PageWritten) and event.position.pages == 3:
            raise KeyError("stopped")

    with pytest.raises(KeyError):
        await exporter.export(intercom, tmp_path / "a.ndjson", observer=stop_at_third, checkpoint_every_s=0)
    registry = CollectorRegistry()
    await exporter.export(intercom, tmp_path / "a.ndjson", observer=exporter.Metrics(registry).observer("a"))
    found = samples(generate_latest(registry).decode())
    kept = 1_000 - found["contacts_written_total", ()]
    assert kept > 0
    assert kept % 150 == 0
    assert found["contacts", ()] == 1_000
