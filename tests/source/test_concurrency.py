"""How many requests may be in flight: the limit grows, is halved, and is kept in turn."""

import asyncio
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from exporter.observe.events import CursorsChanged, Event, RequestFinished
from exporter.source.concurrency import AdaptiveConcurrency
from exporter.tasks import for_each


class Clock:
    """A clock that tests set."""

    now_s = 1_000.0

    def now(self) -> float:
        """Return the time."""
        return self.now_s


def response(status: int | None = 200, duration_s: float = 1.0, cause: str | None = None) -> RequestFinished:
    """Return the end of a request."""
    return RequestFinished("POST", "/contacts/search", status, cause, duration_s, 100, None)


def answer(concurrency: AdaptiveConcurrency, count: int, duration_s: float = 1.0) -> None:
    """Report successes."""
    for _ in range(count):
        concurrency.observe(response(duration_s=duration_s))


def limits_after(concurrency: AdaptiveConcurrency, rounds: Sequence[float]) -> list[int]:
    """Return the limit after each round of responses with the given duration."""
    limits = []
    for duration_s in rounds:
        answer(concurrency, concurrency.limit, duration_s)
        limits.append(concurrency.limit)
    return limits


async def test_limit_doubles_until_it_reaches_the_maximum() -> None:
    """It begins with two; each change is an event."""
    events: list[Event] = []
    concurrency = AdaptiveConcurrency(12, Clock().now, events.append)
    assert concurrency.limit == 2
    assert limits_after(concurrency, [1.0] * 4) == [4, 8, 12, 12]
    assert events == [CursorsChanged(limit, 12) for limit in (4, 8, 12)]


async def test_limit_grows_by_one_once_the_api_is_slower() -> None:
    """More than twice the best median latency: more at once gains nothing. A single slow response is no reason."""
    concurrency = AdaptiveConcurrency(128, Clock().now)
    answer(concurrency, 1, 9.0)
    answer(concurrency, 1, 1.0)
    assert limits_after(concurrency, [5.0, 3.0, 11.0, 5.0]) == [8, 16, 17, 18]


async def test_latencies_of_counts_say_nothing_about_pages() -> None:
    """A page takes longer than a count: it is no sign of a slower API."""
    concurrency = AdaptiveConcurrency(128, Clock().now)
    assert limits_after(concurrency, [0.2, 0.2]) == [4, 8]
    concurrency.forget_latencies()
    assert limits_after(concurrency, [1.0, 1.1]) == [16, 32]


@pytest.mark.parametrize("refusal", [response(429, 0.1), response(503, 0.1), response(None, 0.1, "timeout")])
async def test_limit_is_halved_after_a_refusal_and_held_for_a_window(refusal: RequestFinished) -> None:
    """Then it grows by one a round."""
    clock = Clock()
    concurrency = AdaptiveConcurrency(64, clock.now)
    assert limits_after(concurrency, [1.0] * 4)[-1] == 32
    concurrency.observe(refusal)
    assert limits_after(concurrency, [1.0] * 3) == [16, 16, 16]
    clock.now_s += 10
    assert limits_after(concurrency, [1.0] * 2) == [17, 18]


async def test_refusals_of_requests_sent_before_the_halving_count_once() -> None:
    """Many requests are refused at the same moment; later ones halve again, down to one."""
    clock = Clock()
    concurrency = AdaptiveConcurrency(64, clock.now)
    limits_after(concurrency, [1.0] * 4)
    for _ in range(32):
        concurrency.observe(response(429, 0.5))
        clock.now_s += 0.01
    assert concurrency.limit == 16
    for _ in range(10):
        clock.now_s += 5
        concurrency.observe(response(429, 0.5))
    assert concurrency.limit == 1


async def test_other_events_change_nothing() -> None:
    """Requests of the list and failures of the network."""
    concurrency = AdaptiveConcurrency(64, Clock().now)
    for _ in range(10):
        concurrency.observe(RequestFinished("GET", "/contacts", 200, None, 1.0, 1, None))
        concurrency.observe(response(None, 1.0, "network"))
        concurrency.observe(CursorsChanged(1, 2))
    assert concurrency.limit == 2


async def test_no_more_than_the_limit_are_in_a_slot() -> None:
    """They are admitted in the order in which they asked."""
    concurrency = AdaptiveConcurrency(3, Clock().now)
    limits_after(concurrency, [1.0])
    assert concurrency.limit == 3
    at_once = most = 0
    order: list[int] = []

    async def work(number: int) -> None:
        nonlocal at_once, most
        async with concurrency.slot():
            at_once += 1
            most = max(most, at_once)
            order.append(number)
            await anyio.lowlevel.checkpoint()
            at_once -= 1

    await for_each(range(20), work)
    assert most == 3
    assert order == list(range(20))


async def test_cancelled_waiters_give_their_turn_away() -> None:
    """Also one that is cancelled in the moment of its turn."""
    concurrency = AdaptiveConcurrency(1, Clock().now)
    entered: list[str] = []

    async def wait(name: str) -> None:
        async with concurrency.slot():
            entered.append(name)

    async with concurrency.slot():
        waiting = [asyncio.create_task(wait(name)) for name in "abc"]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        await asyncio.sleep(0.01)
    waiting[1].cancel()  # its turn has just come
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in ended] == [asyncio.CancelledError, asyncio.CancelledError, type(None)]
    assert entered == ["c"]
    async with concurrency.slot():
        pass
