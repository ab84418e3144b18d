"""One request on one session: paced, sent, judged, retried."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from ssl import SSLContext
from typing import TypeVar
from urllib.parse import quote

import anyio
from stamina.instrumentation import get_on_retry_hooks
from yarl import URL

from exporter.errors import ConfigError, ContractError, SourceError
from exporter.observe.events import Requested, Waiting
from exporter.source.attempts import Attempts
from exporter.source.body import LARGEST_MESSAGE_BYTES, inflate, without_mark
from exporter.source.connection_errors import Route, proxy_refusal, speaks_tls
from exporter.source.envelope import BrokenBody
from exporter.source.rate_limit import Window, announced
from exporter.source.redaction import Redaction
from exporter.source.responses import Asked, refusal
from exporter.source.retry import Patience, Traffic, Transient, Trial
from exporter.source.session import Answer, Connection, look_around
from exporter.tasks import cancel_and_wait
from exporter.validation import Home

T = TypeVar("T")
_PAGES = frozenset(range(200, 300)) - {202, 204, 205, 206}
"""Successes that can bring a page; the others mean that it is not ready, or not all of it."""

_BAD_REQUEST, _PROXY_AUTHENTICATION = 400, 407
_EXPECTS_TLS = re.compile(rb"HTTPS (port|server)|SSL-enabled server")
"""How nginx, Go and Apache answer plain http where they expect TLS."""

# stamina warns of each retry. Who has set up logging sees that; on others' stderr it is noise.
logging.getLogger("stamina").addHandler(logging.NullHandler())


class Client:
    """An authenticated session with one API.

    Args:
        base_url: the API's address, without a slash at its end.
        token: the access token.
        api_version: sent as ``Intercom-Version``.
        patience: time-outs and retries.
        window: the rate-limit window that all requests share.

    Attributes:
        base_url, window: as given.
        redaction: makes what the API says fit for messages, without the token.
        check_open: raises a `ConfigError` outside the block, and in another event loop than its own.
    """

    def __init__(self, base_url: str, token: str, api_version: str, patience: Patience, window: Window) -> None:
        self.base_url = base_url
        self._token, self.redaction = token, Redaction(token)
        self._api_version = api_version
        self._patience = patience
        self.window = window
        self._clock: Callable[[], float] = time.monotonic  # until it is open
        self._home = Home("Intercom")
        self.check_open = self._home.check
        self._connection: Connection | None = None
        self._first_answer: anyio.Event | None = None
        self._ahead: set[asyncio.Task[Answer]] = set()

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._connection is not None

    async def open(self) -> None:
        """Open the session; nothing is requested yet.

        Raises:
            ConfigError: it is open already, no asyncio runs, or the environment's proxy is unusable.
        """
        with self._home.entering():
            self._clock = asyncio.get_running_loop().time  # which a host may run at another pace
            route, authorities = await anyio.to_thread.run_sync(self._look_around)
            self._connection = Connection(self._token, self._api_version, self._patience, route, authorities)

    def _look_around(self) -> tuple[Route, SSLContext | bool]:
        """Do what would block later, in the midst of requests."""
        get_on_retry_hooks()  # imports whatever stamina tells of retries, where that is installed
        return look_around(self.base_url)

    async def close(self) -> None:
        """Close the session and its connections; requests under way fail."""
        connection, self._connection = self._connection, None
        self._home.leave()
        await cancel_and_wait(*self._ahead)
        if connection is not None:
            await connection.close()

    def send_ahead(self, path: str, query: Mapping[str, str], traffic: Traffic) -> "asyncio.Task[Answer]":
        """Send a request before its answer is wanted. It leaves with the loop's next step.

        Returns:
            What `attempts` takes as the first one; or else to be cancelled.
        """
        sent = asyncio.create_task(self.send(path, query, traffic, self._clock))
        self._ahead.add(sent)
        sent.add_done_callback(self._ahead.discard)
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may ask for it
        return sent

    def attempts(
        self, traffic: Traffic, sent: "asyncio.Task[Answer] | None" = None, *, minor: bool = False
    ) -> Attempts:
        """Return the attempts at one request, to be iterated over until one succeeds.

        Args:
            traffic: counts what they cost.
            sent: the first attempt, where it was sent ahead.
            minor: whether the caller can do without the response: then less is spent on retries.

        Raises:
            ConfigError: outside the block, or in another event loop.
            SourceError: from the iteration; its kind says what to do next.
        """
        self.check_open()
        patience = self._patience.for_minor if minor else self._patience
        return Attempts(self, Trial(patience, traffic, self._clock), traffic, sent)

    async def fetch(
        self, path: str, query: Mapping[str, str], parse: Callable[[bytes], T], traffic: Traffic, *, minor: bool = False
    ) -> T:
        """Return what a response holds, with retries.

        Args:
            path: below the base URL.
            query: the parameters.
            parse: returns the result; its `BrokenBody` is a failure of the request like any other.
            traffic: counts what it costs.
            minor: as for `attempts`.

        Raises:
            SourceError: its kind says what to do next.

        Cancellation:
            Ends the request under way at once; nothing is kept.
        """
        async for attempt in self.attempts(traffic, minor=minor):
            with attempt:
                return parse(await attempt.get(path, query))
        raise AssertionError("attempts end with a result or an error")

    async def send(
        self,
        path: str,
        query: Mapping[str, str],
        traffic: Traffic,
        begin: Callable[[], float],
        limit_s: float | None = None,
    ) -> Answer:
        """Send one request when the rate limit allows it, and read its response.

        Args:
            path: below the base URL.
            query: the parameters.
            traffic: counts it.
            begin: called when it leaves; returns the time.
            limit_s: seconds that it may take, None for the time-out of all requests.

        Raises:
            Transient, SourceError: it failed on its way.
        """
        url = URL(f"{self.base_url}{path}?{_encoded(query)}", encoded=True)
        if self._connection is not None:
            await self._admit(traffic)
        if self._connection is None:  # it may have been closed meanwhile
            raise _closed()
        left_at = begin()
        traffic.requests += 1
        try:
            answer = await self._exchange(self._connection, url, left_at, limit_s)
        except (Transient, SourceError) as failure:
            cause = _cause_of(failure)
            took_s = round(self._clock() - left_at, 4)
            traffic.observer(Requested("GET", _shape_of(path), None, cause, took_s, 0, None))
            raise
        request_id = self.request_id(answer)
        took_s = round(self._clock() - left_at, 4)
        traffic.observer(Requested("GET", _shape_of(path), answer.status, None, took_s, len(answer.body), request_id))
        return answer

    async def _exchange(self, connection: Connection, url: URL, left_at: float, limit_s: float | None) -> Answer:
        """Send a request and read its answer, and tell the window of both."""
        heard_at = left_at
        announcement = None

        def on_head(headers: Mapping[str, str]) -> None:
            nonlocal heard_at, announcement
            heard_at = self._clock()
            announcement = announced(headers)

        self.window.sent()
        try:
            return await connection.exchange(url, on_head, limit_s)
        finally:
            self.window.answered(announcement, heard_at)
            if self._first_answer is not None:
                self._first_answer.set()

    def request_id(self, answer: Answer) -> str | None:
        """Return the API's id of a request, safe to print; None where it gave none."""
        return self.redaction.printable(answer.headers.get("X-Request-Id", "")) or None

    def body_of(self, answer: Answer, path: str) -> bytes:
        """Return the body of a success, inflated.

        Raises:
            Transient, SourceError: it is no success.
            BrokenBody: it cannot be inflated.
        """
        if answer.status not in _PAGES:
            raise self._refusal(answer, path)
        return without_mark(inflate(answer.body, answer.encoding))

    def record_version(self, answer: Answer, traffic: Traffic) -> None:
        """Record in which version the API has answered."""
        echoed = answer.headers.get("Intercom-Version", "")
        traffic.version_echoed = echoed if echoed == self._api_version else self.redaction.printable(echoed) or None

    async def wait_for(self, sent: "asyncio.Task[Answer]") -> Answer:
        """Wait for a request that was sent ahead. A task's own `await` could not tell whose cancellation it sees."""
        try:
            await asyncio.wait((sent,))
        finally:
            sent.cancel()  # unless it has ended
        if sent.cancelled():
            raise _closed()
        return sent.result()

    def _refusal(self, answer: Answer, path: str) -> Transient | SourceError:
        route = self._connection.route if self._connection is not None else None
        if route and answer.status == _PROXY_AUTHENTICATION:
            return proxy_refusal(answer.status, route)
        if route and not route.tls and answer.status == _BAD_REQUEST and _EXPECTS_TLS.search(answer.body):
            return speaks_tls(route)
        body = b""
        with suppress(BrokenBody, ContractError):  # a message, if one can be had
            body = without_mark(inflate(answer.body, answer.encoding, LARGEST_MESSAGE_BYTES))
        asked = Asked(self.base_url, _shape_of(path), self.redaction, route.answerer if route else "the API")
        return refusal(answer.status, answer.headers, body, asked)

    async def _admit(self, traffic: Traffic) -> None:
        """Wait until a request may leave.

        The very first leaves alone: until its answer nobody knows how many may follow.
        """
        if self._first_answer is None:
            self._first_answer = anyio.Event()
            return
        if not self._first_answer.is_set():  # where nothing is to be waited for, a request leaves in one step
            await self._first_answer.wait()
        while (wait_s := self.window.wait_s(self._clock())) > 0:
            if not traffic.waiting:  # of several requests that wait side by side the first tells, and counts
                traffic.observer(Waiting(wait_s, self.window.limit or 0))
                traffic.rate_limit_wait_s += wait_s
            traffic.waiting += 1
            try:
                await anyio.sleep(wait_s)
            finally:
                traffic.waiting -= 1


def _closed() -> ConfigError:
    return ConfigError("this Intercom is closed: use it inside its 'async with' block")


def _shape_of(path: str) -> str:
    """Give a path without the id in it, ``/contacts/ID/tags``: it is somebody's."""
    first, *rest = path.removeprefix("/").split("/")
    return "/".join(["", first, *(["{id}", *rest[1:]] if rest else [])])


def _cause_of(failure: Transient | SourceError) -> str:
    if isinstance(failure, Transient):
        return failure.cause
    return "too_large" if isinstance(failure, ContractError) else "network"


def _encoded(query: Mapping[str, str]) -> str:
    """Encode a query to the last character: a cursor may hold + / = and newlines."""
    return "&".join([f"{quote(name, '')}={quote(value, '')}" for name, value in query.items()])
