"""Decide when a request may leave: the API's rate-limit window, and the waits after failures. Pure arithmetic.

The API reports its limit in every authenticated response: ``X-RateLimit-Limit``
calls per window of ten seconds, ``-Remaining`` and ``-Reset`` (UNIX seconds on
the server's clock). The limit differs between workspaces, and a private app shares
it with the customer's other integrations, so it is read and never assumed.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

WINDOW_S = 10.0
MAX_WINDOW_S = 60.0
_MAX_PLAUSIBLE = 10**15  # no limit and no time is as large


@dataclass(frozen=True, slots=True)
class RateLimitHeaders:
    """The rate-limit headers of one response.

    Attributes:
        limit: calls allowed per window, for all users of the pool together.
        remaining: calls left.
        reset: end of the window, UNIX seconds of the server's clock.
        reset_in_s: seconds until then, rounded up.
    """

    limit: int
    remaining: int
    reset: int
    reset_in_s: float


def parse_rate_limit(headers: Mapping[str, str], now_utc: Callable[[], float] = time.time) -> RateLimitHeaders | None:
    """Parse the rate-limit headers; None if one is missing or invalid."""
    try:
        limit, remaining, reset = (int(headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
    except (KeyError, ValueError):
        return None
    if limit < 1 or max(limit, abs(remaining), abs(reset)) > _MAX_PLAUSIBLE:
        return None
    # Date is in whole seconds, rounded down, of the same clock as Reset: the local clock may be wrong.
    server_s = http_date_s(headers.get("Date", "")) or now_utc()
    reset_in_s = min(max(reset - server_s, 0.0), MAX_WINDOW_S)
    return RateLimitHeaders(limit, max(remaining, 0), reset, reset_in_s)


def retry_after_s(headers: Mapping[str, str], now_utc: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that the server asks to wait before the next attempt; None if it does not.

    ``Retry-After`` (seconds or a date) if sent; else the time until the end of
    the rate-limit window, if no calls remain in it.
    """
    retry_after = headers.get("Retry-After", "").strip()
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    if (until_s := http_date_s(retry_after)) is not None:
        return max(0.0, until_s - (http_date_s(headers.get("Date", "")) or now_utc()))
    reported = parse_rate_limit(headers, now_utc)
    if reported and not reported.remaining and reported.reset_in_s > 0:
        return reported.reset_in_s
    return None


def backoff_s(attempt: int, first_s: float, random: Callable[[], float]) -> float:
    """Return the seconds to wait after failed attempt number `attempt`: doubling up to 30 s, half of it random."""
    whole_s = min(30.0, first_s * 2.0 ** min(attempt - 1, 16))
    return whole_s * (0.5 + random() / 2)


def halvings(timeouts: int, other_failures: int) -> int:
    """Return how many times to halve the page size after failures at one cursor.

    Some pages fail with 150 contacts and succeed with fewer. Three quick
    failures halve the page size. A time-out takes so much of the retry budget
    that it halves the page size twice.
    """
    return 2 * timeouts + other_failures // 3


def reduced_page_size(per_page: int, halved: int) -> int:
    """Return a page size that is halved so many times, at least one contact."""
    return max(1, per_page >> min(halved, 16))


class PageSize:
    """Contacts to request per page: fewer after failures, more again after successes.

    After a smaller page succeeds, the next page is larger again. If that one fails,
    pages stay small for a while, twice as long each time: so a server that never
    sends large pages causes few failures.

    Args:
        requested: contacts per page that the caller requests.

    Attributes:
        requested: as given.
        sent: contacts per page of the latest request.
    """

    _FIRST_HOLD, _MAX_HOLD = 4, 1024

    def __init__(self, requested: int) -> None:
        self.requested = self.sent = self._size = requested
        self._hold = self._stay = 0  # pages to stay small: after the next failure, and now

    def for_attempt(self, halved: int) -> int:
        """Return the page size for the next request, halved so many times."""
        self.sent = reduced_page_size(self._size, halved)
        return self.sent

    def for_next(self) -> int:
        """Return the size of the next page, if the latest request succeeds."""
        return self.sent if self._stay_then() else min(self.requested, self.sent * 2)

    def succeeded(self) -> None:
        """Record that the latest request succeeded."""
        self._size, self._stay, was_smaller = self.for_next(), self._stay_then(), self.sent < self._size
        if was_smaller:
            self._hold = min(self._hold * 2 or self._FIRST_HOLD, self._MAX_HOLD)
        elif self.sent >= self.requested:
            self._hold = 0

    def _stay_then(self) -> int:
        return self._hold if self.sent < self._size else max(self._stay - 1, 0)


class RateLimiter:
    """Decides when a request may leave, from the limits that responses report.

    Args:
        reserve_percent: percentage of each window that is left to other users of the
            same pool, 0 to 90.

    Attributes:
        limit: calls per window; None until a response reports it.
    """

    def __init__(self, reserve_percent: float) -> None:
        self._reserve = reserve_percent / 100
        self._reset = 0  # identifies the window: the server's X-RateLimit-Reset; 0 until reported
        self._ends_at = 0.0
        self._remaining = 0
        self._in_flight = 0
        self.limit: int | None = None

    def wait_s(self, now: float) -> float:
        """Return the seconds until a call may leave, 0 for now; always 0 until a limit is reported."""
        if self.limit is None:
            return 0.0
        if now >= self._ends_at:  # a new window, not reported yet: only requests in flight count
            self._reset, self._remaining, self._ends_at = 0, self.limit, now + WINDOW_S
        return 0.0 if self._remaining - self._in_flight > self._reserved(self.limit) else self._ends_at - now

    @property
    def remaining(self) -> tuple[int, int] | None:
        """Calls left as far as known, and the limit; None until a limit is reported."""
        return None if self.limit is None else (max(self._remaining - self._in_flight, 0), self.limit)

    @property
    def calls_per_s(self) -> float | None:
        """Calls per second that may leave; None until a limit is reported."""
        return None if self.limit is None else (self.limit - self._reserved(self.limit)) / WINDOW_S

    def _reserved(self, limit: int) -> int:
        """Return the calls of a window that are left to others; all but one at most, or a tiny limit would stop us."""
        return min(int(limit * self._reserve), limit - 1)

    def on_request(self) -> None:
        """Count a call that leaves."""
        self._in_flight += 1

    def on_response(self, reported: RateLimitHeaders | None, now: float) -> None:
        """Count a call that ended, and apply the limits that its response reported.

        Responses overtake one another: one of an older window is ignored, and
        within a window the smallest number is the latest.
        """
        self._in_flight -= 1
        if reported is None:
            self._remaining -= 1
            return
        if reported.reset < self._reset:
            return
        if reported.reset == self._reset:
            self._remaining = min(self._remaining, reported.remaining)
        else:
            self._reset, self._remaining, self._ends_at = reported.reset, reported.remaining, math.inf
        self._ends_at = min(self._ends_at, now + reported.reset_in_s)
        self.limit = reported.limit


@lru_cache(4)  # the same text for a whole second
def http_date_s(text: str) -> float | None:
    """Parse an HTTP date; return UNIX seconds."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
