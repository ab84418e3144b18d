"""The retry loop: attempts at one request, until one succeeds or the retry budget is used up.

::

    async for attempt in client.attempts(traffic):
        with attempt:
            return parse(await client.receive(request, attempt))
"""

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import stamina

from exporter.source.envelope import MalformedBody
from exporter.source.retry import RequestStats, RetryState, Transient

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager

    from exporter.source.session import Response


@dataclass(frozen=True, slots=True)
class Received:
    """The facts of a response besides its body.

    Attributes:
        status: HTTP status.
        request_id: the API's id of the request, safe to print; None if the response has none.
        api_version: the API version that the response names, safe to print; None if it names none.
        server_s: when the server answered, in UNIX seconds of its clock; None if the response has no date.
    """

    status: int
    request_id: str | None
    api_version: str | None
    server_s: float | None = None


class Attempts:
    """An asynchronous iterator over the attempts at one request.

    After a transient failure inside the block of one attempt, the iterator waits
    and yields the next attempt. When the retry budget is used up, it raises the
    last failure as a `SourceError`. Any other exception leaves the block at once.

    Args:
        state: decides whether there is another attempt, and when.
        traffic: counts requests, retries and waits.
        sent: the request of the first attempt, if it was prefetched.

    Attributes:
        state, traffic: as given.
        failed: how the first attempt failed, until the next one is due.
    """

    def __init__(self, state: RetryState, traffic: RequestStats, sent: "asyncio.Task[Response] | None" = None) -> None:
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
        sent: its request, if it was prefetched.
        received: facts of its response; `Client.receive` sets them, None until then.
    """

    def __init__(
        self,
        attempts: Attempts,
        *,
        sent: "asyncio.Task[Response] | None" = None,
        inner: "AbstractContextManager[object] | None" = None,
    ) -> None:
        self._attempts = attempts
        self._inner = inner
        self.sent = sent
        self.received: Received | None = None

    @property
    def traffic(self) -> RequestStats:
        """Requests, retries and waits so far."""
        return self._attempts.traffic

    @property
    def halved(self) -> int:
        """How many times to halve the page size for this attempt, after the failures so far."""
        return self._attempts.state.halved

    @property
    def limit_s(self) -> float | None:
        """Seconds that the request may take; None for the time-out of all requests."""
        return self._attempts.state.limit_s

    def start(self) -> float:
        """Record that the request leaves now. Return the time."""
        return self._attempts.state.start_attempt()

    def __enter__(self) -> Self:
        if self._inner is not None:
            self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        received, self.received = self.received, None
        if error is None and received is not None:
            self.traffic.version_echoed = received.api_version
        if isinstance(error, MalformedBody) and received is not None:  # only the parser notices a truncated response
            malformed = error
            detail = malformed.detail(received.status)
            error = Transient(malformed.cause, detail, status=received.status, request_id=received.request_id)
            error.__cause__ = malformed
        if isinstance(error, Transient) and self._inner is None:
            self._attempts.failed = error
            return True
        if self._inner is None or not (error is None or isinstance(error, Transient)):
            return False
        return bool(self._inner.__exit__(None if error is None else type(error), error, trace))
