"""`export` and `stream`: a workspace into a file, to stdout, or into somebody's web response."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, Self

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from exporter import __version__
from exporter.encode.formats import format_of_compression, format_of_name
from exporter.errors import ConfigError
from exporter.flow import Flow, in_a_task, pump
from exporter.model import (
    FileSummary,
    Frame,
    Observer,
    Page,
    PageWritten,
    Position,
    SourceSummary,
    Summary,
    VersionMismatch,
    ignore,
)
from exporter.sink.file import FileSink
from exporter.sink.stdout import StdoutSink
from exporter.sink.target import finished_export
from exporter.source.intercom import Intercom, cancel_and_wait
from exporter.source.listing import ENDPOINT


class _Sink(Protocol):
    async def append(self, frame: Frame) -> None: ...


async def export(  # noqa: PLR0913 - a contract; each is one independent setting
    intercom: Intercom,
    path: str | os.PathLike[str],
    *,
    consumers: int = 2,
    queue_pages: int = 4,
    max_contacts: int | None = None,
    overwrite: bool = False,
    restart: bool = False,
    compression: str | None = None,
    observer: Observer = ignore,
) -> Summary:
    """Write every contact of a workspace to a file, or to stdout.

    Args:
        intercom: the workspace, inside its block.
        path: the file; its suffix picks the format, ``.ndjson`` or
            ``.ndjson.gz``. ``"-"`` is standard output.
        consumers: tasks that encode and write; the output does not depend on it.
        queue_pages: pages that wait between fetching and encoding.
        max_contacts: stop after so many contacts and finish the file.
        overwrite: replace a finished or foreign file of that name; it stays
            until the new one is complete.
        restart: drop an unfinished export of that name, as every run does so far.
        compression: ``"gzip"`` or None, for standard output only.
        observer: called with each `Event`, from this task's event loop.

    Returns:
        The figures of the export, also when it was already finished: then no
        request is sent.

    Raises:
        ConfigError: an argument is wrong, or something is in the way at `path`.
        SourceError: the API failed; its kind says how.
        SinkError: the destination failed.
        CheckpointError: `path` is a finished export with other settings.

    Cancellation:
        The page being written is finished; then the part file stays as it is.
        A silent server or a reader who stopped reading is not waited for.

    Durability:
        When this returns, the file and its manifest are on disk. Until then
        no file of that name appears.
    """
    del restart  # every run of an unfinished export begins at its beginning
    _check_open(intercom)
    run = _Run(intercom, observer, max_contacts)
    if os.fspath(path) == "-":
        flow = Flow(format_of_compression(compression), consumers, queue_pages, max_contacts)
        return run.summary(await run.into(StdoutSink(), flow), ())
    if compression is not None:
        raise ConfigError("compression is for standard output; a file's suffix picks its format")
    path = Path(path)
    flow = Flow(format_of_name(path.name), consumers, queue_pages, max_contacts)
    finished = await anyio.to_thread.run_sync(
        lambda: finished_export(path, run.source(), max_contacts, overwrite=overwrite)
    )
    if finished is not None:
        return finished

    async def job() -> Summary:
        async with FileSink(path, overwrite=overwrite) as sink:
            complete = await run.into(sink, flow)
            return await sink.finish(lambda file: run.summary(complete, (file,)))

    return await in_a_task(job)


class _Run:
    """One run of an export, and its figures."""

    def __init__(self, intercom: Intercom, observer: Observer, max_contacts: int | None) -> None:
        self._intercom = intercom
        self._observer = observer
        self._max_contacts = max_contacts
        self._started_at = _utc_now()
        self._position = Position()
        self._total_count_first: int | None = None
        self._total_count_last: int | None = None
        self._pages = intercom.pages(observer=observer)

    async def into(self, sink: _Sink, flow: Flow) -> bool:
        """Move all pages into `sink`; tell whether the API said that nothing follows."""

        async def append(frame: Frame, page: Page) -> None:
            await sink.append(frame)
            self._count(frame, page)

        complete = await pump(self._pages, flow, append)
        if not self._position.written_bytes:
            await sink.append(flow.form.empty())
        return complete

    def _count(self, frame: Frame, page: Page) -> None:
        before = self._position
        self._position = Position(
            page.next_cursor,
            before.pages + 1,
            before.contacts + frame.contacts,
            before.written_bytes + len(frame.content),
            before.uncompressed_bytes + frame.uncompressed_bytes,
        )
        self._total_count_last = page.total_count
        if not before.pages:
            self._total_count_first = page.total_count
            asked, echoed = self._intercom.api_version, self._pages.traffic.version_echoed
            if echoed not in (None, asked):
                self._observer(VersionMismatch(asked, echoed))
        self._observer(PageWritten(self._position, page.total_count))

    def source(self) -> SourceSummary:
        """Describe where the contacts come from."""
        intercom = self._intercom
        echoed = self._pages.traffic.version_echoed
        return SourceSummary(intercom.origin, ENDPOINT, intercom.api_version, echoed, intercom.per_page)

    def summary(self, complete: bool, files: tuple[FileSummary, ...]) -> Summary:
        """Sum up the run."""
        traffic = self._pages.traffic
        return Summary(
            tool=f"intercom-exporter {__version__}",
            complete=complete,
            limited_to_contacts=self._max_contacts,
            source=self.source(),
            started_at=self._started_at,
            finished_at=_utc_now(),
            runs=1,
            pages=self._position.pages,
            contacts=self._position.contacts,
            total_count_first=self._total_count_first,
            total_count_last=self._total_count_last,
            requests=traffic.requests,
            retries=dict(traffic.retries),
            rate_limit_wait_s=round(traffic.rate_limit_wait_s, 3),
            files=files,
        )


class _Channel:
    """A sink that hands each frame to whoever takes the chunks of a stream."""

    def __init__(self, send: MemoryObjectSendStream[bytes]) -> None:
        self._send = send

    async def append(self, frame: Frame) -> None:
        if frame.content:
            await self._send.send(frame.content)


class Chunks:
    """The chunks of a `stream`: an asynchronous iterator of bytes, one chunk a page."""

    def __init__(self, receive: MemoryObjectReceiveStream[bytes]) -> None:
        self.ending: Exception | None = None
        self._receive = receive

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._receive.receive()
        except anyio.ClosedResourceError:
            raise ConfigError("this stream is closed: take its chunks inside its 'async with' block") from None
        except anyio.EndOfStream:
            if self.ending is not None:
                raise self.ending from self.ending.__cause__
            raise ConfigError("this stream's Intercom was closed before its end") from None


@asynccontextmanager
async def stream(
    intercom: Intercom, *, compression: str | None = None, consumers: int = 2, queue_pages: int = 4
) -> AsyncIterator[Chunks]:
    """Stream every contact as NDJSON bytes, for a web response or another process.

    ::

        async with exporter.stream(intercom, compression="gzip") as chunks:
            async for chunk in chunks:
                await response.write(chunk)

    Args:
        intercom: the workspace, inside its block.
        compression: ``"gzip"``, one member a page, or None.
        consumers: tasks that encode; the bytes do not depend on it.
        queue_pages: pages that wait between fetching and encoding.

    Yields:
        An asynchronous iterator of bytes, in API order. Together they are
        what `export` writes. Whoever takes them slowly slows the requests down.

    Raises:
        ConfigError: an argument is wrong.
        SourceError: from a step of the iterator.

    Cancellation:
        Leaving the block, by whatever road, cancels its requests at once.
    """
    _check_open(intercom)
    flow = Flow(format_of_compression(compression), consumers, queue_pages)
    send, receive = anyio.create_memory_object_stream[bytes](0)
    chunks = Chunks(receive)

    async def fill() -> None:
        async with send:
            try:
                await _Run(intercom, ignore, None).into(_Channel(send), flow)
                chunks.ending = StopAsyncIteration()
            except Exception as failure:  # noqa: BLE001 - it leaves by the iterator, where the caller waits for it
                chunks.ending = failure

    # A bare task, not a task group: the block may be left in another task than it was entered in,
    # when it stands in a generator that was dropped.
    task = asyncio.create_task(fill())
    intercom.adopt(task)
    try:
        with receive, send:  # also when the task is cancelled before its first step
            yield chunks
    finally:
        with anyio.CancelScope(shield=True):
            await cancel_and_wait(task)


def _check_open(intercom: Intercom) -> None:
    if not intercom.is_open:
        raise ConfigError("this Intercom is closed: use it inside its 'async with' block")


def _utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
