"""One producer, a bounded queue, several consumers: order, bounds, and how it ends."""

import asyncio
import gzip
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import ApiError, ConfigError, Page, SinkError
from exporter.formats.encoder import Encoder
from exporter.formats.facts import FormatFacts
from exporter.formats.registry import NDJSON, NDJSON_GZIP, Format
from exporter.model import Frame
from exporter.options import ExportOptions
from exporter.pipeline import run_pipeline
from exporter.tasks import run_in_task


class WatchedPage(Page):
    """A page that can be watched being alive."""

    __slots__ = ("__weakref__",)


class Source:
    """Pages in order, made when they are asked for."""

    def __init__(self, sizes: list[int], pauses: Iterator[int] | None = None, fails_at: int | None = None) -> None:
        self.sizes = sizes
        self.asked = 0
        self.failure = ApiError("no more", status=404)
        self.watched: list[weakref.ref[WatchedPage]] = []
        self._pauses = pauses or iter([])
        self._fails_at = fails_at

    @property
    def alive(self) -> int:
        """Count the pages that are held somewhere."""
        return sum(reference() is not None for reference in self.watched)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        if self.asked == len(self.sizes):
            raise StopAsyncIteration
        self.asked += 1
        number = self.asked
        await pause(next(self._pauses, 0))
        if number == self._fails_at:
            raise self.failure
        records = tuple(b'{"page":%d,"contact":%d}' % (number, place) for place in range(self.sizes[number - 1]))
        page = WatchedPage(number, records, None if number == len(self.sizes) else f"c{number}", None)
        self.watched.append(weakref.ref(page))
        return page


async def pause(turns: int) -> None:
    """Let the loop turn some times."""
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()


async def settle(still: Callable[[], Any]) -> None:
    """Let the loop turn, and threads work, until nothing has changed for long."""
    seen, quiet = still(), 0
    while quiet < 100:
        await asyncio.sleep(0.002)
        quiet = quiet + 1 if still() == seen else 0
        seen = still()


def expected(sizes: list[int], most: int | None = None) -> list[bytes]:
    """Give the lines of a source's contacts, up to a number of them."""
    lines = [b'{"page":%d,"contact":%d}\n' % (n + 1, place) for n, size in enumerate(sizes) for place in range(size)]
    return lines if most is None else lines[:most]


@given(
    sizes=st.lists(st.integers(0, 3), max_size=25),
    pauses=st.lists(st.integers(0, 6), min_size=60, max_size=60),
    consumers=st.integers(1, 6),
    queue_pages=st.integers(1, 5),
)
async def test_pages_are_written_once_and_in_order(
    sizes: list[int], pauses: list[int], consumers: int, queue_pages: int
) -> None:
    """However long a request, an encoding or a write takes, each page is appended once, in order, one at a time."""
    source, waits = Source(sizes, iter(pauses[:30])), iter(pauses[30:])
    written: list[bytes] = []
    busy = 0
    reached_end = False

    async def append(frame: Frame, page: Page) -> None:
        nonlocal busy, reached_end
        busy += 1
        assert busy == 1
        await pause(next(waits, 0))
        written.append(frame.content)
        assert page.number == len(written)
        assert source.alive <= queue_pages + consumers + 1
        assert not reached_end
        reached_end = page.next_cursor is None and not page.is_truncated
        busy -= 1

    await run_pipeline(source, Encoder(), append, ExportOptions(consumers=consumers, queue_pages=queue_pages))
    assert reached_end == bool(sizes)
    assert len(written) == len(sizes)
    assert b"".join(written) == b"".join(expected(sizes))


@pytest.mark.parametrize("consumers", [1, 2, 5])
async def test_pipeline_output_does_not_depend_on_the_consumers(consumers: int) -> None:
    """Compressed in threads that overtake one another, the pages come out in order all the same."""
    sizes = [(number * 37) % 200 for number in range(60)]
    written = bytearray()

    async def append(frame: Frame, _page: Page) -> None:
        written.extend(frame.content)

    await run_pipeline(Source(sizes), Encoder(output_format=NDJSON_GZIP), append, ExportOptions(consumers=consumers))
    assert gzip.decompress(written) == b"".join(expected(sizes))
    encode = Encoder(output_format=NDJSON_GZIP).encode
    assert bytes(written) == b"".join([encode(page).content async for page in Source(sizes)])


@pytest.mark.parametrize(("consumers", "queue_pages"), [(1, 1), (2, 4), (3, 1), (5, 7)])
async def test_pipeline_with_stalled_destination_stops_requests(consumers: int, queue_pages: int) -> None:
    """Nothing beyond queue, consumers and the page in hand is asked for; the source may be one page ahead of that."""
    source, release = Source([1] * 40), asyncio.Event()

    async def append(_frame: Frame, _page: Page) -> None:
        await release.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            run_pipeline, source, Encoder(), append, ExportOptions(consumers=consumers, queue_pages=queue_pages)
        )
        await settle(lambda: source.asked)
        assert source.asked == source.alive == queue_pages + consumers
        release.set()
    assert source.asked == 40


async def test_pipeline_releases_a_written_page() -> None:
    """While the next page is waited for, however long, those that were written are gone."""
    source, written, done = Source([1] * 5), [], asyncio.Event()

    async def silent_pages() -> AsyncIterator[Page]:
        for _ in range(5):
            yield await anext(source)
        await asyncio.sleep(60)

    async def append(_frame: Frame, page: Page) -> None:
        written.append(page.number)
        if page.number == 5:
            done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_pipeline, silent_pages(), Encoder(), append, ExportOptions(consumers=3))
        await done.wait()
        await settle(lambda: source.alive)
        assert (written, source.alive) == ([1, 2, 3, 4, 5], 0)
        tasks.cancel_scope.cancel()


def raising(failure: Exception, at_call: int) -> Callable[[bytes], bytes]:
    """Give a compression that fails."""
    calls = iter(range(1, 1_000))

    def compress(content: bytes) -> bytes:
        if next(calls) == at_call:
            raise failure
        return content

    return compress


@pytest.mark.parametrize("place", ["source", "encode", "append"])
@pytest.mark.parametrize("consumers", [1, 4])
async def test_pipeline_raises_the_first_failure(place: str, consumers: int) -> None:
    """Whichever part fails, its error comes out unwrapped with its cause, and all the rest is cancelled."""
    source = Source([1] * 30, fails_at=5 if place == "source" else None)
    failure: Exception = source.failure if place == "source" else SinkError("full")
    failure.__cause__ = cause = OSError("why")
    form = Format(FormatFacts("x", "x"), raising(failure, 5)) if place == "encode" else NDJSON
    written = []

    async def append(_frame: Frame, page: Page) -> None:
        if place == "append" and page.number == 5:
            raise failure
        written.append(page.number)

    before = asyncio.all_tasks()
    with pytest.raises(type(failure)) as caught:
        await run_pipeline(
            source, Encoder(output_format=form), append, ExportOptions(consumers=consumers, queue_pages=2)
        )
    assert caught.value is failure
    assert caught.value.__cause__ is cause
    assert written == list(range(1, len(written) + 1))
    assert len(written) < 5 + consumers  # others may have been encoding pages before the one that failed
    assert asyncio.all_tasks() <= before


async def test_pipeline_failure_does_not_wait_for_the_source() -> None:
    """When the destination fails, a request under way is cancelled."""
    asking = asyncio.Event()

    async def pages() -> AsyncIterator[Page]:
        yield Page(1, (b"{}",), "c1", None)
        asking.set()
        await asyncio.sleep(60)

    async def append(_frame: Frame, _page: Page) -> None:
        await asking.wait()
        raise SinkError("full")

    with pytest.raises(SinkError):
        await run_pipeline(pages(), Encoder(), append, ExportOptions())


@pytest.mark.parametrize("silent", ["source", "append"])
async def test_cancelling_ends_it_at_once(silent: str) -> None:
    """Cancelled from outside, it ends wherever it waits, as cancelled and not as failed."""
    waiting = asyncio.Event()
    source = Source([1] * 10)

    async def forever(*_: Any) -> None:
        waiting.set()
        await asyncio.sleep(60)

    async def silent_pages() -> AsyncIterator[Page]:
        yield await anext(source)
        await forever()

    async def append(_frame: Frame, _page: Page) -> None:
        return

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            if silent == "source":
                tasks.start_soon(run_pipeline, silent_pages(), Encoder(), append, ExportOptions())
            else:
                tasks.start_soon(run_pipeline, source, Encoder(), forever, ExportOptions())
            await waiting.wait()
            scope.cancel()
    assert scope.cancelled_caught


async def test_cancelling_a_plain_task_is_a_cancelled_error() -> None:
    """The cancellation of asyncio itself comes out as CancelledError."""
    waiting = asyncio.Event()

    async def append(_frame: Frame, _page: Page) -> None:
        waiting.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(run_pipeline(Source([1] * 10), Encoder(), append, ExportOptions()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_pipeline_cancelled_during_a_write_finishes_it() -> None:
    """A write that has begun is awaited; none begins after it."""
    begun, release = asyncio.Event(), asyncio.Event()
    written = []

    async def append(_frame: Frame, page: Page) -> None:
        with anyio.CancelScope(shield=True):
            begun.set()
            await release.wait()
            written.append(page.number)
        await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_pipeline, Source([1] * 10), Encoder(), append, ExportOptions())
        await begun.wait()
        tasks.cancel_scope.cancel()
        release.set()
    assert written == [1]


@given(sizes=st.lists(st.integers(0, 4), min_size=1, max_size=8), most=st.integers(1, 40), consumers=st.integers(1, 3))
async def test_pipeline_limit_truncates_the_last_page(sizes: list[int], most: int, consumers: int) -> None:
    """The first contacts are written, no page behind them is asked for, and a page that was cut says so."""
    source = Source(sizes)
    written: list[bytes] = []
    truncated: list[bool] = []

    async def append(frame: Frame, page: Page) -> None:
        assert frame.contacts == len(page.records)
        written.append(frame.content)
        truncated.append(page.is_truncated)

    await run_pipeline(source, Encoder(), append, ExportOptions(consumers=consumers, max_contacts=most))
    assert b"".join(written) == b"".join(expected(sizes, most))
    needed = next((n for n in range(1, len(sizes) + 1) if sum(sizes[:n]) >= most), len(sizes))
    assert source.asked == needed
    assert truncated == [False] * (needed - 1) + [sum(sizes[:needed]) > most]


@pytest.mark.parametrize("name", ["consumers", "queue_pages", "max_contacts"])
@pytest.mark.parametrize("value", [0, -1, 1.0, "1", True, None])
def test_pipeline_sizes_must_be_integers(name: str, value: Any) -> None:
    """Figures that make no sense are refused when the flow is described; only the limit may be none."""
    if (name, value) == ("max_contacts", None):
        assert ExportOptions(max_contacts=value).max_contacts is None
        return
    with pytest.raises(ConfigError, match=f"{name} must be a whole number"):
        ExportOptions(**{name: value})


@pytest.mark.parametrize("value", [1_000, 1_001])
def test_pipeline_with_too_many_consumers_is_refused(value: int) -> None:
    """More tasks than anybody could use are a wrong argument, not a machine without memory."""
    if value == 1_000:
        assert ExportOptions(consumers=value).consumers == value
        return
    with pytest.raises(ConfigError, match="consumers must be a whole number from 1 to 1,000, not"):
        ExportOptions(consumers=value)


async def test_job_in_a_task_returns_its_result_or_raises() -> None:
    """What comes out is what went in: a value, or the very error with its cause."""

    async def job() -> int:
        await anyio.lowlevel.checkpoint()
        return 7

    failure = SinkError("full")
    failure.__cause__ = cause = OSError("why")

    async def failing_job() -> None:
        raise failure

    assert await run_in_task(job) == 7
    with pytest.raises(SinkError) as caught:
        await run_in_task(failing_job)
    assert caught.value is failure
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("how", ["scope", "task"])
async def test_cancellation_does_not_reach_shielded_work(how: str) -> None:
    """Whether anyio's or asyncio's own, it waits for a shielded step, and then ends the job as cancelled."""
    begun, release, done = asyncio.Event(), asyncio.Event(), list[str]()

    async def job() -> None:
        with anyio.CancelScope(shield=True):
            begun.set()
            await release.wait()
            done.append("shielded")
        await anyio.lowlevel.checkpoint()
        done.append("never")

    scope = anyio.CancelScope()

    async def run() -> None:
        with scope:
            await run_in_task(job)

    task = asyncio.create_task(run())
    await begun.wait()
    scope.cancel() if how == "scope" else task.cancel()
    await pause(20)
    assert not task.done()
    release.set()
    await asyncio.wait([task])
    assert done == ["shielded"]
    assert (scope.cancelled_caught, task.cancelled()) == (how == "scope", how == "task")
