"""An API on a real socket that sends the responses of a test's function, and records the requests."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from tests.support.responses import response
from tests.support.server import RawServer, read_head


@dataclass(frozen=True)
class Request:
    """One request, and methods that build responses to it.

    Attributes:
        number: its number, from 1.
        target: path and query, as the client sent them.
        headers: the headers, by lower-case name.
    """

    number: int
    target: str
    headers: Mapping[str, str]

    @property
    def query(self) -> dict[str, str]:
        """The decoded query."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True, strict_parsing=True))

    def reply(self, status: int, body: bytes | str = b"", **headers: str) -> bytes:
        """Return a complete response; an underscore in a header's name is a hyphen."""
        lines = (f"{name.replace('_', '-')}: {value}" for name, value in headers.items())
        return response(body.encode() if isinstance(body, str) else body, *lines, status=f"{status} Reason")

    def page(self, next_cursor: str | None = None, contacts: int = 1, /, **headers: str) -> bytes:
        """Return a page whose contacts are named after the request's number."""
        data = [{"id": f"{self.number}-{index}"} for index in range(contacts)]
        pages = {"next": {"starting_after": next_cursor}} if next_cursor else {}
        return self.reply(200, json.dumps({"data": data, "pages": pages, "total_count": 7}), **headers)

    def error(self, status: int, code: str, message: str = "", **headers: str) -> bytes:
        """Return Intercom's error envelope."""
        body = {"type": "error.list", "request_id": "req-1", "errors": [{"code": code, "message": message}]}
        return self.reply(status, json.dumps(body), **headers)


Responder = Callable[[Request], bytes | Awaitable[bytes | None] | None]


class Api(RawServer):
    """A raw server that responds to each request of a connection.

    Args:
        respond: returns the bytes of a response; None closes the connection.

    Attributes:
        requests: all requests that it received.
    """

    def __init__(self, respond: Responder) -> None:
        super().__init__(self._serve)
        self.requests: list[Request] = []
        self._respond = respond

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = self._record((await read_head(reader)).decode())
            returned = self._respond(request)
            content = await returned if inspect.isawaitable(returned) else returned
            if content is None:
                return
            writer.write(content)
            await writer.drain()

    def _record(self, text: str) -> Request:
        first, *lines = text.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        by_name = {name.lower(): value for name, value in headers.items()}
        self.requests.append(Request(len(self.requests) + 1, first.split(" ")[1], by_name))
        return self.requests[-1]
