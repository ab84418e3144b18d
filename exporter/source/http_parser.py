"""How the bytes of a response reach the HTTP library: heads up to a size, and lengths that a server repeats.

aiohttp limits a header to 8 kB and headers to 128, and refuses a length that
is sent twice; browsers and curl do not.
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
_END = re.compile(rb"\n\r?\n")  # what begins with one byte is found fast
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
        self._head: bytes | None = None  # as much of a head as has arrived, None outside of heads
        self._framing_bytes = 0

    def set_response_params(self, **parameters: Any) -> None:
        """Prepare for the response to the next request."""
        self._head = b""
        limits = {"max_line_size": MAX_HEAD_BYTES, "max_field_size": MAX_HEAD_BYTES, "max_headers": _MAX_HEADERS}
        super().set_response_params(**{**parameters, **limits})

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
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
        return self.start_timeout()  # of silence, which begins again

    def _receive_body(self, data: bytes) -> None:
        """Pass data to the parser, and limit what is neither head nor body: chunk sizes and trailers."""
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
    """Return `text`; where its head, from `start` to `end`, has a length several times over, have it there once."""
    head = text[start:end]
    if head.lower().count(b"content-length") == 0:
        return text
    fields = [value.strip(b" \t") for value in _LENGTH.findall(head)]
    lengths = {length.strip(b" \t") for value in fields for length in value.split(b",")}
    if len(lengths) != 1 or fields == list(lengths):
        return text  # lengths that differ are the parser's to refuse
    status, _, others = head.partition(b"\n")
    return b"%b\nContent-Length: %b\r\n%b%b" % (status, *lengths, _LENGTH.sub(b"", others), text[end:])
