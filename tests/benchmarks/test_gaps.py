"""Every gap between an answer and the next request is measured, whoever the client is."""

import http.client
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from benchmarks.gaps import FLOOR, OURS, gaps_of, p50, p99, percentile
from benchmarks.recording import Recording, record
from benchmarks.served import ROOT, Served, replay, serve

FIRST = "/contacts?per_page=150"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Record five pages."""
    with serve(601) as served:
        return record(served, tmp_path_factory.mktemp("recording"))


def bodies(served: Served, cursors: Iterator[str]) -> Iterator[bytes]:
    """Fetch pages, each on a connection of its own."""
    for cursor in cursors:
        with closing(http.client.HTTPConnection(urlsplit(served.base_url).netloc)) as connection:
            target = f"{FIRST}&starting_after={quote(cursor, safe='')}"
            connection.request("GET", target, headers={"Authorization": f"Bearer {served.token}"})
            yield connection.getresponse().read()


def measured(path: Path) -> list[float]:
    """Read what the replay wrote."""
    return [float(line) for line in path.read_text().splitlines()]


def test_percentiles_are_values_that_occurred() -> None:
    """A percentile is the smallest value that so many percent do not exceed."""
    hundred = [float(number) for number in range(1, 101)]
    assert (p50(hundred), p99(hundred), percentile(hundred, 100)) == (50, 99, 100)
    assert (p50([1.0, 2.0, 9.0]), p99([1.0, 2.0, 9.0])) == (2, 9)
    assert percentile([7.0], 0) == p50([7.0]) == p99([7.0]) == 7


def test_percentile_of_no_gaps_is_explained() -> None:
    """Without gaps there is an explanation."""
    with pytest.raises(ValueError, match="one page has no gaps"):
        p50([])


@pytest.mark.slow
@pytest.mark.parametrize("command", [FLOOR, OURS])
def test_gaps_are_measured_after_each_page_but_the_last(recording: Recording, command: tuple[str, ...]) -> None:
    """A client that keeps its connection has one gap fewer than pages, and they come in ascending order."""
    gaps = gaps_of(recording, command)
    assert len(gaps) == 4
    assert gaps == sorted(gaps)
    assert gaps[0] > 0


def test_gaps_of_a_reconnecting_client_are_measured(recording: Recording, tmp_path: Path) -> None:
    """The next request may come on any connection, and no byte of an answer is lost by measuring."""
    with replay(recording, gaps=tmp_path / "gaps") as served:
        content = b"".join(bodies(served, iter(recording.spans)))
    assert content == recording.path.read_bytes()
    assert len(measured(tmp_path / "gaps")) == 4


def test_time_until_the_next_run_is_not_a_gap(recording: Recording, tmp_path: Path) -> None:
    """Nothing is measured between the last page and whatever comes after it."""
    with replay(recording, gaps=tmp_path / "gaps") as served:
        for _ in range(2):
            assert len(list(bodies(served, iter(recording.spans)))) == 5
    assert len(measured(tmp_path / "gaps")) == 8


def test_server_stops_waiting_for_a_disconnected_client(recording: Recording, tmp_path: Path) -> None:
    """An answer that nobody reads ends with its connection, and others are served."""
    with replay(recording, gaps=tmp_path / "gaps") as served:
        address = urlsplit(served.base_url)
        for _ in range(3):
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                connection.connect((address.hostname or "", address.port or 0))
                connection.sendall(f"GET {FIRST} HTTP/1.1\r\nAuthorization: Bearer {served.token}\r\n\r\n".encode())
                assert connection.recv(1) == b"H"
        assert len(list(bodies(served, iter(recording.spans)))) == 5
    assert len(measured(tmp_path / "gaps")) == 4


def test_failed_client_has_no_gaps(recording: Recording) -> None:
    """A client that fails, or does not fetch every page, gives no figures."""
    with pytest.raises(subprocess.CalledProcessError):
        gaps_of(recording, (sys.executable, "-c", "raise SystemExit(1)"))
    with pytest.raises(ValueError, match="0 gaps between 5 pages"):
        gaps_of(recording, (sys.executable, "-c", "pass"))


@pytest.mark.slow
def test_gaps_command_prints_both_clients() -> None:
    """The floor and ours, a line each; too few contacts for a gap are an error."""
    command = [sys.executable, "-m", "benchmarks.gaps", "--gzip", "--contacts"]
    done = subprocess.run([*command, "301"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.partition("  ")[0] for line in done.stdout.splitlines()] == ["raw socket", "ours"]
    assert all("2 gaps: p50" in line for line in done.stdout.splitlines())
    done = subprocess.run([*command, "150"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no gaps" in done.stderr
