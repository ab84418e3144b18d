"""Pass the bytes of responses to the HTTP library, with limits that accept what browsers and curl accept.

aiohttp allows headers of 8 kB and 128 of them, and refuses a repeated
``Content-Length``. Here a head may have 64 KiB, and a length may be repeated.
"""

import re
from asyncio import AbstractEventLoop
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

MAX_HEAD_BYTES = 64 * 1024
_MAX_HEADERS = MAX_HEAD_BYTES // len("a:\r\n")
_MAX_FRAMING_BYTES = 1024 * 1024
_NEWLINES = re.compile(rb"[\r\n]*")
_END = re.compile(rb"\n\r?\n")  # a pattern that begins with a literal byte is fast
_INTERIM = re.compile(rb"HTTP/\d\.\d 1(?!01)\d\d")
_LENGTH = re.compile(rb"^content-length:([^\r\n]*+)\r?\n", re.IGNORECASE | re.MULTILINE)
_HTTP = b"HTTP/"
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")  # an alert, a handshake


class HeadTooLargeError(HttpProcessingError):
    """The status line and headers of a response go beyond `MAX_HEAD_BYTES`."""


class NotHttpError(HttpProcessingError):
    """A response does not begin as HTTP does."""


class SpeaksTlsError(HttpProcessingError):
    """A response begins as TLS does, on a connection without TLS."""


class ResponseReader(ResponseHandler):
    """Reads the responses of one connection."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        self._head: bytes | None = None  # the part of a head that has arrived; None outside of heads
        self._framing_bytes = 0

    def set_response_params(self, **parameters: Any) -> None:
        """Prepare for the response to the next request."""
        self._head = b""
        limits = {"max_line_size": MAX_HEAD_BYTES, "max_field_size": MAX_HEAD_BYTES, "max_headers": _MAX_HEADERS}
        super().set_response_params(**{**parameters, **limits})

    def data_received(self, data: bytes) -> None:
        """Receive bytes from the connection."""
        if self._head is None:
            self._receive_body(data)
        else:
            self._receive_head(self._head + data if self._head else data)

    def _receive_head(self, text: bytes) -> None:
        """Wait for a complete head, and give it to the parser together with all that follows it."""
        start = _after(_NEWLINES, text, 0)
        while _HTTP.startswith(text[start : start + len(_HTTP)]):
            end = _END.search(text, start, start + MAX_HEAD_BYTES)
            if end is None:
                return self._keep(text, start)
            if not _INTERIM.match(text, start):
                self._head = None
                return super().data_received(_with_one_length(text, start, end.end()))
            start = _after(_NEWLINES, text, end.end())
        return self._refuse(SpeaksTlsError() if text.startswith(_TLS_RECORDS, start) else NotHttpError())

    def _keep(self, text: bytes, start: int) -> None:
        """Keep the beginning of a head until more of it arrives."""
        if len(text) - start >= MAX_HEAD_BYTES:
            return self._refuse(HeadTooLargeError())
        self._head = text[start:]
        if start:
            return super().data_received(text[:start])
        return self.start_timeout()  # the time-out for silence starts again

    def _receive_body(self, data: bytes) -> None:
        """Pass data to the parser, and limit bytes outside of head and body: chunk sizes and trailers."""
        payload = self._payload
        body_bytes = payload.total_bytes if payload is not None else 0
        super().data_received(data)
        if payload is None or payload.total_bytes != body_bytes or self._reading_paused:
            self._framing_bytes = 0
            return
        self._framing_bytes += len(data)
        if self._framing_bytes > _MAX_FRAMING_BYTES:
            payload.set_exception(aiohttp.ClientPayloadError())
            self._refuse(HeadTooLargeError())

    def _refuse(self, failure: Exception) -> None:
        self._head = None
        if self.transport is not None:
            self.transport.close()
        self.set_exception(failure)


def _after(pattern: re.Pattern[bytes], text: bytes, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start


def _with_one_length(text: bytes, start: int, end: int) -> bytes:
    """Return `text` with one ``Content-Length`` in its head, where the server repeated it.

    The head is `text[start:end]`.
    """
    head = text[start:end]
    if head.lower().count(b"content-length") == 0:
        return text
    fields = [value.strip(b" \t") for value in _LENGTH.findall(head)]
    lengths = {length.strip(b" \t") for value in fields for length in value.split(b",")}
    if len(lengths) != 1 or fields == list(lengths):
        return text  # the parser refuses lengths that differ
    status, _, others = head.partition(b"\n")
    return b"%b\nContent-Length: %b\r\n%b%b" % (status, *lengths, _LENGTH.sub(b"", others), text[end:])
