"""Decide whether to repeat a failed request, and when. No I/O, no sleeping."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from exporter.errors import ContractError, RetriesExhausted, SourceError
from exporter.observe.events import Observer, RetryScheduled, null_observer
from exporter.source.rate_limit import backoff_s, halvings

_MIN_LIMIT_S = 1.0
_MINOR_TIMEOUT_S, _MINOR_RETRY_TIME_S, _MINOR_ATTEMPTS = 15.0, 20.0, 6
_REQUEST_TIMEOUT, _TOO_MANY, _SERVER_ERRORS = 408, 429, 500
_ADVICE_ON_SHORTFALL = "run it again later, or use --allow-shortfall if the API's count is known to be wrong"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The time-outs of requests, and the budget for retries after transient failures.

    Attributes:
        request_timeout_s: seconds for one request, from connecting to the last byte of its response.
        page_budget_s: seconds for failed attempts at one page and the waits after them.
        run_budget_s: same for all pages of a run together.
        max_attempts: maximum requests for one page.
        initial_backoff_s: seconds to wait after a first failure, unless the response names a time; each
            further failure doubles it.
        idle_timeout_s: seconds without any data before a request times out.
    """

    request_timeout_s: float = 60.0
    page_budget_s: float = 90.0
    run_budget_s: float = 6 * 3600.0
    max_attempts: int = 20
    initial_backoff_s: float = 0.5
    idle_timeout_s: float = 30.0

    @property
    def for_minor(self) -> "RetryPolicy":
        """A policy with smaller budgets, for what the caller can continue without, such as a list of one contact."""
        return replace(
            self,
            request_timeout_s=min(self.request_timeout_s, _MINOR_TIMEOUT_S),
            page_budget_s=min(self.page_budget_s, _MINOR_RETRY_TIME_S),
            max_attempts=min(self.max_attempts, _MINOR_ATTEMPTS),
        )


@dataclass(slots=True)
class RequestStats:
    """Requests, retries and waits of one listing so far.

    Attributes:
        observer: receives an event for each request, retry and wait.
        requests: requests sent, every attempt counted.
        retries: attempts that were repeated, by cause.
        rate_limit_wait_s: seconds spent waiting for the rate-limit window.
        waiting: requests that wait for the window now.
        retry_time_s: seconds lost to failed attempts and the waits after them.
        version_echoed: the API version of the latest page, as the server named it.
    """

    observer: Observer = null_observer
    requests: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    rate_limit_wait_s: float = 0.0
    waiting: int = 0
    retry_time_s: float = 0.0
    version_echoed: str | None = None

    def add(self, other: "RequestStats") -> None:
        """Add the totals of other requests; `waiting` and `version_echoed` do not change."""
        self.requests += other.requests
        self.retries.update(other.retries)
        self.rate_limit_wait_s += other.rate_limit_wait_s
        self.retry_time_s += other.retry_time_s


class Transient(Exception):  # noqa: N818 - a state of the API rather than an error; it never leaves this package
    """An attempt failed, and another one may succeed.

    Args:
        cause: ``http_<status>``, ``network``, ``timeout``, ``broken_body`` or ``shortfall``.
        detail: what happened, safe to print.
        status: HTTP status of the response, None without a response.
        request_id: Intercom's id of the request, None if unknown.
        wait_s: seconds that the server asks to wait, None if it does not.

    Attributes:
        attempts: maximum attempts; None for the maximum of the retry policy.
        lasting: class of the error after the last attempt; None for `RetriesExhausted`.
    """

    attempts: int | None = None
    lasting: type[SourceError] | None = None

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


def is_transient(status: int) -> bool:
    """Return whether another attempt may succeed after a response with this HTTP status."""
    return status in (_REQUEST_TIMEOUT, _TOO_MANY) or status >= _SERVER_ERRORS


class RetryState:
    """The attempts at one request.

    A page may be too large for a server: then it sends a 5xx, resets the
    connection, sends half of the page, or sends nothing until the time-out. So
    repeated failures also reduce the page size.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        traffic: RequestStats,
        clock: Callable[[], float],
        random: Callable[[], float] = random.random,
    ) -> None:
        self._timeouts = self._other_failures = 0
        self._began_at = clock()
        self._policy = policy
        self._traffic = traffic
        self._clock = clock
        self._random = random
        self._attempts = 0
        self._spent_s = 0.0
        self._waited_s = 0.0

    def start_attempt(self) -> float:
        """Record that an attempt is sent now; return the time of `clock`."""
        self._began_at = self._clock()
        return self._began_at

    def back_off(self, failure: Exception) -> bool | float:
        """Return the seconds to wait after a failed attempt, or False to give up.

        The signature is that of a back-off hook of stamina.
        """
        if not isinstance(failure, Transient):
            return False
        _drop_tracebacks(failure)
        self._attempts += 1
        self._timeouts += failure.cause == "timeout"
        self._other_failures += failure.cause.startswith("http_5") or failure.cause in ("network", "broken_body")
        wait_s = failure.wait_s or backoff_s(self._attempts, self._policy.initial_backoff_s, self._random)
        attempt_s = self._clock() - self._began_at
        if self._attempts == failure.attempts or not self._within_budget(attempt_s + wait_s):
            self._spent_s += attempt_s
            return False
        self._spent_s += attempt_s + wait_s
        self._waited_s += wait_s
        self._traffic.retry_time_s += attempt_s + wait_s
        self._traffic.retries[failure.cause] += 1
        if failure.cause == "http_429":
            self._traffic.rate_limit_wait_s += wait_s
        self._traffic.observer(RetryScheduled(failure.cause, failure.detail, self._attempts, wait_s))
        return wait_s

    @property
    def halved(self) -> int:
        """How many times to halve the page size for the next attempt."""
        return halvings(self._timeouts, self._other_failures)

    @property
    def limit_s(self) -> float:
        """Seconds that the next attempt may take.

        After a time-out it is half of the remaining page budget, so that
        several smaller pages can be tried.
        """
        if not self._timeouts:
            return self._policy.request_timeout_s
        half_s = (self._policy.page_budget_s - self._spent_s) / 2
        return min(self._policy.request_timeout_s, max(half_s, _MIN_LIMIT_S))

    def _within_budget(self, more_s: float) -> bool:
        return (
            self._attempts < self._policy.max_attempts
            and self._spent_s + more_s <= self._policy.page_budget_s
            and self._traffic.retry_time_s + more_s <= self._policy.run_budget_s
        )

    def final_error(self, failure: Transient) -> SourceError:
        """Return the error to raise after the last attempt."""
        wait = f", and it asks to wait {failure.wait_s:.0f} s" if failure.wait_s else ""
        attempts = max(self._attempts, 1)  # the program may have switched stamina off: then nothing was counted
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        message = f"{failure.detail}{wait}; gave up after {times} in {self._spent_s:.0f} s"
        if failure.cause == "shortfall":
            message += f": {_ADVICE_ON_SHORTFALL}"
        if failure.cause in ("broken_body", "shortfall"):
            return ContractError(message, status=failure.status, request_id=failure.request_id)
        if failure.lasting is not None:
            return failure.lasting(message)
        return RetriesExhausted(
            f"{message}: try again later",
            attempts=attempts,
            waited_s=self._waited_s,
            status=failure.status,
            request_id=failure.request_id,
        )


def _drop_tracebacks(failure: BaseException | None) -> None:
    """Drop the tracebacks of failures: a page in their frames would stay in memory until garbage collection."""
    while failure is not None:
        failure.__traceback__ = None
        failure = failure.__cause__ or failure.__context__
