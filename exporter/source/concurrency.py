"""How many requests of an export may be in flight at once: more while the API keeps up, fewer when it refuses."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from statistics import median

import anyio

from exporter.observe.events import CursorsChanged, Event, Observer, RequestFinished, null_observer
from exporter.source.rate_limit import WINDOW_S

_INITIAL = 2
_SLOWER = 2.0
"""The API is slower with more requests at once if its median latency exceeds the best one by this factor."""

_REFUSALS = (429, 503)


class AdaptiveConcurrency:
    """A limit on concurrent requests, which adapts as TCP adapts its window.

    It begins with two. After each round (as many responses as requests may be in flight) it doubles, until the
    API becomes slower or refuses a request; from then on it grows by one a round. After 429, 503 or a time-out it
    is halved and does not grow for one rate-limit window. It is always at least one.

    Args:
        maximum: most requests at once.
        clock: returns the time in seconds.
        observer: function that is called with each `CursorsChanged`.

    Attributes:
        limit: requests that may be in flight now.
        maximum: as given.
    """

    def __init__(
        self, maximum: int, clock: Callable[[], float] = anyio.current_time, observer: Observer = null_observer
    ) -> None:
        self.maximum = maximum
        self.limit = min(_INITIAL, maximum)
        self._clock = clock
        self._observer = observer
        self._in_use = 0
        self._waiting: deque[anyio.Event] = deque()
        self._doubles = True
        self._latencies: list[float] = []
        self._best_s: float | None = None
        self._halved_at = self._held_until = -WINDOW_S

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait until a request may be in flight, in the order of the calls, and count it for the length of the block.

        Cancellation:
            Gives the turn to the next one that waits.
        """
        if self._in_use >= self.limit or self._waiting:
            await self._wait()
        else:
            self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1
            self._admit()

    async def _wait(self) -> None:
        turn = anyio.Event()
        self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # admitted and cancelled in the same step
                self._in_use -= 1
                self._admit()
            else:
                self._waiting.remove(turn)
            raise

    def _admit(self) -> None:
        while self._waiting and self._in_use < self.limit:
            self._waiting.popleft().set()
            self._in_use += 1

    def forget_latencies(self) -> None:
        """Forget the latencies so far: from now on, requests are of another kind, such as pages instead of counts."""
        self._latencies.clear()
        self._best_s = None

    def observe(self, event: Event) -> None:
        """Adapt to the end of a request."""
        if not isinstance(event, RequestFinished):
            return
        if event.status in _REFUSALS or event.cause == "timeout":
            self._on_refusal(event.duration_s)
        elif event.status is not None and event.method == "POST":  # only searches: other endpoints answer faster
            self._latencies.append(event.duration_s)
            if len(self._latencies) >= self.limit:
                self._end_round()

    def _on_refusal(self, duration_s: float) -> None:
        """Halve, unless the request was sent before the latest halving."""
        now = self._clock()
        self._latencies.clear()
        self._doubles = False
        self._held_until = now + WINDOW_S
        if now - duration_s >= self._halved_at:
            self._halved_at = now
            self._set(max(self.limit // 2, 1))

    def _end_round(self) -> None:
        latency_s = median(self._latencies)
        self._latencies.clear()
        self._best_s = latency_s if self._best_s is None else min(self._best_s, latency_s)
        if latency_s > _SLOWER * self._best_s:
            self._doubles = False
        if self._clock() >= self._held_until:
            self._set(min(self.limit * 2 if self._doubles else self.limit + 1, self.maximum))

    def _set(self, limit: int) -> None:
        if limit == self.limit:
            return
        self.limit = limit
        self._observer(CursorsChanged(limit, self.maximum))
        self._admit()
