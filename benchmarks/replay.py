"""Serve a recording from memory: ``python -m benchmarks.replay RECORDING --token T [--latency-ms MS] [--gaps FILE]``.

The sandbox generates its contacts while it serves them, and a fast client would
measure that. Here the kernel sends the recording from memory, so only the
client is measured.

With ``--gaps`` the seconds between the last byte of each response and the first
byte of the next request are appended to FILE, one per line. The server holds the
last byte back until the client must have read all others, and starts the clock
before it sends that byte: the measured time may be a little more than the gap,
never less.
"""

import argparse
import errno
import fcntl
import itertools
import json
import os
import select
import signal
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl

from benchmarks.raw_socket import PER_PAGE
from benchmarks.recording import Recording, Span
from exporter.sandbox.protocol import DEFAULT_VERSION, UNLIMITED, WINDOW_S, Refusal, accepts_gzip

_HEAD_END = b"\r\n\r\n"
_RECEIVE_BYTES = 1 << 16
_MORE_COMES = getattr(socket, "MSG_MORE", 0)  # so that the head and the beginning of the body are in one packet
_GLANCE_S = 0.0005
_SETTLE_S = 0.005


@dataclass(frozen=True)
class Request:
    """The head of a request.

    Attributes:
        method: HTTP method.
        path: path without the query.
        query: parameters, decoded.
        headers: headers, by name in lower case.
        received_at_s: time when it was complete, of the performance counter.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    received_at_s: float

    @classmethod
    def parse(cls, head: bytes, received_at_s: float) -> "Request":
        """Parse a head, without the empty line at its end.

        Raises:
            ValueError: it is not the head of a request.
        """
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        fields = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        return cls(method, path, dict(parse_qsl(query, keep_blank_values=True)), headers, received_at_s)


class Gaps:
    """Measures the time between each response and the next request, on any connection.

    Args:
        path: file for the seconds, one line each.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="ascii", buffering=1)
        self._answered_at_s: float | None = None

    def request_begins(self) -> None:
        """Record that the first byte of a request has arrived."""
        now_s = time.perf_counter()
        answered_at_s, self._answered_at_s = self._answered_at_s, None
        if answered_at_s is not None:
            self._file.write(f"{now_s - answered_at_s:.9f}\n")

    def end_answer(self, connection: socket.socket, last: bytes) -> None:
        """Send the last byte of a response, after the client must have read all others."""
        while _unacknowledged_bytes(connection):
            time.sleep(_GLANCE_S)
        time.sleep(_SETTLE_S)
        # Before it is sent: the next request may arrive on another connection, in another thread.
        self._answered_at_s = time.perf_counter()
        connection.sendall(last)


def _unacknowledged_bytes(connection: socket.socket) -> int:
    """Return the number of bytes that the client's side has not acknowledged yet (Linux: SIOCOUTQ).

    Raises:
        OSError: the client has disconnected.
    """
    if number := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(number, os.strerror(number))
    (count,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, struct.pack("i", 0)))
    return int(count)


class Replay:
    """Serves a recording.

    Args:
        recording: the recording.
        token: the required access token.
        latency_ms: milliseconds between a request and its response.
        gaps: measures gaps; None to measure none.
    """

    def __init__(self, recording: Recording, token: str, latency_ms: float = 0, gaps: Gaps | None = None) -> None:
        self._recording = recording
        self._bodies = os.open(recording.path, os.O_RDONLY)
        self._last = list(recording.spans.values())[-1]
        self._authorization = f"Bearer {token}"
        self._latency_s = latency_ms / 1000
        self._gaps = gaps
        self._numbers = itertools.count(1)

    def converse(self, connection: socket.socket) -> None:
        """Serve every request of a connection, until the client closes it."""
        begins = self._gaps.request_begins if self._gaps else None
        # A killed client is not a failure of the server.
        with connection, suppress(ConnectionError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for head in heads(connection, begins):
                request = Request.parse(head, time.perf_counter())
                self._answer(connection, request)
                if request.headers.get("connection", "").lower() == "close":
                    return

    def _answer(self, connection: socket.socket, request: Request) -> None:
        headers = {
            "X-Request-Id": f"replayed-{next(self._numbers):012}",
            "Vary": "Accept-Encoding",
            "Intercom-Version": request.headers.get("intercom-version", DEFAULT_VERSION),
            "Content-Type": "application/json; charset=utf-8",
        }
        span: Span | None = None
        try:
            span = self._find(request)
            if self._recording.gzip:
                headers["Content-Encoding"] = "gzip"
            beginning = _head(HTTPStatus.OK, headers, span.length)
        except Refusal as refusal:
            body = refusal.envelope(headers["X-Request-Id"])
            beginning = _head(refusal.status, headers, len(body)) + body
        _sleep_until(request.received_at_s + self._latency_s)
        connection.sendall(beginning, _MORE_COMES if span else 0)
        if span:
            self._send(connection, span)

    def _find(self, request: Request) -> Span:
        """Return the position of the body for a request.

        Raises:
            Refusal: the request is refused.
        """
        if request.headers.get("authorization") != self._authorization:
            raise Refusal(HTTPStatus.UNAUTHORIZED, "unauthorized", "Access Token Invalid")
        if (request.method, request.path) != ("GET", "/contacts"):
            raise Refusal(HTTPStatus.NOT_FOUND, "not_found", "The requested resource was not found")
        if request.query.get("per_page") != str(PER_PAGE):
            raise Refusal(HTTPStatus.BAD_REQUEST, "parameter_invalid", f"per_page must be {PER_PAGE}, as recorded")
        if self._recording.gzip and not accepts_gzip(request.headers.get("accept-encoding", "")):
            raise Refusal(
                HTTPStatus.NOT_ACCEPTABLE, "not_acceptable", "recorded in gzip, which Accept-Encoding must allow"
            )
        span = self._recording.spans.get(request.query.get("starting_after", ""))
        if span is None:
            raise Refusal(HTTPStatus.BAD_REQUEST, "client_error", "no page was recorded for this starting_after")
        return span

    def _send(self, connection: socket.socket, span: Span) -> None:
        """Send a body; to measure gaps, send its last byte later."""
        begin, end = span.offset, span.offset + span.length
        # No request follows the last page.
        if self._gaps is None or span == self._last:
            self._send_range(connection, begin, end)
            return
        self._send_range(connection, begin, end - 1)
        self._gaps.end_answer(connection, os.pread(self._bodies, 1, end - 1))

    def _send_range(self, connection: socket.socket, begin: int, end: int) -> None:
        while begin < end:
            sent = os.sendfile(connection.fileno(), self._bodies, begin, end - begin)
            if not sent:
                raise OSError(errno.EIO, "the recording has been cut short")
            begin += sent


def heads(connection: socket.socket, begins: Callable[[], None] | None = None) -> Iterator[bytes]:
    """Yield the head of each request, until the client closes the connection.

    Args:
        connection: connection with the client.
        begins: function that is called when the first byte of a request arrives.
    """
    received = b""
    while True:
        while (end := received.find(_HEAD_END)) < 0:
            piece = connection.recv(_RECEIVE_BYTES)
            if not piece:
                return
            if begins is not None and not received:
                begins()
            received += piece
        yield received[:end]
        received = received[end + len(_HEAD_END) :]


def _head(status: int, headers: Mapping[str, str], length: int) -> bytes:
    own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{_clocked(int(time.time()))}{own}"
    return f"{head}Content-Length: {length}\r\n\r\n".encode("latin-1")


@lru_cache(maxsize=1)
def _clocked(now_s: int) -> str:
    """Return the headers that change by the second; there is no rate limit in practice."""
    return (
        f"Date: {formatdate(now_s, usegmt=True)}\r\n"
        f"X-RateLimit-Limit: {UNLIMITED}\r\nX-RateLimit-Remaining: {UNLIMITED - 1}\r\n"
        f"X-RateLimit-Reset: {(now_s // WINDOW_S + 1) * WINDOW_S}\r\n"
    )


def _sleep_until(moment_s: float) -> None:
    remaining_s = moment_s - time.perf_counter()
    if remaining_s > 0:
        time.sleep(remaining_s)


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description="Serve a recording from memory.")
    parser.add_argument("recording", type=Path)
    parser.add_argument("--token", required=True)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="milliseconds between a request and its answer")
    parser.add_argument("--gaps", type=Path, help="file that gets the seconds between answers and next requests")
    options = parser.parse_args()
    gaps = Gaps(options.gaps) if options.gaps else None
    replay = Replay(Recording.load(options.recording), options.token, options.latency_ms, gaps)
    with _signals() as stop, socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        print(json.dumps({"base_url": address, "token": options.token}), flush=True)
        while stop not in select.select([listener, stop], [], [])[0]:
            connection, _ = listener.accept()
            # Daemon threads: a client that stays connected must not keep the server running.
            threading.Thread(target=replay.converse, args=(connection,), daemon=True).start()


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Return a socket that becomes readable after SIGTERM or SIGINT.

    A handler that raises is not enough: it runs between two steps of Python, so a
    signal just before a blocking call would have to wait for that call.
    """
    woken, waker = socket.socketpair()
    with woken, waker:
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        yield woken
        signal.set_wakeup_fd(-1)


if __name__ == "__main__":
    main()
