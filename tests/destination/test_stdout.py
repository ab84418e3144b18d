"""The stdout destination writes all bytes in order, and does not wait for a stalled reader."""

import asyncio
import os
import threading
from collections.abc import Iterator

import anyio
import pytest

from exporter import SinkError
from exporter.destination.stdout import StdoutDestination
from exporter.model import Frame
from tests.support.outputs import SETTINGS

Pipe = tuple[int, int]


def frame(content: bytes) -> Frame:
    """Return a frame."""
    return Frame(content, 1, len(content))


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return a pipe's ends, and close those that a test leaves open."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def start_reader(descriptor: int, into: bytearray, size: int) -> threading.Thread:
    """Read this many bytes in a thread, a few at a time."""

    def read() -> None:
        while len(into) < size:
            into.extend(os.read(descriptor, 5_003))

    thread = threading.Thread(target=read)
    thread.start()
    return thread


@pytest.mark.parametrize("blocking", [True, False])
async def test_stdout_writes_all_bytes_in_order(pipe: Pipe, blocking: bool) -> None:
    """Frames larger than a pipe arrive complete, also through a non-blocking descriptor."""
    readable, writable = pipe
    os.set_blocking(writable, blocking)
    frames = [os.urandom(size) for size in (1, 300_000, 0, 70_000)]
    received = bytearray()
    thread = start_reader(readable, received, 370_001)
    sink = StdoutDestination(SETTINGS, writable)
    for content in frames:
        await sink.append(frame(content))
    await asyncio.to_thread(thread.join)
    assert bytes(received) == b"".join(frames)


@pytest.mark.parametrize("blocking", [True, False])
async def test_stdout_with_closed_reader_raises_sink_error_from_broken_pipe(pipe: Pipe, blocking: bool) -> None:
    """The cause is a BrokenPipeError, so that the command can end quietly."""
    readable, writable = pipe
    os.set_blocking(writable, blocking)
    os.close(readable)
    with pytest.raises(SinkError, match="stdout: Broken pipe") as caught:
        await StdoutDestination(SETTINGS, writable).append(frame(b"x"))
    assert isinstance(caught.value.__cause__, BrokenPipeError)
    assert caught.value.path is None


async def test_stdout_with_reader_closed_during_write_raises_sink_error(pipe: Pipe) -> None:
    """Same as above, for a write that waits when the reader closes."""
    readable, writable = pipe
    os.set_blocking(writable, False)
    received = bytearray()
    thread = start_reader(readable, received, 10_000)

    async def close() -> None:
        await asyncio.to_thread(thread.join)
        os.close(readable)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close)
        with pytest.raises(SinkError) as caught:
            await StdoutDestination(SETTINGS, writable).append(frame(bytes(10 << 20)))
    assert isinstance(caught.value.__cause__, BrokenPipeError)


async def test_stdout_on_full_device_raises_sink_error() -> None:
    """The error has the system's reason."""
    try:
        full = os.open("/dev/full", os.O_WRONLY)
    except FileNotFoundError:
        pytest.skip("needs /dev/full")
    try:
        with pytest.raises(SinkError, match="stdout: No space left on device") as caught:
            await StdoutDestination(SETTINGS, full).append(frame(b"x"))
    finally:
        os.close(full)
    assert not isinstance(caught.value.__cause__, BrokenPipeError)


async def test_stdout_with_closed_descriptor_raises_sink_error(pipe: Pipe) -> None:
    """The descriptor is closed before the first write."""
    os.close(pipe[1])
    with pytest.raises(SinkError, match="Bad file descriptor"):
        await StdoutDestination(SETTINGS, pipe[1]).append(frame(b"x"))


@pytest.mark.parametrize("blocking", [True, False])
async def test_stdout_append_cancelled_does_not_wait_for_stalled_reader(pipe: Pipe, blocking: bool) -> None:
    """The thread of the write is left behind."""
    readable, writable = pipe
    os.set_blocking(writable, blocking)
    begun = asyncio.Event()
    asyncio.get_running_loop().add_reader(readable, begun.set)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(StdoutDestination(SETTINGS, writable).append, frame(bytes(1 << 20)))
        await begun.wait()
        asyncio.get_running_loop().remove_reader(readable)
        tasks.cancel_scope.cancel()
    # The thread left behind holds the descriptor: let it finish before the pipe is closed.
    await asyncio.to_thread(start_reader(readable, bytearray(), 1 << 20).join)
