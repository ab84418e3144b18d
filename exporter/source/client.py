"""The client of one API: rate limit, requests, errors, retries."""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ssl import SSLContext
from typing import TypeVar

import anyio
from stamina.instrumentation import get_on_retry_hooks
from yarl import URL

from exporter.errors import ConfigError, ContractError, SourceError
from exporter.observe.events import RateLimited, RequestFinished
from exporter.source.attempts import Attempt, Attempts, Received
from exporter.source.base_url import path_template
from exporter.source.body import MAX_MESSAGE_BYTES, inflate, without_byte_order_mark
from exporter.source.connection_errors import Route, proxy_refusal, speaks_tls
from exporter.source.envelope import MalformedBody
from exporter.source.rate_limit import RateLimiter, http_date_s
from exporter.source.redaction import Redaction
from exporter.source.request import Request
from exporter.source.responses import RequestContext, error_from_response
from exporter.source.retry import RequestStats, RetryPolicy, RetryState, Transient
from exporter.source.session import Connection, Response, detect_proxy
from exporter.tasks import cancel_and_wait
from exporter.validation import LoopBinding

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
        retry_policy: time-outs and retry budgets.
        rate_limiter: decides when a request may leave; all requests share it.

    Attributes:
        base_url, api_version, rate_limiter: as given.
        redaction: makes text of the API safe to print, without the token.
        check_open: raises a `ConfigError` outside the block, and in another event loop than its own.
    """

    def __init__(
        self, base_url: str, token: str, api_version: str, retry_policy: RetryPolicy, rate_limiter: RateLimiter
    ) -> None:
        self.base_url = base_url
        self._token, self.redaction = token, Redaction(token)
        self.api_version = api_version
        self._retry_policy = retry_policy
        self.rate_limiter = rate_limiter
        self._clock: Callable[[], float] = time.monotonic  # until it is open
        self._binding = LoopBinding("Intercom")
        self.check_open = self._binding.check
        self._connection: Connection | None = None
        self._first_response: anyio.Event | None = None
        self._prefetched: set[asyncio.Task[Response]] = set()

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._connection is not None

    async def open(self) -> None:
        """Open the session; nothing is requested yet.

        Raises:
            ConfigError: it is open already, no asyncio runs, or the environment's proxy is unusable.
        """
        with self._binding.entering():
            self._clock = (
                asyncio.get_running_loop().time
            )  # a program that embeds this library may run it at another pace
            route, authorities = await anyio.to_thread.run_sync(self._detect_proxy)
            headers = {"Authorization": f"Bearer {self._token}", "Intercom-Version": self.api_version}
            self._connection = Connection(headers, self._retry_policy, route, authorities, self.rate_limiter)

    def _detect_proxy(self) -> tuple[Route, SSLContext | bool]:
        """Do what would block the event loop during requests."""
        get_on_retry_hooks()  # imports the libraries that stamina reports retries to, where they are installed
        return detect_proxy(self.base_url)

    async def close(self) -> None:
        """Close the session and its connections; requests in flight fail."""
        connection, self._connection = self._connection, None
        self._binding.leave()
        await cancel_and_wait(*self._prefetched)
        if connection is not None:
            await connection.close()

    def prefetch(self, request: Request, traffic: RequestStats) -> "asyncio.Task[Response]":
        """Send a request in advance. It leaves with the next step of the event loop.

        Returns:
            The request, for `attempts` as the first attempt; the caller cancels it if it is not needed.
        """
        sent = asyncio.create_task(self.send(request, traffic, self._clock))
        self._prefetched.add(sent)
        sent.add_done_callback(self._prefetched.discard)
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())  # its failure may never be retrieved
        return sent

    def attempts(
        self, traffic: RequestStats, sent: "asyncio.Task[Response] | None" = None, *, minor: bool = False
    ) -> Attempts:
        """Return the attempts at one request; iterate over them until one succeeds.

        Args:
            traffic: counts requests, retries and waits.
            sent: the request of the first attempt, if it was prefetched.
            minor: whether the caller can continue without the response; then the retry budget is smaller.

        Raises:
            ConfigError: outside the block, or in another event loop.
            SourceError: from the iteration; `exporter.errors` says what to do about each kind.
        """
        self.check_open()
        retry_policy = self._retry_policy.for_minor if minor else self._retry_policy
        return Attempts(RetryState(retry_policy, traffic, self._clock), traffic, sent)

    async def fetch(
        self,
        request: Request,
        parse: Callable[[bytes], T],
        traffic: RequestStats,
        *,
        minor: bool = False,
    ) -> T:
        """Request, retry, and return the parsed body of the response.

        Args:
            request: what is sent.
            parse: returns the result. If it raises `MalformedBody`, the request is repeated.
            traffic: counts requests, retries and waits.
            minor: same as for `attempts`.

        Raises:
            SourceError: `exporter.errors` says what to do about each kind.

        Cancellation:
            Cancels the request in flight at once; nothing is kept.
        """
        async for attempt in self.attempts(traffic, minor=minor):
            with attempt:
                return parse(await self.receive(request, attempt))
        raise AssertionError("attempts end with a result or an error")

    async def receive(self, request: Request, attempt: Attempt) -> bytes:
        """Make one attempt at a request, and return the body of its response, inflated.

        Args:
            request: what is sent; only its path is used if the request was prefetched.
            attempt: gives the time-out, and receives the facts of the response.

        Raises:
            Transient: a transient failure; there may be another attempt.
            SourceError: a permanent failure.
            MalformedBody: the body cannot be inflated.

        Cancellation:
            Cancels the request at once; nothing is kept.
        """
        if attempt.sent is not None:
            response = await self._wait_for(attempt.sent)
        else:
            response = await self.send(request, attempt.traffic, attempt.start, attempt.limit_s)
        server_s = http_date_s(response.headers.get("Date", ""))
        attempt.received = Received(response.status, response.request_id, self._version_of(response), server_s)
        if response.status not in _PAGES:
            raise self._error_of(response, request.path)
        return without_byte_order_mark(inflate(response.body, response.encoding))

    async def send(
        self,
        request: Request,
        traffic: RequestStats,
        start: Callable[[], float],
        limit_s: float | None = None,
    ) -> Response:
        """Send one request when the rate limit allows it, and read its response.

        Args:
            request: what is sent.
            traffic: counts it.
            start: called when it leaves; returns the time.
            limit_s: seconds that it may take; None for the time-out of all requests.

        Raises:
            Transient, SourceError: no complete response arrived.
        """
        url = URL(f"{self.base_url}{request.target}", encoded=True)
        path = path_template(request.path)
        if self._connection is not None:
            await self._acquire_slot(traffic)
        if self._connection is None:  # it may have been closed meanwhile
            raise _closed()
        sent_at = start()
        traffic.requests += 1
        try:
            response = await self._connection.exchange(url, request.json, limit_s)
        except (Transient, SourceError) as failure:
            cause = _cause_of(failure)
            took_s = round(self._clock() - sent_at, 4)
            traffic.observer(RequestFinished(request.method, path, None, cause, took_s, 0, None))
            raise
        finally:
            if self._first_response is not None:
                self._first_response.set()
        status, request_id = response.status, self.redaction.printable(response.headers.get("X-Request-Id", "")) or None
        took_s = round(self._clock() - sent_at, 4)
        finished = RequestFinished(request.method, path, status, None, took_s, len(response.body), request_id)
        traffic.observer(finished)
        return replace(response, request_id=request_id)

    def _version_of(self, response: Response) -> str | None:
        """Return the API version that a response names, safe to print; None if it names none."""
        version = response.headers.get("Intercom-Version", "")
        return version if version == self.api_version else self.redaction.printable(version) or None

    async def _wait_for(self, sent: "asyncio.Task[Response]") -> Response:
        """Wait for a prefetched request.

        Awaiting the task itself would not show which was cancelled: the task or its caller.
        """
        try:
            await asyncio.wait((sent,))
        finally:
            sent.cancel()  # does nothing once it has ended
        if sent.cancelled():
            raise _closed()
        return sent.result()

    def _error_of(self, response: Response, path: str) -> Transient | SourceError:
        route = self._connection.route if self._connection is not None else None
        if route and response.status == _PROXY_AUTHENTICATION:
            return proxy_refusal(response.status, route)
        if route and not route.tls and response.status == _BAD_REQUEST and _EXPECTS_TLS.search(response.body):
            return speaks_tls(route)
        body = b""
        with suppress(MalformedBody, ContractError):  # the message is optional
            body = without_byte_order_mark(inflate(response.body, response.encoding, MAX_MESSAGE_BYTES))
        context = RequestContext(
            self.base_url, path_template(path), self.redaction, route.answerer if route else "the API"
        )
        return error_from_response(response.status, response.headers, body, context)

    async def _acquire_slot(self, traffic: RequestStats) -> None:
        """Wait until a request may leave.

        The first request of a client leaves alone: its response is the first to report the rate limit.
        """
        if self._first_response is None:
            self._first_response = anyio.Event()
            return
        if not self._first_response.is_set():  # otherwise a request leaves without a step of the event loop
            await self._first_response.wait()
        while (wait_s := self.rate_limiter.wait_s(self._clock())) > 0:
            if not traffic.waiting:  # of several waiting requests only the first reports and counts
                traffic.observer(RateLimited(wait_s, self.rate_limiter.limit or 0))
                traffic.rate_limit_wait_s += wait_s
            traffic.waiting += 1
            try:
                await anyio.sleep(wait_s)
            finally:
                traffic.waiting -= 1


def _closed() -> ConfigError:
    return ConfigError("this Intercom is closed: use it inside its 'async with' block")


def _cause_of(failure: Transient | SourceError) -> str:
    if isinstance(failure, Transient):
        return failure.cause
    return "too_large" if isinstance(failure, ContractError) else "network"
