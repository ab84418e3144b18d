"""The replay answers as the sandbox did when it was recorded."""

import http.client
import json
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from benchmarks.raw_socket import Connection, answers
from benchmarks.recording import Recording, record
from benchmarks.served import ROOT, Served, replay, serve

CONTACTS = 451
FIRST = "/contacts?per_page=150"


@dataclass(frozen=True)
class Recorded:
    """A recording, and what the sandbox said besides.

    Attributes:
        recording: of 451 contacts.
        bodies: of all pages, by cursor, inflated.
        header_names: of a page, in lower case.
    """

    recording: Recording
    bodies: dict[str, bytes]
    header_names: set[str]


def followed(served: Served) -> dict[str, bytes]:
    """Fetch every page."""
    with closing(Connection(served.base_url, served.token)) as connection:
        return {cursor: bytes(answer.json) for cursor, answer in answers(connection)}


def get(served: Served, target: str = FIRST, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """Ask once, on a connection of its own."""
    with closing(http.client.HTTPConnection(urlsplit(served.base_url).netloc)) as connection:
        sent = {"Authorization": f"Bearer {served.token}", "Accept-Encoding": "gzip"}
        connection.request("GET", target, headers=sent | {name.replace("_", "-"): headers[name] for name in headers})
        response = connection.getresponse()
        return response, response.read()


@contextmanager
def connected(served: Served) -> Iterator[socket.socket]:
    """Connect without saying anything."""
    address = urlsplit(served.base_url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        yield connection


def head_of(served: Served, target: str = FIRST) -> bytes:
    """Write a request by hand, its names in odd cases."""
    names = f"hOST: replay\r\naUTHORIZATION: Bearer {served.token}\r\nACCEPT-encoding: gzip"
    return f"GET {target} HTTP/1.1\r\n{names}\r\n\r\n".encode()


def body_of(connection: socket.socket) -> bytes:
    """Read an answer of known length, however many others have been asked for."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return connection.recv(length, socket.MSG_WAITALL)


def recorded_in(folder: Path, *, gzip: bool) -> Recorded:
    """Record a sandbox."""
    with serve(CONTACTS, gzip=gzip) as served:
        response, _ = get(served)
        names = {name.lower() for name, _ in response.getheaders()}
        return Recorded(record(served, folder), followed(served), names)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Record a sandbox that does not compress."""
    return recorded_in(tmp_path_factory.mktemp("plain"), gzip=False)


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Record a sandbox that compresses."""
    return recorded_in(tmp_path_factory.mktemp("compressed"), gzip=True)


@pytest.fixture(params=["plain", "compressed"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """Give one after the other."""
    found: Recorded = request.getfixturevalue(request.param)
    return found


def test_replay_server_sends_the_pages_of_the_sandbox(recorded: Recorded) -> None:
    """Cursors and bodies are those of the sandbox, in its order."""
    with replay(recorded.recording) as served:
        assert list(followed(served).items()) == list(recorded.bodies.items())
        assert served.contacts == CONTACTS


def test_recording_reports_its_counts(recorded: Recorded) -> None:
    """What is loaded from the path is what was recorded: contacts, pages, bytes."""
    recording = recorded.recording
    assert Recording.load(recording.path) == recording
    assert (recording.contacts, recording.pages) == (CONTACTS, 4)
    assert recording.json_bytes == sum(map(len, recorded.bodies.values()))
    assert (recording.path.stat().st_size < recording.json_bytes) is recording.gzip


def test_missing_contacts_are_no_recording(tmp_path: Path) -> None:
    """A listing that does not hold the contacts it should is refused."""
    with serve(10) as served, pytest.raises(ValueError, match="recorded 10 contacts of 11"):
        record(replace(served, contacts=11), tmp_path)


def test_replay_server_sends_the_headers_of_the_sandbox(recorded: Recorded) -> None:
    """An answer has every header that the sandbox's has, but the server's name."""
    with replay(recorded.recording) as served:
        response, body = get(served, Intercom_Version="2.11")
    assert {name.lower() for name, _ in response.getheaders()} == recorded.header_names - {"server"}
    assert response.headers["Intercom-Version"] == "2.11"
    assert response.headers["Content-Length"] == str(len(body))
    assert (response.headers["Content-Encoding"] == "gzip") is recorded.recording.gzip


@pytest.mark.parametrize(
    ("target", "headers", "status", "code"),
    [
        (FIRST, {"Authorization": "Bearer other"}, 401, "unauthorized"),
        ("/contacts", {}, 400, "parameter_invalid"),
        ("/contacts?per_page=50", {}, 400, "parameter_invalid"),
        (f"{FIRST}&starting_after=other", {}, 400, "client_error"),
        ("/companies?per_page=150", {}, 404, "not_found"),
    ],
)
def test_refusals_have_the_error_envelope(
    plain: Recorded, target: str, headers: dict[str, str], status: int, code: str
) -> None:
    """What was not recorded is refused as the API refuses."""
    with replay(plain.recording) as served:
        response, body = get(served, target, **headers)
    envelope = json.loads(body)
    assert (response.status, envelope["type"], envelope["errors"][0]["code"]) == (status, "error.list", code)
    assert envelope["request_id"] == response.headers["X-Request-Id"]


def test_gzip_is_not_forced_on_a_client(compressed: Recorded) -> None:
    """A recording in gzip is refused, with the reason, to a client that does not accept gzip."""
    with replay(compressed.recording) as served:
        response, body = get(served, Accept_Encoding="identity")
    assert response.status == 406
    assert "Accept-Encoding" in json.loads(body)["errors"][0]["message"]


def test_requests_are_understood_however_they_are_written(plain: Recorded) -> None:
    """Parameters in any order and encoding, names in any case, in pieces, two requests at once: all are served."""
    cursor, body = list(plain.bodies.items())[1]
    encoded = "".join(f"%{byte:02x}" for byte in cursor.encode())
    with replay(plain.recording) as served, connected(served) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head_of(served, f"/contacts?page=2&starting_after={encoded}&p%65r_page=150"):
            connection.sendall(bytes([byte]))
        assert body_of(connection) == body
        connection.sendall(head_of(served) + head_of(served, f"{FIRST}&starting_after={quote(cursor, safe='')}"))
        assert body_of(connection) == plain.bodies[""]
        assert body_of(connection) == body


def test_replay_server_with_silent_client_serves_others(plain: Recorded) -> None:
    """Several connections are served at once, whatever the others do, or do not."""
    with replay(plain.recording) as served, connected(served) as silent, connected(served) as half:
        half.sendall(head_of(served)[:20])
        assert followed(served) == plain.bodies
        half.sendall(head_of(served)[20:])
        silent.sendall(head_of(served))
        assert body_of(half) == body_of(silent) == plain.bodies[""]


def test_replay_server_closes_the_connection_on_request(plain: Recorded) -> None:
    """A client that will not keep its connection sees it end behind the answer."""
    with replay(plain.recording) as served, connected(served) as connection:
        connection.sendall(head_of(served).replace(b"hOST", b"Connection: close\r\nhOST"))
        assert body_of(connection) == plain.bodies[""]
        assert connection.recv(1) == b""


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_replay_server_signalled_during_latency_ends(plain: Recorded, stop: signal.Signals) -> None:
    """An answer waits for its latency, but the end of the server does not wait for the answer."""
    command = [sys.executable, "-m", "benchmarks.replay", str(plain.recording.path), "--token", "t"]
    with subprocess.Popen([*command, "--latency-ms", "3600000"], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        served = Served(**json.loads(process.stdout.readline()), contacts=CONTACTS)
        with connected(served) as connection:
            connection.sendall(head_of(served))
            assert not select.select([connection], [], [], 0.1)[0]
            process.send_signal(stop)
            assert connection.recv(1) == b""
        assert process.wait() == 0
