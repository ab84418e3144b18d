"""Whether a failed request is worth another attempt, and when. No I/O, no sleeping."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.errors import ContractError, RetriesExhausted, SourceError
from exporter.events import Observer, Retrying, ignore
from exporter.source.pacing import backoff_s


@dataclass(frozen=True, slots=True)
class Patience:
    """How long failures are borne.

    Attributes:
        timeout_s: one request, from connecting to the last byte of its answer.
        retry_time_s: one page: its failed attempts and the waits after them.
        run_retry_time_s: the same, over a whole listing.
        attempts: requests for one page.
        first_backoff_s: the wait after a first failure that names none; it doubles.
        idle_s: one request, while nothing at all arrives.
    """

    timeout_s: float = 60.0
    retry_time_s: float = 90.0
    run_retry_time_s: float = 6 * 3600.0
    attempts: int = 20
    first_backoff_s: float = 0.5
    idle_s: float = 30.0


@dataclass(slots=True)
class Traffic:
    """What one listing has cost so far.

    Attributes:
        observer: is told of requests, retries and waits.
        requests: requests sent, every attempt counted.
        retries: attempts that were repeated, by cause.
        rate_limit_wait_s: seconds spent waiting for the rate-limit window.
        waiting: requests that wait for it now.
        retry_time_s: seconds lost to failed attempts and the waits after them.
        version_echoed: the API version of the latest page, as the server named it.
    """

    observer: Observer = ignore
    requests: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    rate_limit_wait_s: float = 0.0
    waiting: int = 0
    retry_time_s: float = 0.0
    version_echoed: str | None = None


class Transient(Exception):  # noqa: N818 - a state of the API rather than an error, and it stays in this package
    """An attempt failed in a way that may pass by itself.

    Args:
        cause: ``http_<status>``, ``network``, ``timeout`` or ``broken_body``.
        detail: what happened, safe to print.
        status: HTTP status of the answer, if there was one.
        request_id: Intercom's id of the request, if there was one.
        wait_s: seconds the server wants us to wait, None when it did not say.
    """

    def __init__(
        self,
        cause: str,
        detail: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail
        self.status = status
        self.request_id = request_id
        self.wait_s = wait_s


class Trial:
    """The attempts at one request.

    Attributes:
        server_errors: 5xx answers so far.
    """

    def __init__(
        self,
        patience: Patience,
        traffic: Traffic,
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.server_errors = 0
        self._began_at = clock()
        self._patience = patience
        self._traffic = traffic
        self._clock = clock
        self._chance = chance
        self._attempts = 0
        self._lost_s = 0.0
        self._waited_s = 0.0

    def begin(self) -> float:
        """Note that an attempt is sent; return when, on `clock`."""
        self._began_at = self._clock()
        return self._began_at

    def wait_before_next(self, failure: Exception) -> bool | float:
        """Decide after a failed attempt: seconds until the next one, or False to give up.

        The shape is that of a back-off hook of stamina.
        """
        if not isinstance(failure, Transient):
            return False
        _forget_frames(failure)
        self._attempts += 1
        self.server_errors += failure.cause.startswith("http_5")
        wait_s = failure.wait_s or backoff_s(self._attempts, self._patience.first_backoff_s, self._chance)
        attempt_s = self._clock() - self._began_at
        if not self._affordable(attempt_s + wait_s):
            self._lost_s += attempt_s
            return False
        self._lost_s += attempt_s + wait_s
        self._waited_s += wait_s
        self._traffic.retry_time_s += attempt_s + wait_s
        self._traffic.retries[failure.cause] += 1
        if failure.cause == "http_429":
            self._traffic.rate_limit_wait_s += wait_s
        self._traffic.observer(Retrying(failure.cause, failure.detail, self._attempts, wait_s))
        return wait_s

    def _affordable(self, more_s: float) -> bool:
        return (
            self._attempts < self._patience.attempts
            and self._lost_s + more_s <= self._patience.retry_time_s
            and self._traffic.retry_time_s + more_s <= self._patience.run_retry_time_s
        )

    def verdict(self, failure: Transient) -> SourceError:
        """Name the failure that the attempts ended with."""
        asked = f", and it asks to wait {failure.wait_s:.0f} s" if failure.wait_s else ""
        attempts = max(self._attempts, 1)  # a host that has switched stamina off never asked
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        message = f"{failure.detail}{asked}; gave up after {times} in {self._lost_s:.0f} s"
        if failure.cause == "broken_body":
            return ContractError(message, status=failure.status, request_id=failure.request_id)
        return RetriesExhausted(
            f"{message}: try again later",
            attempts=attempts,
            waited_s=self._waited_s,
            status=failure.status,
            request_id=failure.request_id,
        )


def _forget_frames(failure: BaseException | None) -> None:
    """Let go of the frames that failures lead back to: a page in them would live until garbage is collected."""
    while failure is not None:
        failure.__traceback__ = None
        failure = failure.__cause__ or failure.__context__
