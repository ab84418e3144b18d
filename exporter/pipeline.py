"""The pipeline: one producer, a bounded queue, several consumers, one output in page order.

At most ``queue_pages + consumers + 1`` pages are in memory, for any size of the
workspace: a slow destination fills the queue, and a full queue stops the
requests.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Self

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from exporter.archive.key_count import KeyCount
from exporter.destination.base import Destination
from exporter.formats.encoder import Encoder
from exporter.formats.selection_checks import missing_fields
from exporter.model import Frame, Page
from exporter.observe.events import FieldsNotFound, PageWritten
from exporter.options import ExportOptions
from exporter.rawjson.contact_keys import page_keys
from exporter.source.expansion import ExpandedPage
from exporter.source.pages import Pages
from exporter.state import JobState
from exporter.tasks import collapse_exception_groups

Append = Callable[[Frame, Page], Awaitable[None]]
Expand = Callable[[Page], Awaitable[ExpandedPage]]
Encode = Callable[[Page, ExpandedPage | None], Awaitable[Frame]]


async def run_pipeline(
    pages: AsyncIterator[Page], encoder: Encoder, append: Append, options: ExportOptions, expand: Expand | None = None
) -> None:
    """Move all pages to an output.

    Args:
        pages: the source; only one task iterates over it. It may prefetch one page.
        encoder: encoder of pages as frames.
        append: function that writes one frame; called for one page at a time, in page order.
        options: options of the export: consumers, queue size and maximum contacts.
        expand: function that fetches the full lists of a page's contacts before encoding; called for several pages
            concurrently.

    Raises:
        Exception: the error of `pages`, after all pages before it are written;
            or the error of encoding or `append`, immediately.

    Cancellation:
        An `append` that shields its write finishes. Everything else stops immediately.
    """
    limited = _LimitedPages(pages, options.max_contacts)
    failures: list[Exception] = []
    # The prefetched page, behind the page that waits for the queue, counts as one page of the queue.
    send, receive = anyio.create_memory_object_stream[Page](options.queue_pages - 1)
    gate = _OrderGate()
    encode = partial(encode_page, encoder)
    with collapse_exception_groups():
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(_produce, limited, send, failures)
            for _ in range(options.consumers):
                tasks.start_soon(_consume, receive.clone(), encode, gate, append, expand)
    for failure in failures:
        raise failure from failure.__cause__


async def _produce(pages: AsyncIterator[Page], send: MemoryObjectSendStream[Page], failures: list[Exception]) -> None:
    async with send:
        try:
            async for page in pages:
                await send.send(page)
                del page  # so that the request for the next page does not keep this one in memory
        except Exception as failure:  # noqa: BLE001 - raised by `run_pipeline`
            failures.append(failure)


async def _consume(
    receive: MemoryObjectReceiveStream[Page], encode: Encode, gate: "_OrderGate", append: Append, expand: Expand | None
) -> None:
    async with receive:
        async for page in receive:
            frame = await encode(page, await expand(page) if expand else None)
            await gate.wait_for(page.number)
            await append(frame, page)
            gate.advance()
            del page, frame


async def encode_page(encoder: Encoder, page: Page, expanded: ExpandedPage | None) -> Frame:
    """Encode a page, with its expanded lists if there are any; in a thread if that takes long."""
    takes_long = encoder.takes_long(page)
    # The thread pops the page: an idle thread keeps its last function, which would keep the page in memory.
    handoff = [(page, expanded.records if expanded else None)]
    del page

    def encode() -> Frame:
        return encoder.encode(*handoff.pop())

    frame = await to_thread.run_sync(encode) if takes_long else encode()
    return replace(frame, lists_expanded=expanded.lists, lists_missing=dict(expanded.missing)) if expanded else frame


class PageWriter:
    """Writes frames to a destination, and counts and reports each page that is written.

    Args:
        pages: where the pages come from.
        encoder: what made the frames.
        destination: takes the frames.
        state: counts the pages.
        keys: takes the keys of the contacts; None where they are not counted.
    """

    def __init__(
        self, pages: Pages, encoder: Encoder, destination: Destination, state: JobState, keys: KeyCount | None
    ) -> None:
        self._pages = pages
        self._selection = encoder.selection
        self._destination = destination
        self._state = state
        self._keys = keys
        self._notify = pages.traffic.observer
        self._began_at_s = anyio.current_time()

    async def write(self, frame: Frame, page: Page) -> None:
        """Write one frame, then count its page. The state of the job never runs ahead of the destination.

        Cancellation:
            A write that has begun is finished, and then its page is counted.
        """
        written = await self._destination.append(frame)
        self._state.add(page, written, anyio.current_time() - self._began_at_s)
        self._report(page)
        if self._keys is not None:
            self._keys.add(page.keys)
            if self._keys.is_full:
                await to_thread.run_sync(self._keys.spill)
        await self._destination.commit_if_due()

    def _report(self, page: Page) -> None:
        """Notify the observer of a page, and of fields and versions that are not as requested."""
        position = self._state.position
        is_first_of_export = position.pages == 1 and page.records
        if is_first_of_export and (missing := tuple(missing_fields(self._selection, self._state.matched_fields))):
            self._notify(FieldsNotFound(missing))
        if page.number == 1:
            for event in self._pages.version_events():
                self._notify(event)
        self._notify(PageWritten(position, page.total_count, self._pages.window))


class _OrderGate:
    """A gate that lets pages pass in the order of their numbers, from 1."""

    def __init__(self) -> None:
        self._number = 1
        self._waiting: dict[int, anyio.Event] = {}

    async def wait_for(self, number: int) -> None:
        """Wait until all pages before page `number` have passed."""
        if number != self._number:
            self._waiting[number] = anyio.Event()
            await self._waiting[number].wait()

    def advance(self) -> None:
        """Allow the next page to pass."""
        self._number += 1
        if event := self._waiting.pop(self._number, None):
            event.set()


class _LimitedPages:
    """An iterator of pages that ends after a number of contacts and truncates the last page."""

    def __init__(self, pages: AsyncIterator[Page], limit: int | None) -> None:
        self._pages = pages
        self._contacts_left = limit

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        if self._contacts_left == 0:
            raise StopAsyncIteration
        page = await anext(self._pages)
        if self._contacts_left is not None:
            if len(page.records) > self._contacts_left:
                records = page.records[: self._contacts_left]
                page = replace(page, records=records, keys=page_keys(records), is_truncated=True)
            self._contacts_left -= len(page.records)
        return page
