"""The rate-limit window against a model of the server, in simulated time."""

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

from exporter.source.rate_limit import RateLimiter, RateLimitHeaders, parse_rate_limit

WINDOW_S = 10
EPOCH = 1_800_000_000


@dataclass
class Server:
    """An API that counts requests in windows of ten seconds, on its own clock."""

    limit: int
    skew_s: float
    taken: Counter[int] = field(default_factory=Counter)
    ours: Counter[int] = field(default_factory=Counter)
    refused: int = 0

    def window_at(self, now: float) -> int:
        """Return the number of the window at a moment."""
        return math.floor((EPOCH + now + self.skew_s) / WINDOW_S)

    def call(self, now: float) -> dict[str, str]:
        """Count one request of the client; return the headers of the response."""
        window = self.window_at(now)
        self.taken[window] += 1
        self.ours[window] += 1
        self.refused += self.taken[window] > self.limit
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.taken[window])),
            "X-RateLimit-Reset": str((window + 1) * WINDOW_S),
            "Date": formatdate(math.floor(EPOCH + now + self.skew_s), usegmt=True),
        }


@dataclass
class Run:
    """Callers that share one window and send requests as often as it allows, in simulated time."""

    window: RateLimiter
    server: Server
    latency_s: Callable[[], float]
    ends_at: float = 45.0
    events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    order: "itertools.count[int]" = field(default_factory=itertools.count)
    longest_wait_s: float = 0.0

    def later(self, when: float, action: Callable[[float], None]) -> None:
        """Schedule an action."""
        heapq.heappush(self.events, (when, next(self.order), action))

    def caller(self, now: float) -> None:
        """Send a request if the window allows it, else wait as long as it says."""
        wait_s = self.window.wait_s(now)
        if wait_s > 0:
            self.longest_wait_s = max(self.longest_wait_s, wait_s)
            self.later(now + wait_s, self.caller)
            return
        self.window.on_request()
        self.later(now + self.latency_s(), self.arrive)

    def arrive(self, now: float) -> None:
        """Let the server receive the request; its response takes a while."""
        announcement = parse_rate_limit(self.server.call(now))
        self.later(now + self.latency_s(), lambda received_at: self.receive(announcement, received_at))

    def receive(self, announcement: RateLimitHeaders | None, now: float) -> None:
        """End the request and start another one."""
        self.window.on_response(announcement, now)
        self.caller(now)

    def start(self, callers: int) -> None:
        """Start the first caller alone, and the others after its response, as the client does."""
        self.caller(0.0)
        while self.window.limit is None:
            self.step()
        for _ in range(callers - 1):
            self.later(self.events[0][0], self.caller)
        while self.events[0][0] < self.ends_at:
            self.step()

    def step(self) -> None:
        """Run the next action."""
        when, _, action = heapq.heappop(self.events)
        action(when)


@dataclass(frozen=True)
class Setting:
    """A server and its callers."""

    limit: int
    reserve: int
    latencies: list[float]
    callers: int
    skew_s: float = 0.0
    others: float = 0.0

    @property
    def reserved(self) -> int:
        """How many requests of a window are reserved for others: never all."""
        return min(int(self.limit * (self.reserve / 100)), self.limit - 1)

    def simulate(self) -> Run:
        """Run the callers against the server; in every window, others take a share of what is reserved for them."""
        server = Server(self.limit, self.skew_s)
        for window in range(server.window_at(0), server.window_at(60) + 1):
            server.taken[window] += int(self.reserved * self.others)
        turn = itertools.cycle(self.latencies)
        run = Run(RateLimiter(self.reserve), server, lambda: next(turn))
        run.start(self.callers)
        return run


any_setting = st.builds(
    Setting,
    limit=st.integers(1, 60),
    reserve=st.integers(0, 90),
    latencies=st.lists(st.floats(0.02, 2.5), min_size=1, max_size=7),
    callers=st.integers(1, 12),
    skew_s=st.floats(-100_000, 100_000),
    others=st.floats(0, 1),
)


@given(any_setting)
def test_rate_limiter_never_exceeds_a_window_shared_with_others(setting: Setting) -> None:
    """The server refuses no request, the reserve stays free, and each window has at least one request of ours."""
    run = setting.simulate()
    server = run.server
    windows = range(min(server.ours), server.window_at(run.ends_at))
    assert server.refused == 0
    assert all(1 <= server.ours[window] <= setting.limit - setting.reserved for window in windows)


@given(any_setting)
def test_rate_limiter_wait_is_never_longer_than_a_window(setting: Setting) -> None:
    """A wait ends with the window, plus the second that headers in whole seconds may add."""
    assert setting.simulate().longest_wait_s <= WINDOW_S + 1


def test_rate_limiter_uses_its_full_share_of_each_window() -> None:
    """With fast responses, the callers send all requests that the reserve leaves."""
    run = Setting(limit=50, reserve=20, latencies=[0.05], callers=4, skew_s=3.0).simulate()
    windows = range(min(run.server.ours) + 1, run.server.window_at(run.ends_at))
    assert [run.server.ours[window] for window in windows] == [40] * len(windows)


def test_rate_limiter_without_headers_never_waits() -> None:
    """The limiter does not pace requests to an API that announces no limit."""
    window = RateLimiter(20)
    for now in range(100):
        assert window.wait_s(now) == 0
        window.on_request()
        window.on_response(None, now)
    assert window.limit is None


def test_rate_limiter_counts_requests_without_a_response() -> None:
    """The server may have counted a request that got no response."""
    window = RateLimiter(0)
    window.on_request()
    window.on_response(RateLimitHeaders(3, 2, EPOCH, 5.0), 0.0)
    for _ in range(2):
        assert window.wait_s(1.0) == 0
        window.on_request()
        window.on_response(None, 1.0)
    assert window.wait_s(1.0) == 4.0


def test_rate_limiter_ignores_responses_of_an_older_window() -> None:
    """Responses may arrive out of order; the latest window and its smallest remainder count."""
    window = RateLimiter(0)
    for announcement in (
        RateLimitHeaders(9, 5, EPOCH + 10, 8.0),
        RateLimitHeaders(9, 9, EPOCH, 1.0),
        RateLimitHeaders(9, 1, EPOCH + 10, 9.0),
        RateLimitHeaders(9, 4, EPOCH + 10, 9.0),
    ):
        window.on_request()
        window.on_response(announcement, 0.0)
    assert window.wait_s(0.0) == 0
    window.on_request()
    assert window.wait_s(2.0) == 6.0
