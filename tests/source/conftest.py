"""An API on a real socket that answers as a test tells it to, and remembers what it was asked."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import pytest

Answer = Callable[["Request"], bytes | Awaitable[bytes | None] | None]


@dataclass(frozen=True)
class Request:
    """One request as it came, and ways to answer it.

    Attributes:
        number: its number, from 1.
        target: path and query as they were sent.
        headers: by lower-case name.
    """

    number: int
    target: str
    headers: Mapping[str, str]

    @property
    def query(self) -> dict[str, str]:
        """Decode the query."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True, strict_parsing=True))

    def reply(self, status: int, body: bytes | str = b"", **headers: str) -> bytes:
        """Give a whole answer; an underscore in a header's name is a hyphen."""
        body = body.encode() if isinstance(body, str) else body
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {status} Reason", f"Content-Length: {len(body)}", *lines, "", ""])
        return head.encode() + body

    def page(self, next_cursor: str | None = None, contacts: int = 1, **headers: str) -> bytes:
        """Give a page, whose contacts are named after the request's number."""
        data = [{"id": f"{self.number}-{index}"} for index in range(contacts)]
        pages = {"next": {"starting_after": next_cursor}} if next_cursor else {}
        return self.reply(200, json.dumps({"data": data, "pages": pages, "total_count": 7}), **headers)

    def error(self, status: int, code: str, message: str = "", **headers: str) -> bytes:
        """Give Intercom's error envelope."""
        body = {"type": "error.list", "request_id": "req-1", "errors": [{"code": code, "message": message}]}
        return self.reply(status, json.dumps(body), **headers)


@dataclass
class Api:
    """The server: ``answer`` gives the bytes of each answer, None closes the connection."""

    answer: Answer
    base_url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    all_closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self.open += 1
        self.all_closed.clear()
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.open -= 1
            if not self.open:
                self.all_closed.set()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        request = Request(len(self.requests) + 1, first.split(" ")[1], {k.lower(): v for k, v in headers.items()})
        self.requests.append(request)
        answer = self.answer(request)
        content = await answer if inspect.isawaitable(answer) else answer
        writer.write(content or b"")
        await writer.drain()
        return content is not None


@pytest.fixture
def api() -> Callable[[Answer], AbstractAsyncContextManager[Api]]:
    """Serve what a function answers, for the length of a block."""

    @asynccontextmanager
    async def start(answer: Answer) -> AsyncIterator[Api]:
        tasks: set[asyncio.Task[None]] = set()
        served = Api(answer)

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(served.serve(reader, writer))
            tasks.add(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        served.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield served
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return start
