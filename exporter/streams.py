"""`stream`: a workspace as chunks of NDJSON, for somebody's web response or another process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self, Unpack

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from exporter.destination.base import Destination
from exporter.errors import ConfigError
from exporter.formats.encoder import Encoder
from exporter.formats.registry import format_for_stream
from exporter.job import Job, encoder_of
from exporter.model import Frame, Summary, prepend_header
from exporter.observe.events import Observer, null_observer
from exporter.options import ExportOptions, StreamKeywords
from exporter.source.intercom import Intercom, check_open
from exporter.tasks import cancel_and_wait
from exporter.validation import AsyncBlock


class _ChunkDestination(Destination):
    """Hands each frame to the task that takes the chunks of a stream."""

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
    """The chunks of a `stream`: an asynchronous iterator of bytes, one chunk a page.

    Attributes:
        ending: what ended them, once there are no more: `StopAsyncIteration`
            after the last page, else the failure.
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
            raise ConfigError("this stream is closed: take its chunks inside its 'async with' block") from None
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
        observer: called with each `Event`, from the event loop; what it raises ends the stream.
        **options: the fields of `ExportOptions` that matter without files, each as a keyword: ``compression``,
            ``file_format``, ``consumers``, ``queue_pages``, ``selection``, ``expansion``, ``csv_raw``, ``csv_bom``,
            ``records`` and ``allow_shortfall``.

    Yields:
        An asynchronous iterator of bytes, in API order. Together they are
        what `export` writes. Whoever takes them slowly slows the requests down.

    Raises:
        ConfigError: an argument is wrong.
        SourceError: from a step of the iterator.

    Cancellation:
        Leaving the block, by whatever road, cancels its requests at once.
    """
    settings = ExportOptions.of("stream", StreamKeywords, options)

    def begin() -> Job:
        check_open(intercom)
        output_format = format_for_stream(settings.compression, settings.file_format)
        return Job(intercom, settings, encoder_of(settings, output_format), observer)

    return _Stream(_opened(intercom, begin))


class _Stream(AsyncBlock):
    """The block of a stream."""

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

    # Hidden from type checkers, which have sentences of their own for these.
    if not TYPE_CHECKING:

        def __aiter__(self) -> NoReturn:
            raise ConfigError("a stream has its chunks in its block: async with exporter.stream(...) as chunks")

        __iter__ = __await__ = __aiter__


@asynccontextmanager
async def _opened(intercom: Intercom, begin: Callable[[], Job]) -> AsyncIterator[Chunks]:
    job = begin()
    send, receive = anyio.create_memory_object_stream[bytes](0)
    chunks = Chunks(receive)

    async def fill() -> None:
        async with send:
            try:
                channel = _ChunkDestination(send)
                channel.use_encoder(await job.prepare())
                await job.move(channel)
                chunks.ending = StopAsyncIteration()
            except Exception as failure:  # noqa: BLE001 - it leaves by the iterator, where the caller waits for it
                chunks.ending = failure

    # A bare task, not a task group: the block may be left in another task than it was entered in,
    # when it stands in a generator that was dropped.
    task = asyncio.create_task(fill())
    intercom.track_task(task)
    try:
        with receive, send:  # also when the task is cancelled before its first step
            yield chunks
    finally:
        with anyio.CancelScope(shield=True):
            await cancel_and_wait(task)
