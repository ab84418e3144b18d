"""Read a download and discard it: ``web_reader.py``, with its URL as the first line of stdin.

It decodes the chunks of the response, and prints the number of its lines. It
imports almost nothing: the service must never have to wait for it.
"""

import socket
import sys

_LINE_BYTES = 65_536


def main() -> None:
    """Print the number of lines."""
    host, _, path = sys.stdin.readline().strip().removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port))) as connection, connection.makefile("rb") as answer:
        connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        status = answer.readline(_LINE_BYTES)
        if not status.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"no download: {status.decode(errors='replace')}")
        while answer.readline(_LINE_BYTES).strip():
            pass
        count, buffer = 0, bytearray()
        while size := int(answer.readline(_LINE_BYTES), 16):
            size += len(b"\r\n")
            if size > len(buffer):
                buffer = bytearray(size)
            chunk = memoryview(buffer)[:size]
            if answer.readinto(chunk) != size:
                sys.exit("the service closed the connection")
            count += buffer.count(b"\n", 0, size) - 1  # the end of a chunk is not a line
    print(count)


if __name__ == "__main__":
    main()
