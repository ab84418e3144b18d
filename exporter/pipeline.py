"""One producer, a bounded queue, several consumers, one output in page order.

The pages alive at once are at most ``queue_pages + consumers + 1``, whatever
the workspace's size: a slow destination fills the queue, and a full queue
stops the requests.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Self, TypeVar

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from exporter.errors import ConfigError
from exporter.formats.csv import Rows
from exporter.formats.drift import DriftCheck
from exporter.formats.registry import Format
from exporter.formats.selection import AS_SENT, Shape
from exporter.formats.strict_readers import NO_CHECK, Strictness
from exporter.model import Frame, Page
from exporter.rawjson.contact_keys import page_keys
from exporter.rawjson.normalization import RECORDS
from exporter.source.expansion import Expanded
from exporter.validation import MAX_CONSUMERS, MAX_CONTACTS, MAX_QUEUE_PAGES, check_kinds

T = TypeVar("T")
_CHECKED_AT_FIRST, _CHECKED_EVERY = 100, 16
_WHOLLY_CHECKED, _CONTACTS_CHECKED_EVERY = 1, 128
Append = Callable[[Frame, Page], Awaitable[None]]
Expand = Callable[[Page], Awaitable[Expanded]]
Encode = Callable[[Page, Expanded | None], Awaitable[Frame]]


@dataclass(frozen=True, slots=True)
class Flow:
    """How pages travel from the source to the output.

    Attributes:
        form: what they become.
        consumers: tasks that encode and write, 1 to 1,000; the output does not depend on it.
        queue_pages: pages that wait between the producer and the consumers, 1 or more.
        max_contacts: stop after so many contacts, None for all.
        shape: what is written of each contact.
        rows: makes contacts the rows of a table, where the format has them.
        check_all: whether every contact is compared with the schema; else those of a sample of pages.
        records: ``exact`` or ``normalized``.
        pages_before: pages that earlier runs have written, so that the sample does not depend on them.
        csv_bom: whether each file of CSV begins with a UTF-8 byte-order mark.
        allow_shortfall: whether the list may end although many of the contacts that the API counts are missing.

    Raises:
        ConfigError: a number is not a whole one within its range.
    """

    form: Format
    consumers: int = 2
    queue_pages: int = 4
    max_contacts: int | None = None
    shape: Shape = AS_SENT
    rows: Rows | None = None
    check_all: bool = False
    pages_before: int = 0
    records: str = "exact"
    allow_shortfall: bool = False
    csv_bom: bool = False

    def __post_init__(self) -> None:
        check_kinds({"shape": self.shape}, {"shape": Shape})
        for name, most in (
            ("consumers", MAX_CONSUMERS),
            ("queue_pages", MAX_QUEUE_PAGES),
            ("max_contacts", MAX_CONTACTS),
        ):
            value = getattr(self, name)
            if name == "max_contacts" and value is None:
                continue
            if type(value) is not int or not 1 <= value <= most:
                raise ConfigError(f"{name} must be a whole number from 1 to {most:,}, not {value!r}", name)
        flags = {"csv_bom": self.csv_bom, "allow_shortfall": self.allow_shortfall}
        check_kinds(flags, dict.fromkeys(flags, bool))
        if self.csv_bom and not self.form.has_rows:
            raise ConfigError("csv_bom is for CSV, and the output has another format", "csv_bom")
        if self.records not in RECORDS:
            raise ConfigError(f"records must be 'exact' or 'normalized', not {self.records!r}", "records")

    def checks(self, page: Page) -> bool:
        """Whether a page's contacts are compared with the schema.

        It takes a third of the time of everything else: so each of the first
        pages, and of the others a few.
        """
        number = self.pages_before + page.number
        return self.check_all or number <= _CHECKED_AT_FIRST or number % _CHECKED_EVERY == 0

    def strictness(self, page: Page) -> Strictness:
        """Return what normalizes a page's contacts, or checks some of them for what strict readers refuse.

        A check takes as long as everything else that is done for a contact.
        The first page is checked completely, and so are pages that a fast
        parser refused; of other pages whose schema is checked, one contact in 128.
        """
        number = self.pages_before + page.number
        if self.records != "exact":
            return Strictness(normalized=True)
        if self.form.has_rows or self.form.convert or not (self.checks(page) or not page.plain):
            return NO_CHECK
        if number <= _WHOLLY_CHECKED or not page.plain:
            return Strictness(every=1)
        return Strictness(every=_CONTACTS_CHECKED_EVERY, first=number % _CONTACTS_CHECKED_EVERY)


async def pump(pages: AsyncIterator[Page], flow: Flow, append: Append, expand: Expand | None = None) -> None:
    """Move all pages into an output.

    Args:
        pages: the source, stepped by one task; it may be a page ahead of its steps.
        flow: how they travel.
        append: writes one frame; called for one page at a time, in page order.
        expand: completes a page's contacts before they are encoded; called for several pages at a time.

    Raises:
        Exception: whatever `pages` raised, once all pages before it are
            written; or whatever encoding or `append` raised, at once.

    Cancellation:
        An `append` that shields its write is awaited; everything else stops at once.
    """
    limited = _Limited(pages, flow.max_contacts)
    failures: list[Exception] = []
    # The page that was asked for ahead of the one that waits for the queue takes the place of one in it.
    send, receive = anyio.create_memory_object_stream[Page](flow.queue_pages - 1)
    turns, check = _Turns(), DriftCheck()
    encode = partial(_encoded, flow, check)
    with one_failure():
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(_produce, limited, send, failures)
            for _ in range(flow.consumers):
                tasks.start_soon(_consume, receive.clone(), encode, turns, append, expand)
    for failure in failures:
        raise failure from failure.__cause__


async def _produce(pages: AsyncIterator[Page], send: MemoryObjectSendStream[Page], failures: list[Exception]) -> None:
    async with send:
        try:
            async for page in pages:
                await send.send(page)
                del page  # not to be kept alive by the request for the next one
        except Exception as failure:  # noqa: BLE001 - raised by `pump`
            failures.append(failure)


async def _consume(
    receive: MemoryObjectReceiveStream[Page], encode: Encode, turns: "_Turns", append: Append, expand: Expand | None
) -> None:
    async with receive:
        async for page in receive:
            frame = await encode(page, await expand(page) if expand else None)
            await turns.come(page.number)
            await append(frame, page)
            turns.next()
            del page, frame


async def _encoded(flow: Flow, check: DriftCheck, page: Page, expanded: Expanded | None) -> Frame:
    """Encode a page: what it became by expanding, where that was done."""
    checks, strictness = flow.checks(page), flow.strictness(page)
    # Popped where it is used: an idle thread keeps what it was given last, and would keep the page.
    given = [(replace(page, records=tuple(expanded.records)) if expanded else page, page)]
    del page

    def encode() -> Frame:
        written, sent = given.pop()
        frame = flow.form.encode(written, flow.shape, flow.rows, strictness)
        if checks:
            drift = Counter(frame.schema_drift) + check.of(sent.records)
            frame = replace(frame, schema_checked=len(sent.records), schema_drift=drift)
        return frame

    # Compressing, shaping and checking take milliseconds, more if somebody means harm: worth a thread. Joining is not.
    takes_long = flow.form.compress or flow.shape or flow.rows or checks or strictness
    frame = await to_thread.run_sync(encode) if takes_long else encode()
    return replace(frame, lists_expanded=expanded.lists, lists_missing=dict(expanded.missing)) if expanded else frame


class _Turns:
    """Lets pages pass in the order of their numbers, from 1."""

    def __init__(self) -> None:
        self._number = 1
        self._waiting: dict[int, anyio.Event] = {}

    async def come(self, number: int) -> None:
        """Wait for the turn of page `number`."""
        if number != self._number:
            self._waiting[number] = anyio.Event()
            await self._waiting[number].wait()

    def next(self) -> None:
        """End the turn."""
        self._number += 1
        if event := self._waiting.pop(self._number, None):
            event.set()


class _Limited:
    """The pages up to a number of contacts."""

    def __init__(self, pages: AsyncIterator[Page], most: int | None) -> None:
        self._pages = pages
        self._left = most

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        if self._left == 0:
            raise StopAsyncIteration
        page = await anext(self._pages)
        if self._left is not None:
            if len(page.records) > self._left:
                records = page.records[: self._left]
                page = replace(page, records=records, keys=page_keys(records), whole=False)
            self._left -= len(page.records)
        return page


async def in_a_task(job: Callable[[], Awaitable[T]]) -> T:
    """Run a job in a task of its own, and wait for it.

    There a cancellation, whether anyio's or a bare ``task.cancel()``, stops
    short of what the job shields.
    """
    results: list[T] = []

    async def run() -> None:
        results.append(await job())

    with one_failure():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
    return results[0]


@contextmanager
def one_failure() -> Iterator[None]:
    """Let the first failure of a task group leave as itself, not wrapped in a group."""
    try:
        yield
    except BaseExceptionGroup as group:
        failure: BaseException = group
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        raise failure from failure.__cause__
