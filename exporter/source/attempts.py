"""The retry loop, as its caller reads it: attempts at one request, until one succeeds or the retry budget is used up.

::

    async for attempt in client.attempts(traffic):
        with attempt:
            return parse(await attempt.get("/contacts", query))
"""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import stamina

from exporter.source.envelope import MalformedBody
from exporter.source.retry import RequestStats, RetryState, Transient

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager

    from exporter.source.session import Response


class Sender(Protocol):
    """What sends requests."""

    async def send(
        self,
        path: str,
        query: Mapping[str, str],
        traffic: RequestStats,
        start: "Callable[[], float]",
        limit_s: float | None = None,
    ) -> "Response":
        """Send a request and read its response."""

    async def wait_for(self, sent: "asyncio.Task[Response]") -> "Response":
        """Wait for the response of a request that was sent already."""

    def body_of(self, response: "Response", path: str) -> bytes:
        """Return the body of a success, inflated."""

    def request_id(self, response: "Response") -> str | None:
        """Return the API's id of a request."""

    def record_version(self, response: "Response", traffic: RequestStats) -> None:
        """Record in which version the API has answered."""


class Attempts:
    """An asynchronous iterator over the attempts at one request.

    A transient failure inside the block of one attempt leads to the next one,
    after a wait; the last one leaves as the `SourceError` that it means. Any
    other exception leaves at once.

    Args:
        sender: sends the requests.
        trial: decides whether there is another attempt, and when.
        traffic: counts what they cost.
        sent: the first attempt, where it was sent ahead.

    Attributes:
        sender, trial, traffic: as given.
        failed: how the first attempt failed, until the next one is due.
    """

    def __init__(
        self, sender: Sender, state: RetryState, traffic: RequestStats, sent: "asyncio.Task[Response] | None" = None
    ) -> None:
        self.sender = sender
        self.state = state
        self.traffic = traffic
        self._sent = sent
        self._is_first = True
        self._retrying: AsyncIterator[AbstractContextManager[object]] | None = None
        self.failed: Transient | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> "Attempt":
        if self._is_first:  # nearly all requests succeed at once: stamina is asked only when one does not
            self._is_first = False
            return Attempt(self, sent=self._sent)
        if self.failed is None and self._retrying is None:
            raise StopAsyncIteration
        try:
            return Attempt(self, inner=await self._next())
        except Transient as failure:
            raise self.state.final_error(failure) from failure

    async def _next(self) -> "AbstractContextManager[object]":
        if self._retrying is None:
            self._retrying = aiter(stamina.retry_context(on=self.state.back_off, attempts=None, timeout=None))
            failed, self.failed = self.failed, None
            with await anext(self._retrying):
                if failed is not None:
                    raise failed
        return await anext(self._retrying)


class Attempt:
    """One attempt, as a context manager.

    Attributes:
        is_sent: whether its request was sent ahead: then `get` only waits for the response.
    """

    def __init__(
        self,
        attempts: Attempts,
        *,
        sent: "asyncio.Task[Response] | None" = None,
        inner: "AbstractContextManager[object] | None" = None,
    ) -> None:
        self._attempts = attempts
        self._sent = sent
        self._inner = inner
        self._response: Response | None = None
        self.is_sent = sent is not None

    @property
    def halved(self) -> int:
        """How many times a page is to be halved for this attempt, after the failures so far."""
        return self._attempts.state.halved

    async def get(self, path: str, query: Mapping[str, str]) -> bytes:
        """Send the request, and return the body of its response, inflated.

        Args:
            path: below the base URL.
            query: its parameters; ignored where the request was sent ahead.

        Raises:
            Transient: it failed in a way that may pass: it is tried again.
            SourceError: it failed permanently.

        Cancellation:
            Ends the request at once; nothing is kept.
        """
        if self._sent is not None:
            self._response = await self._attempts.sender.wait_for(self._sent)
        else:
            limit_s = self._attempts.state.limit_s
            self._response = await self._attempts.sender.send(
                path, query, self._attempts.traffic, self._attempts.state.start_attempt, limit_s
            )
        return self._attempts.sender.body_of(self._response, path)

    def __enter__(self) -> Self:
        if self._inner is not None:
            self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        response, self._response = self._response, None
        if error is None and response is not None:
            self._attempts.sender.record_version(response, self._attempts.traffic)
        if isinstance(error, MalformedBody) and response is not None:  # a truncated response shows nowhere else
            broken, request_id = error, self._attempts.sender.request_id(response)
            error = Transient(
                broken.cause, broken.detail(response.status), status=response.status, request_id=request_id
            )
            error.__cause__ = broken
        if isinstance(error, Transient) and self._inner is None:
            self._attempts.failed = error
            return True
        if self._inner is None or not (error is None or isinstance(error, Transient)):
            return False
        return bool(self._inner.__exit__(None if error is None else type(error), error, trace))
