"""Faults that no web framework would send, as data, and the server that sends them between good pages."""

import asyncio
import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

from exporter import ApiError, CheckpointError, ContractError, ExporterError, RetriesExhausted
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.pages import Listing
from exporter.sandbox.protocol import Refusal
from tests.support import responses
from tests.support.server import End, RawServer, end_connection, read_head, send_pieces

CONTACTS, PER_PAGE = 40, 8
PATIENT_S = 30.0
FIRST, MIDDLE, LAST = 1, 3, 5
LONG = 1 << 20
_LISTING = Listing(Workspace(CONTACTS, hostile=True))  # one for all: its first pages take time to make
_MOST_PIECES = 4096


@dataclass(frozen=True)
class Asked:
    """A request that a fault answers.

    Attributes:
        page: the body it should get.
        here: the cursor that leads to the same page again.
        before: the cursor that leads to the page before it.
        behind: the cursor that leads to the page behind it, also from the last one.
        token: what the client authenticated itself with.
        url: where it was sent, without its query.
        elsewhere: the same on another port.
    """

    page: bytes
    here: str
    before: str
    behind: str
    token: str
    url: str
    elsewhere: str

    def half(self) -> bytes:
        """Return half of the page."""
        return self.page[: len(self.page) // 2]

    def with_data(self, data: bytes) -> bytes:
        """Return the page with something else as its list of contacts."""
        return b'{"type":"list","data":%b,"total_count"%b' % (data, self.page.rpartition(b',"total_count"')[2])

    def with_pages(self, pages: bytes) -> bytes:
        """Return the page with other ``pages``."""
        return self.page.rpartition(b',"pages":')[0] + b',"pages":%b}' % pages

    def with_next(self, following: object) -> bytes:
        """Return the page with another ``pages.next``."""
        return self.with_pages(json.dumps({"type": "pages", "next": following}).encode())


Pieces = Callable[[Asked], Iterable[bytes]]
Content = Callable[[Asked], bytes]
Failure = type[ExporterError]


@dataclass(frozen=True)
class RawFault:
    """One way to answer wrongly, and what is to come of it.

    Attributes:
        name: what goes wrong, in a few words.
        pieces: what is sent instead of the page, piece by piece, until the client leaves.
        lasting: how an export ends that always meets it; None when it is whole all the same.
        once: how one ends that meets it once.
        end: of the connection: ``close``, ``reset``, ``keep``, or ``stall``, which leaves it to the client.
        pause_s: seconds between the pieces.
        timeout_s: seconds the client is to wait for an answer.
        heavy: whether it costs the client much memory for a moment.
    """

    name: str
    pieces: Pieces
    lasting: Failure | None
    once: Failure | None = None
    end: End = "close"
    pause_s: float = 0
    timeout_s: float = PATIENT_S
    heavy: bool = False


def head(*lines: str, status: str = "200 OK") -> bytes:
    """Return the head of a response with JSON."""
    return responses.head("Content-Type: application/json", *lines, status=status)


def answer(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    """Return a whole answer with a correct length."""
    return head(f"Content-Length: {len(body)}", *lines, status=status) + body


def chunks(*pieces: bytes) -> bytes:
    """Return an answer in chunks, spelled by the caller."""
    return head("Transfer-Encoding: chunked") + b"".join(pieces)


def chunk(body: bytes) -> bytes:
    """Return one chunk as it should be."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def said_gzip(body: bytes) -> bytes:
    """Return a whole answer that says its body is in gzip."""
    return answer(body, "Content-Encoding: gzip")


@cache
def bomb() -> bytes:
    """Return 100 MB of spaces in 100 kB."""
    return packed(*[b" " * LONG] * 100)


def packed(*parts: bytes) -> bytes:
    """Return a whole answer that inflates to these parts, one after the other."""
    packer = zlib.compressobj(9, wbits=31)
    return said_gzip(b"".join(map(packer.compress, parts)) + packer.flush())


def moved(status: str, location: str) -> bytes:
    """Return a redirect."""
    return answer(b"", f"Location: {location}", status=f"{status} Moved")


def sent(content: Content) -> Pieces:
    """Send one piece."""
    return lambda asked: [content(asked)]


def endless(beginning: bytes, piece: bytes) -> Pieces:
    """Send more than a client should accept."""
    return lambda _asked: itertools.chain([beginning], itertools.repeat(piece, _MOST_PIECES))


def dripping(asked: Asked) -> Iterator[bytes]:
    """Send the page a byte at a time."""
    whole = answer(asked.page)
    return (whole[at : at + 1] for at in range(_MOST_PIECES))


def nested(depth: int = 1_000_000) -> bytes:
    """Return a list in a list in a list."""
    return b"[" * depth + b"]" * depth


NO_ANSWER: dict[str, Content] = {
    "length too long": lambda a: head(f"Content-Length: {len(a.page) + 9}") + a.page,
    "length too short": lambda a: head(f"Content-Length: {len(a.page) - 9}") + a.page,
    "two lengths": lambda a: head(f"Content-Length: {len(a.page)}", "Content-Length: 8") + a.page,
    "negative length": lambda a: head("Content-Length: -9") + a.page,
    "length beyond 64 bits": lambda a: head(f"Content-Length: {9**99}") + a.page,
    "length in letters": lambda a: head("Content-Length: many") + a.page,
    "length and chunks": lambda a: head("Content-Length: 9", "Transfer-Encoding: chunked") + chunk(a.page),
    "chunk size in letters": lambda a: chunks(b"many\r\n", a.page),
    "chunk size negative": lambda a: chunks(b"-9\r\n", a.page),
    "chunk size beyond 64 bits": lambda a: chunks(b"f" * 17 + b"\r\n", a.page),
    "chunk cut": lambda a: chunks(chunk(a.page)[:-999]),
    "no last chunk": lambda a: chunks(chunk(a.page)),
    "noise behind a chunk": lambda a: chunks(chunk(a.page), b"noise"),
    "chunk extension of noise": lambda a: chunks(chunk(a.page).replace(b"\r\n", b";\0\x1b\r\n", 1), b"0\r\n\r\n"),
    "closed before an answer": lambda _: b"",
    "header without a colon": lambda a: answer(a.page, "no colon"),
    "header with NUL": lambda a: answer(a.page, "X: \0"),
    "no status": lambda a: b"HTTP/1.1\r\n\r\n" + a.page,
    "status 999": lambda a: answer(a.page, status="999 What"),
    "another protocol": lambda _: b"SSH-2.0-OpenSSH_9.9\r\n",
    "no head": lambda a: a.page,
}
"""What is no HTTP, or no answer: a failure of the network, and tried again."""

NO_PAGE: dict[str, Content] = {
    "no length, cut": lambda a: head() + a.half(),
    "gzip cut": lambda a: said_gzip(gzip.compress(a.page)[:999]),
    "gzip without its check": lambda a: said_gzip(gzip.compress(a.page)[:-8]),
    "gzip with a wrong check": lambda a: said_gzip(gzip.compress(a.page)[:-8] + b"wrong!!!"),
    "gzip and something more": lambda a: said_gzip(gzip.compress(a.page) + b"more"),
    "says gzip, is plain": lambda a: said_gzip(a.page),
    "says br": lambda a: answer(a.page, "Content-Encoding: br"),
    "says nothing, is gzip": lambda a: answer(gzip.compress(a.page)),
    "status 101": lambda _: head("Upgrade: h2c", "Connection: Upgrade", status="101 Switching"),
    "status 204": lambda _: b"HTTP/1.1 204 No Content\r\n\r\n",
    "status 206": lambda a: answer(a.page, status="206 Partial Content"),
    "nothing": lambda _: answer(b""),
    "HTML": lambda _: answer(b"<html><body>maintenance</body></html>"),
    "an error in a 200": lambda _: answer(b'{"type":"error.list","errors":[{"code":"unknown"}]}'),
    "cut behind a contact": lambda a: answer(a.page[: a.page.index(b',{"type":"contact"')]),
    "cut before the last brace": lambda a: answer(a.page[:-1]),
    "two documents": lambda a: answer(a.page * 2),
    "not UTF-8": lambda a: answer(a.page.replace(b'"list"', b'"l\xffst"', 1)),
    "contact not UTF-8": lambda a: answer(a.page.replace(b'"contact"', b'"c\xc0\xaf"', 1)),
    "NUL between tokens": lambda a: answer(a.page.replace(b",", b",\0", 1)),
    "NUL in a string": lambda a: answer(a.page.replace(b'"contact"', b'"\0"', 1)),
    "UTF-16": lambda a: answer(a.page.decode().encode("utf-16")),
    "data twice": lambda a: answer(a.page.replace(b'"data":[', b'"data":[],"data":[', 1)),
    "data is an object": lambda a: answer(a.with_data(b'{"0":{}}')),
    "data is null": lambda a: answer(a.with_data(b"null")),
    "no data": lambda a: answer(a.page.replace(b'"data"', b'"rows"', 1)),
    "contacts are numbers": lambda a: answer(a.with_data(b"[1,2,3]")),
    "contacts are lists": lambda a: answer(a.with_data(b"[[],[]]")),
    "contact nested deeply": lambda a: answer(a.with_data(b'[{"a":%b}]' % nested())),
    "data nested deeply": lambda a: answer(a.with_data(nested())),
    "envelope nested deeply": lambda a: answer(a.with_pages(nested())),
    "NaN": lambda a: answer(a.with_data(b'[{"a":NaN}]')),
    "comma too many": lambda a: answer(a.page.replace(b'],"total', b',],"total', 1)),
    "pages is text": lambda a: answer(a.with_pages(b'"next"')),
    "next is a list": lambda a: answer(a.with_next([])),
    "next on another port": lambda a: answer(a.with_next(f"{a.elsewhere}?page=2")),
    "next on another path": lambda a: answer(a.with_next("/users?page=2")),
    "cursor not Unicode": lambda a: answer(a.with_next({"starting_after": "\ud800"})),
    "empty, although it counts": lambda a: answer(a.with_data(b"[]").rpartition(b',"pages":')[0] + b"}"),
}
"""A success that is no page: tried again, and a broken contract if it lasts."""

HARMLESS: dict[str, Content] = {
    "no length, whole": lambda a: head() + a.page,
    "byte order mark": lambda a: answer(b"\xef\xbb\xbf" + a.page),
    "status 203": lambda a: answer(a.page, status="203 Non-Authoritative Information"),
    "two equal lengths": lambda a: head(f"Content-Length: {len(a.page)}", f"Content-Length: {len(a.page)}") + a.page,
    "gzip of two members": lambda a: said_gzip(gzip.compress(a.half()) + gzip.compress(a.page[len(a.half()) :])),
    "closed after an answer": lambda a: answer(a.page),
    "a thousand 102": lambda a: b"HTTP/1.1 102 Processing\r\n\r\n" * 1000 + answer(a.page),
    "cursor of 1 MB": lambda a: answer(a.with_next({"starting_after": "x" * LONG + a.behind})),
}
"""Odd, but nothing is wrong with it."""

REDIRECTS: dict[str, Content] = {
    "redirect to another host": lambda _: moved("301", "http://host.invalid/contacts"),
    "redirect to another port": lambda a: moved("307", a.elsewhere),
    "redirect to itself": lambda a: moved("302", a.url),
    "redirect to nowhere": lambda _: answer(b"", status="308 Moved"),
    "status 304": lambda _: b"HTTP/1.1 304 Not Modified\r\n\r\n",
}
"""Neither followed nor tried again."""

CIRCLES: dict[str, Content] = {
    "cursor of this page": lambda a: answer(a.with_next({"starting_after": a.here})),
    "cursor of the page before": lambda a: answer(a.with_next({"starting_after": a.before})),
}
"""A listing without an end: a broken contract at once."""

TOO_LARGE: dict[str, Content] = {
    "header of 1 MB": lambda a: answer(a.page, f"X: {'x' * LONG}"),
    "10,000 headers": lambda a: answer(a.page, *[f"X-{number}: x" for number in range(10_000)]),
}
"""Headers beyond what is accepted of them: a broken contract at once."""

OTHERS = (
    RawFault("headers for ever", endless(head()[:-2], b"X-A: a\r\n" * 8192), ContractError, ContractError),
    RawFault("TLS on a plain port", sent(lambda _: b"\x15\x03\x03\0\x02\x02\x46"), ApiError, ApiError),
    RawFault("two answers at once", sent(lambda a: answer(a.page) * 2), None, end="keep"),
    RawFault("reset before an answer", lambda _: [], RetriesExhausted, end="reset"),
    RawFault("reset in a body", sent(lambda a: answer(a.page)[:9999]), RetriesExhausted, end="reset"),
    RawFault("102 for ever", endless(b"", b"HTTP/1.1 102 P\r\n\r\n"), RetriesExhausted, pause_s=0.01, timeout_s=0.4),
    RawFault("chunk size for ever", endless(chunks(), b"0"), RetriesExhausted, pause_s=0.01, timeout_s=0.4),
    RawFault("a byte at a time", dripping, RetriesExhausted, pause_s=0.05, timeout_s=0.4),
    RawFault("silence", lambda _: [], RetriesExhausted, end="stall", timeout_s=0.4),
    RawFault("silence behind a head", sent(lambda _: head()), RetriesExhausted, end="stall", timeout_s=0.4),
    RawFault("silence in a body", sent(lambda a: answer(a.page)[:-9]), RetriesExhausted, end="stall", timeout_s=0.4),
    RawFault("body for ever", endless(head(), b" " * 65_536), ContractError, ContractError, heavy=True),
    RawFault("gzip bomb", sent(lambda _: bomb()), ContractError, ContractError, heavy=True),
    RawFault(
        "429 for years",
        sent(lambda _: answer(b"", "Retry-After: 999999999", status="429 No")),
        RetriesExhausted,
        RetriesExhausted,
    ),
    RawFault(
        "cursor that leads nowhere",
        sent(lambda a: answer(a.with_next({"starting_after": "nowhere"}))),
        CheckpointError,
        CheckpointError,
    ),
)

FAULTS = (
    *(RawFault(name, sent(content), RetriesExhausted) for name, content in NO_ANSWER.items()),
    *(RawFault(name, sent(content), ContractError) for name, content in NO_PAGE.items()),
    *(RawFault(name, sent(content), None) for name, content in HARMLESS.items()),
    *(RawFault(name, sent(content), ApiError, ApiError) for name, content in REDIRECTS.items()),
    *(RawFault(name, sent(content), ContractError, ContractError) for name, content in CIRCLES.items()),
    *(RawFault(name, sent(content), ContractError, ContractError) for name, content in TOO_LARGE.items()),
    *OTHERS,
)


@dataclass
class _Stage:
    """Where a fault strikes, and how often still."""

    fault: RawFault
    page: int
    times: int

    def strikes(self, page: int) -> bool:
        """Count a request for a page; tell whether it meets the fault."""
        due = page == self.page and self.times > 0
        self.times -= due
        return due


class RawApi:
    """A listing on raw sockets, as an asynchronous context manager. Each fault has a base URL of its own.

    Attributes:
        listing: what is listed.
    """

    def __init__(self) -> None:
        self.listing = _LISTING
        self._stages: list[_Stage] = []
        self._front = RawServer(self._answer)
        self._elsewhere = RawServer(_hang_up)

    @property
    def strayed(self) -> int:
        """How many connections came to where no request should go."""
        return self._elsewhere.connections

    def stage(self, fault: RawFault, page: int, times: int) -> str:
        """Let a fault strike the first requests for a page; return the base URL."""
        self._stages.append(_Stage(fault, page, times))
        return f"{self._front.base_url}/{len(self._stages) - 1}"

    def heal(self, base_url: str) -> None:
        """Let nothing go wrong any more at a base URL."""
        self._stages[int(base_url.rpartition("/")[2])].times = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as servers:
            for server in (self._front, self._elsewhere):
                await servers.enter_async_context(server)
            self._servers = servers.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._servers.aclose()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until a fault ends it."""
        fault = None
        while fault is None or fault.end == "keep":
            first, *lines = (await read_head(reader)).decode().split("\r\n")
            path, _, query = first.split(" ")[1].partition("?")
            stage = self._stages[int(path.split("/")[1])]
            wanted = dict(parse_qsl(query))
            try:
                position, per_page = self.listing.locate(
                    {**wanted, "starting_after": wanted.get("starting_after", "").lstrip("x")}
                )
            except Refusal as refusal:
                writer.write(answer(refusal.envelope("1"), status=f"{refusal.status} No"))
                continue
            page, cursors = self.listing.body(position, per_page), self.listing.cursors
            if not stage.strikes(position // PER_PAGE + 1):
                writer.write(answer(page))
                continue
            fault = stage.fault
            token = next(line for line in lines if line.startswith("Authorization: ")).split(" ")[-1]
            here, before, behind = (cursors.write(max(position + step, 0)) for step in (0, -per_page, per_page))
            url, elsewhere = (f"{server.base_url}{path}" for server in (self._front, self._elsewhere))
            asked = Asked(page, here, before, behind, token, url, elsewhere)
            await send_pieces(writer, fault.pieces(asked), fault.pause_s)
            await end_connection(reader, writer, fault.end)


async def _hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Answer nothing."""
