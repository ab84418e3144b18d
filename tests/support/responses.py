"""HTTP responses of test servers, byte for byte."""

import gzip


def head(*lines: str, status: str = "200 OK") -> bytes:
    """Return the head of a response."""
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode("latin-1")


def response(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    """Return a complete response with a correct length."""
    return head(f"Content-Length: {len(body)}", *lines, status=status) + body


def last_response(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    """Return a complete response after which the connection ends."""
    return response(body, "Connection: close", *lines, status=status)


def gzip_response(body: bytes, cut: int | None = None) -> bytes:
    """Return a response with a gzip body, truncated to `cut` bytes if given, and a correct length."""
    return response(gzip.compress(body, mtime=0)[:cut], "Content-Encoding: gzip")


def list_response(*items: bytes) -> bytes:
    """Return the only page of a list, after which the connection ends."""
    return last_response(b'{"data":[%b]}' % b",".join(items))
