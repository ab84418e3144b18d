"""One request on one session: paced, sent, judged, retried."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import anyio
import stamina
from stamina.instrumentation import get_on_retry_hooks
from yarl import URL

from exporter.errors import ConfigError, ContractError
from exporter.events import Requested, Waiting
from exporter.source.body import LARGEST_MESSAGE_BYTES, inflate, read_beginning, read_body
from exporter.source.connection import open_session, proxy_for
from exporter.source.envelope import BrokenBody
from exporter.source.judging import printable, refusal
from exporter.source.pacing import Window, announced
from exporter.source.trial import Patience, Traffic, Transient, Trial

T = TypeVar("T")
Query = Callable[[int], Mapping[str, str]]
"""Builds a request's query, given how many 5xx it has met so far."""

_OK = 200
_MESSAGE_S = 5.0

# stamina warns of each retry. Who has set up logging sees that; on others' stderr it is noise.
logging.getLogger("stamina").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """What is to be fetched.

    Attributes:
        path: below the base URL.
        query: see `Query`.
        parse: makes the result of the body. Its `BrokenBody` is a failure of
            the request like any other: a cut answer shows nowhere else.
    """

    path: str
    query: Query
    parse: Callable[[bytes], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from one request."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


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
    """

    def __init__(self, base_url: str, token: str, api_version: str, patience: Patience, window: Window) -> None:
        self.base_url = base_url
        self._token = token
        self._api_version = api_version
        self._patience = patience
        self.window = window
        self._clock = anyio.current_time  # the loop's, which a host may run at another pace
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None
        self._first_answer: anyio.Event | None = None
        self._ahead: set[asyncio.Task[Answer]] = set()

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._session is not None

    async def open(self) -> None:
        """Open the session; nothing is requested yet.

        Raises:
            ConfigError: it is open already, or the environment's proxy is unusable.
        """
        if self.is_open:
            raise ConfigError("this Intercom is open already: enter its block once")
        self._proxy = await anyio.to_thread.run_sync(self._look_around)
        self._session = open_session(self._token, self._api_version, self._patience)

    def _look_around(self) -> str | None:
        """Find out what would block later, in the midst of requests; return the proxy."""
        get_on_retry_hooks()  # imports whatever stamina tells of retries, where that is installed
        # Asked once: aiohttp's own trust_env asks again, in a thread, for every request.
        return proxy_for(self.base_url)

    async def close(self) -> None:
        """Close the session and its connections; requests under way fail."""
        session, self._session = self._session, None
        await cancel_and_wait(*self._ahead)
        if session is not None:
            await session.close()

    def send_ahead(self, path: str, query: Mapping[str, str], traffic: Traffic) -> "asyncio.Task[Answer]":
        """Send a request before its answer is wanted. It leaves with the loop's next step.

        Returns:
            What `fetch` takes as its first attempt; or else to be cancelled.
        """
        sent = asyncio.create_task(self._send(path, query, traffic, self._clock))
        self._ahead.add(sent)
        sent.add_done_callback(self._ahead.discard)
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may ask for it
        return sent

    async def fetch(self, resource: Resource[T], traffic: Traffic, sent: "asyncio.Task[Answer] | None" = None) -> T:
        """Get a resource and have it parsed, trying again for as long as that makes sense.

        Args:
            resource: what is wanted.
            traffic: counts what it costs.
            sent: the first attempt, where it was sent ahead.

        Raises:
            SourceError: its kind says what to do next.

        Cancellation:
            Ends the request under way at once; nothing is kept.
        """
        trial = Trial(self._patience, traffic, self._clock)
        failure: Transient | None = None
        if sent is not None:
            try:
                return await self._parsed(await _answer_of(sent), resource.parse, traffic)
            except Transient as exc:
                failure = exc
        return await self._try(resource, traffic, trial, failure)

    async def _try(self, resource: Resource[T], traffic: Traffic, trial: Trial, failed: Transient | None) -> T:
        """Attempt it again and again; the first attempt has `failed` already, if that is given."""
        try:
            async for attempt in stamina.retry_context(on=trial.wait_before_next, attempts=None, timeout=None):
                with attempt:
                    if failed is not None:
                        first, failed = failed, None
                        raise first
                    query = resource.query(trial.server_errors)
                    answer = await self._send(resource.path, query, traffic, trial.begin)
                    return await self._parsed(answer, resource.parse, traffic)
        except Transient as failure:
            raise trial.verdict(failure) from failure
        raise AssertionError("retrying ends with a result or an error")

    async def _send(self, path: str, query: Mapping[str, str], traffic: Traffic, begin: Callable[[], float]) -> Answer:
        # Quoted here to the last character, since a cursor may hold + / = and newlines.
        url = URL(f"{self.base_url}{path}?{urlencode(query, quote_via=quote, safe='')}", encoded=True)
        if self._session is not None:
            await self._admit(traffic)
        if self._session is None:  # it may have been closed meanwhile
            raise _closed()
        left_at = begin()
        traffic.requests += 1
        try:
            answer = await self._exchange(self._session, url, left_at)
        except (Transient, ContractError) as failure:
            cause = failure.cause if isinstance(failure, Transient) else "too_large"
            took_s = round(self._clock() - left_at, 4)
            traffic.observer(Requested("GET", _shape_of(path), None, cause, took_s, 0, None))
            raise
        request_id = self._request_id(answer)
        took_s = round(self._clock() - left_at, 4)
        traffic.observer(Requested("GET", _shape_of(path), answer.status, None, took_s, len(answer.body), request_id))
        return answer

    async def _exchange(self, session: aiohttp.ClientSession, url: URL, left_at: float) -> Answer:
        """Send a request and read its answer, and tell the window of both."""
        heard_at = left_at
        announcement = None
        self.window.sent()
        try:
            async with session.get(url, allow_redirects=False, proxy=self._proxy) as response:
                heard_at = self._clock()
                announcement = announced(response.headers)
                read = read_body if response.status == _OK else _read_message
                return Answer(response.status, response.headers, await read(response.content))
        except aiohttp.ServerTimeoutError:
            failure = Transient("timeout", f"nothing arrived for {self._patience.idle_s:g} s")
        except TimeoutError:
            failure = Transient("timeout", f"no whole answer within {self._patience.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as exc:
            failure = Transient("network", f"the connection failed ({printable(_reason(exc), self._token)})")
        finally:
            self.window.answered(announcement, heard_at)
            if self._first_answer is not None:
                self._first_answer.set()
        # Raised here, without the exception it comes from: those of aiohttp carry the request, and so the token.
        raise failure

    def _request_id(self, answer: Answer) -> str | None:
        return printable(answer.headers.get("X-Request-Id", ""), self._token) or None

    async def _parsed(self, answer: Answer, parse: Callable[[bytes], Awaitable[T]], traffic: Traffic) -> T:
        encoding = answer.headers.get("Content-Encoding", "")
        if answer.status != _OK:
            body = b""
            with suppress(BrokenBody, ContractError):  # a message, if one can be had
                body = inflate(answer.body, encoding, LARGEST_MESSAGE_BYTES)
            raise refusal(answer.status, answer.headers, body, self.base_url, self._token)
        try:
            result = await parse(inflate(answer.body, encoding))
        except BrokenBody as exc:
            detail = f"the API answered 200 with a broken page ({exc})"
            raise Transient("broken_body", detail, status=_OK, request_id=self._request_id(answer)) from exc
        echoed = answer.headers.get("Intercom-Version", "")
        traffic.version_echoed = echoed if echoed == self._api_version else printable(echoed, self._token) or None
        return result

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


async def cancel_and_wait(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have unwound."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _answer_of(sent: "asyncio.Task[Answer]") -> Answer:
    """Wait for a request that was sent ahead. A task's own `await` could not tell whose cancellation it sees."""
    try:
        await asyncio.wait((sent,))
    finally:
        sent.cancel()  # unless it has ended
    if sent.cancelled():
        raise _closed()
    return sent.result()


def _closed() -> ConfigError:
    return ConfigError("this Intercom is closed: use it inside its 'async with' block")


def _shape_of(path: str) -> str:
    """Give a path without the id in it, ``/contacts/ID/tags``: it is somebody's."""
    first, *rest = path.removeprefix("/").split("/")
    return "/".join(["", first, *(["{id}", *rest[1:]] if rest else [])])


async def _read_message(content: aiohttp.StreamReader) -> bytes:
    """Read the body of a refusal as far as it comes: the status says enough without it."""
    message = bytearray()
    with suppress(aiohttp.ClientError, OSError), anyio.move_on_after(_MESSAGE_S):
        await read_beginning(content, message)
    return bytes(message)


def _reason(exc: Exception) -> str:
    """Say why a connection failed, in words that quote nothing the server sent."""
    name = type(exc).__name__
    if isinstance(exc, aiohttp.ClientResponseError):  # no HTTP at all, or a proxy's refusal
        return f"{name} {exc.status}"
    return name if isinstance(exc, aiohttp.ClientPayloadError) else str(exc) or name
