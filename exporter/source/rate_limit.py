"""When a request may leave: the API's rate-limit window, and the waits after a failure. Pure arithmetic.

The API announces its limit on every authenticated answer: ``X-RateLimit-Limit``
calls per window of ten seconds, ``-Remaining`` and ``-Reset`` (UNIX seconds on
the server's clock). It differs between workspaces, and a private app shares it
with the customer's live integrations, so it is read and never assumed.
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
_MAX_PLAUSIBLE = 10**15  # no limit and no time is as large as that


@dataclass(frozen=True, slots=True)
class RateLimitHeaders:
    """The rate-limit headers of one answer.

    Attributes:
        limit: calls allowed per window, by all users of the pool together.
        remaining: how many of them are left.
        reset: the end of the window, UNIX seconds of the server's clock.
        reset_in_s: seconds until then, rounded up: never less than the truth.
    """

    limit: int
    remaining: int
    reset: int
    reset_in_s: float


def parse_rate_limit(headers: Mapping[str, str], now_utc: Callable[[], float] = time.time) -> RateLimitHeaders | None:
    """Read the rate-limit headers; None when one is missing or makes no sense."""
    try:
        limit, remaining, reset = (int(headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
    except (KeyError, ValueError):
        return None
    if limit < 1 or max(limit, abs(remaining), abs(reset)) > _MAX_PLAUSIBLE:
        return None
    # Date counts whole seconds, rounded down, on the clock that Reset is on: our own clock may be wrong.
    server_s = _http_date_s(headers.get("Date", "")) or now_utc()
    reset_in_s = min(max(reset - server_s, 0.0), MAX_WINDOW_S)
    return RateLimitHeaders(limit, max(remaining, 0), reset, reset_in_s)


def retry_after_s(headers: Mapping[str, str], now_utc: Callable[[], float] = time.time) -> float | None:
    """Seconds the server wants us to wait before trying again; None when it does not say.

    ``Retry-After`` (seconds or a date) if sent, else the time until the window
    ends when it says that nothing remains of it.
    """
    retry_after = headers.get("Retry-After", "").strip()
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    if (until_s := _http_date_s(retry_after)) is not None:
        return max(0.0, until_s - (_http_date_s(headers.get("Date", "")) or now_utc()))
    announcement = parse_rate_limit(headers, now_utc)
    if announcement and not announcement.remaining and announcement.reset_in_s > 0:
        return announcement.reset_in_s
    return None


def backoff_s(attempt: int, first_s: float, random: Callable[[], float]) -> float:
    """Seconds to wait after failed attempt number `attempt`: doubling up to 30 s, half of it by chance."""
    whole_s = min(30.0, first_s * 2.0 ** min(attempt - 1, 16))
    return whole_s * (0.5 + random() / 2)


def halvings(timeouts: int, other_failures: int) -> int:
    """Return how many times a page is halved after such failures on one cursor.

    Ranges that fail at 150 contacts and pass with fewer are known. Three
    failures that come at once halve a page. A time-out costs so much of the
    retry budget that it halves a page twice.
    """
    return 2 * timeouts + other_failures // 3


def reduced_page_size(per_page: int, halved: int) -> int:
    """Return the size of a page that is halved so many times, one contact at least."""
    return max(1, per_page >> min(halved, 16))


class PageSize:
    """How many contacts a page is asked for: fewer after failures, more again after pages that came.

    A page that is made smaller grows back with the next one. If a page that
    grew fails again, the pages stay small for a while, each time twice as
    long: a server that cannot send large pages at all costs few failures.

    Args:
        requested: contacts per page that the caller requests.

    Attributes:
        requested: as given.
        sent: contacts per page of the latest request.
    """

    _FIRST_HOLD, _MAX_HOLD = 4, 1024

    def __init__(self, requested: int) -> None:
        self.requested = self.sent = self._size = requested
        self._hold = self._stay = 0  # pages to stay small after the next failure, and now

    def for_attempt(self, halved: int) -> int:
        """Return the size for another request for the page, halved so many times."""
        self.sent = reduced_page_size(self._size, halved)
        return self.sent

    def for_next(self) -> int:
        """Return the size of the next page, if the latest request succeeds."""
        return self.sent if self._stay_then() else min(self.requested, self.sent * 2)

    def succeeded(self) -> None:
        """Record that the latest request gave a page."""
        self._size, self._stay, was_smaller = self.for_next(), self._stay_then(), self.sent < self._size
        if was_smaller:
            self._hold = min(self._hold * 2 or self._FIRST_HOLD, self._MAX_HOLD)
        elif self.sent >= self.requested:
            self._hold = 0

    def _stay_then(self) -> int:
        return self._hold if self.sent < self._size else max(self._stay - 1, 0)


class RateLimiter:
    """Our share of the API's current window.

    Args:
        reserve_percent: how much of each window is left to other users of the
            same pool, 0 to 90.
    """

    def __init__(self, reserve_percent: float) -> None:
        self._reserve = reserve_percent / 100
        self._reset = 0  # names the window, in the server's words; 0: not announced yet
        self._ends_at = 0.0
        self._remaining = 0
        self._in_flight = 0
        self.limit: int | None = None

    def wait_s(self, now: float) -> float:
        """Seconds until a call may leave, 0 when it may leave now; without an announcement always 0."""
        if self.limit is None:
            return 0.0
        if now >= self._ends_at:  # a window nobody has announced yet; it is full but for what is on its way
            self._reset, self._remaining, self._ends_at = 0, self.limit, now + WINDOW_S
        return 0.0 if self._remaining - self._in_flight > self._reserved(self.limit) else self._ends_at - now

    @property
    def remaining(self) -> tuple[int, int] | None:
        """Calls left as far as is known, and the limit; None without an announcement."""
        return None if self.limit is None else (max(self._remaining - self._in_flight, 0), self.limit)

    @property
    def calls_per_s(self) -> float | None:
        """Calls a second that are ours; None without an announcement."""
        return None if self.limit is None else (self.limit - self._reserved(self.limit)) / WINDOW_S

    def _reserved(self, limit: int) -> int:
        """Count the calls of a window that are left to others; at least one is ours, or a tiny limit would stop us."""
        return min(int(limit * self._reserve), limit - 1)

    def on_request(self) -> None:
        """Count a call that leaves."""
        self._in_flight += 1

    def on_response(self, announcement: RateLimitHeaders | None, now: float) -> None:
        """Count a call that ended, and believe what its answer announced.

        Answers overtake one another: one from an older window is not news, and
        within a window the smallest number is the latest.
        """
        self._in_flight -= 1
        if announcement is None:
            self._remaining -= 1
            return
        if announcement.reset < self._reset:
            return
        if announcement.reset == self._reset:
            self._remaining = min(self._remaining, announcement.remaining)
        else:
            self._reset, self._remaining, self._ends_at = announcement.reset, announcement.remaining, math.inf
        self._ends_at = min(self._ends_at, now + announcement.reset_in_s)
        self.limit = announcement.limit


@lru_cache(4)  # a server says the same for a second
def _http_date_s(text: str) -> float | None:
    """Read an HTTP date as UNIX seconds."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
