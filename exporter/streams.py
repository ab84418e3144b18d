"""`stream`: a workspace as chunks of NDJSON or CSV, for a web response or another process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self, TypeAlias, Unpack

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from exporter.destination.base import Destination
from exporter.errors import ConfigError
from exporter.formats.encoder import Encoder
from exporter.formats.registry import format_for_stream
from exporter.job import Job, encoder_of
from exporter.layout.summary import Summary
from exporter.model import Frame, prepend_header
from exporter.observe.events import Observer, null_observer
from exporter.options import ExportOptions, StreamKeywords
from exporter.ranges.job import RangesJob
from exporter.source.intercom import Intercom, check_open
from exporter.tasks import cancel_and_wait
from exporter.validation import AsyncBlock


class _ChunkDestination(Destination):
    """A destination that passes each frame to the consumer of a stream."""

    def __init__(self, send: MemoryObjectSendStream[bytes]) -> None:
        self._send = send
        self._header: Frame | None = None

    def use_encoder(self, encoder: Encoder) -> None:
        self._header = encoder.header

    async def append(self, frame: Frame) -> Frame:
        if self._header and frame.contacts:
            frame, self._header = prepend_header(self._header, frame), None
        if frame.content:
            await self._send.send(frame.content)
        return frame

    async def finish(self) -> Summary:
        raise NotImplementedError


class Chunks:
    """The chunks of a `stream`: an asynchronous iterator of bytes, with one chunk per page.

    Attributes:
        ending: the exception that ended the stream: `StopAsyncIteration` after
            the last page, otherwise the error; None until then.
    """

    def __init__(self, receive: MemoryObjectReceiveStream[bytes]) -> None:
        self.ending: Exception | None = None
        self._receive = receive

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._receive.receive()
        except anyio.ClosedResourceError:
            raise ConfigError("this stream is closed: read its chunks inside its 'async with' block") from None
        except anyio.EndOfStream:
            if self.ending is not None:
                raise self.ending from self.ending.__cause__
            raise ConfigError("this stream's Intercom was closed before its end") from None


def stream(
    intercom: Intercom, *, observer: Observer = null_observer, **options: Unpack[StreamKeywords]
) -> AbstractAsyncContextManager[Chunks]:
    """Stream every contact as bytes of NDJSON or CSV, for a web response or another process.

    ::

        async with exporter.stream(intercom, compression="gzip") as chunks:
            async for chunk in chunks:
                await response.write(chunk)

    Args:
        intercom: the workspace, inside its block.
        observer: function that is called with each `Event`, in the event loop; its errors end the stream.
        **options: the fields of `ExportOptions` that matter without files, each as a keyword: ``compression``,
            ``file_format``, ``consumers``, ``queue_pages``, ``selection``, ``expansion``, ``csv_raw``, ``csv_bom``,
            ``records``, ``allow_shortfall``, ``cursors``, ``prove`` and ``settle_s``. With several ``cursors`` the
            pages of all ranges come as they arrive, in no order; then the proof, which the last step of the
            iterator waits for and which can raise a `ContractError`.

    Yields:
        An asynchronous iterator of bytes. With one cursor all chunks together are
        the same bytes as the output of `export`, in API order; with several, the pages
        of one range are in order, and the ranges are mixed. A slow consumer slows the requests.

    Raises:
        ConfigError: an argument is invalid.
        SourceError: the API failed; a step of the iterator raises it.

    Cancellation:
        Leaving the block, for any reason, cancels its requests immediately.
    """
    settings = ExportOptions.of("stream", StreamKeywords, options)

    def create_job() -> _MoveTo:
        check_open(intercom)
        output_format = format_for_stream(settings.compression, settings.file_format)
        encoder = encoder_of(settings, output_format)
        if settings.max_cursors > 1:
            return partial(_move_ranges, RangesJob(intercom, settings, encoder, observer))
        return partial(_move_list, Job(intercom, settings, encoder, observer))

    return _Stream(_open_stream(intercom, create_job))


_MoveTo: TypeAlias = Callable[[Destination], Awaitable[None]]


async def _move_list(job: Job, destination: Destination) -> None:
    destination.use_encoder(await job.prepare())
    await job.move(destination)


async def _move_ranges(job: RangesJob, destination: Destination) -> None:
    await job.move(destination, await job.prepare(destination, None))


class _Stream(AsyncBlock):
    """The ``async with`` block of a stream, which can be entered once."""

    def __init__(self, block: AbstractAsyncContextManager[Chunks]) -> None:
        self._block: AbstractAsyncContextManager[Chunks] | None = block
        self._entered: AbstractAsyncContextManager[Chunks] | None = None

    async def __aenter__(self) -> Chunks:
        block, self._block = self._block, None
        if block is None:
            raise ConfigError("this stream was entered already: call exporter.stream() for each block")
        self._entered = block
        return await block.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        block, self._entered = self._entered, None
        return await block.__aexit__(kind, error, trace) if block else None

    # Hidden from type checkers, which report these mistakes themselves.
    if not TYPE_CHECKING:

        def __aiter__(self) -> NoReturn:
            raise ConfigError("enter a stream to get its chunks: async with exporter.stream(...) as chunks")

        __iter__ = __await__ = __aiter__


@asynccontextmanager
async def _open_stream(intercom: Intercom, create_job: Callable[[], _MoveTo]) -> AsyncIterator[Chunks]:
    move_to = create_job()
    send, receive = anyio.create_memory_object_stream[bytes](0)
    chunks = Chunks(receive)

    async def fill() -> None:
        async with send:
            try:
                async with _ChunkDestination(send) as destination:
                    await move_to(destination)
                chunks.ending = StopAsyncIteration()
            except Exception as failure:  # noqa: BLE001 - the iterator raises it, for the caller
                chunks.ending = failure

    # A plain task instead of a task group: if the block is in a generator that the caller drops,
    # another task than the one that entered the block leaves it.
    task = asyncio.create_task(fill())
    intercom.track_task(task)
    try:
        with receive, send:  # even if the task is cancelled before its first step
            yield chunks
    finally:
        with anyio.CancelScope(shield=True):
            await cancel_and_wait(task)
