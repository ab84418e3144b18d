"""A minimal client, as a lower limit: ``python -m benchmarks.raw_socket BASE_URL [OUTPUT]``.

It reads into one buffer, blocking, and parses only the length of a response and
the next cursor. Without OUTPUT it discards the bodies: no client can be faster on
this server. With OUTPUT it writes them unchanged. It prints the number of contacts.
"""

import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import NamedTuple
from urllib.parse import quote, urlsplit

PER_PAGE = 150
CONTACT = b'"workspace_id"'
"""Every contact has it once: counting it counts contacts without parsing."""

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_GZIP_ENCODED = re.compile(rb"\r\ncontent-encoding: *gzip", re.IGNORECASE)
_GZIP_CONTAINER = 31  # in zlib's code ("wbits")
_USUAL_JSON_BYTES = 1 << 19
_CURSOR = b'"starting_after":"'
_TAIL_BYTES = 512  # the rest of the envelope is shorter


class Answer(NamedTuple):
    """A body, valid until the next request.

    Attributes:
        wire: its bytes on the connection.
        json: its bytes, decompressed if necessary.
        gzip: whether it was compressed.
    """

    wire: memoryview
    json: memoryview
    gzip: bool


class Connection:
    """One persistent connection."""

    def __init__(self, base_url: str, token: str) -> None:
        address = urlsplit(base_url)
        self._socket = socket.create_connection((address.hostname or "", address.port or 80))
        self._headers = (
            f" HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
            "Intercom-Version: 2.14\r\nAccept-Encoding: gzip\r\n\r\n"
        )
        self._buffer = bytearray(1 << 20)
        self._filled = 0

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def get(self, target: str) -> Answer:
        """Send a request, and return the body of its response."""
        self._socket.sendall(f"GET {target}{self._headers}".encode())
        self._filled = 0
        while (head_end := self._buffer.find(_HEAD_END, 0, self._filled)) < 0:
            self._receive()
        head = bytes(self._buffer[:head_end])
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            sys.exit(f"no page of contacts: {head.splitlines()[0].decode()}")
        start = head_end + len(_HEAD_END)
        end = start + int(length[1])
        self._make_room(end)
        while self._filled < end:
            self._receive()
        wire = memoryview(self._buffer)[start:end]
        gzip = _GZIP_ENCODED.search(head) is not None
        return Answer(wire, _inflated(wire) if gzip else wire, gzip)

    def _receive(self) -> None:
        count = self._socket.recv_into(memoryview(self._buffer)[self._filled :])
        if not count:
            sys.exit("the server closed the connection")
        self._filled += count

    def _make_room(self, size: int) -> None:
        if size > len(self._buffer):
            larger = bytearray(size)
            larger[: self._filled] = self._buffer[: self._filled]
            self._buffer = larger


def _inflated(body: memoryview) -> memoryview:
    # Imported only if needed: a minimal client imports nothing else. With one call isal takes half as
    # long as through an object, and a server of ours needs no cap.
    try:
        from isal import isal_zlib as zlib  # noqa: PLC0415
    except ImportError:  # platforms without a wheel
        import zlib  # type: ignore[no-redef]  # noqa: PLC0415
    return memoryview(zlib.decompress(body, _GZIP_CONTAINER, _USUAL_JSON_BYTES))


def answers(connection: Connection) -> Iterator[tuple[str, Answer]]:
    """Yield each body with the cursor of its request, from the first page (cursor "") to the last."""
    target = first = f"/contacts?per_page={PER_PAGE}"
    cursor: str | None = ""
    while cursor is not None:
        answer = connection.get(target)
        yield cursor, answer
        cursor = next_cursor(bytes(answer.json[-_TAIL_BYTES:]))
        target = f"{first}&starting_after={quote(cursor or '', safe='')}"


def next_cursor(tail: bytes) -> str | None:
    """Find the next cursor at the end of a body."""
    start = tail.rfind(_CURSOR)
    if start < 0:
        return None
    start += len(_CURSOR) - 1
    cursor: str = json.loads(tail[start : tail.index(b'"', start + 1) + 1])
    return cursor


def main() -> None:
    """Fetch every page."""
    base_url, *output = sys.argv[1:]
    connection = Connection(base_url, os.environ["INTERCOM_ACCESS_TOKEN"])
    pages, body = 0, memoryview(b"")
    # No pathlib: its import takes longer than ten pages.
    with open(output[0], "wb", buffering=0) if output else nullcontext() as file:  # noqa: PTH123
        for pages, (_, answer) in enumerate(answers(connection), 1):  # noqa: B007 - used below
            body = answer.json
            if file is not None:
                file.write(body)
    # Every page but the last is full; counting in each page would make the minimal client slower.
    print((pages - 1) * PER_PAGE + bytes(body).count(CONTACT))


if __name__ == "__main__":
    main()
