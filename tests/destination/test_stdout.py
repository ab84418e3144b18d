"""Standard output: everything, in order, and no waiting for a reader who stopped."""

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
    """Give a frame."""
    return Frame(content, 1, len(content))


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Give a pipe's ends, closed in the end where a test has not."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def reading(descriptor: int, into: bytearray, size: int) -> threading.Thread:
    """Read so many bytes in a thread, a few at a time."""

    def read() -> None:
        while len(into) < size:
            into.extend(os.read(descriptor, 5_003))

    thread = threading.Thread(target=read)
    thread.start()
    return thread


@pytest.mark.parametrize("blocking", [True, False])
async def test_all_bytes_arrive_in_order(pipe: Pipe, blocking: bool) -> None:
    """Frames larger than a pipe arrive whole, also when somebody made the descriptor non-blocking."""
    readable, writable = pipe
    os.set_blocking(writable, blocking)
    frames = [os.urandom(size) for size in (1, 300_000, 0, 70_000)]
    received = bytearray()
    thread = reading(readable, received, 370_001)
    sink = StdoutDestination(SETTINGS, writable)
    for content in frames:
        await sink.append(frame(content))
    await asyncio.to_thread(thread.join)
    assert bytes(received) == b"".join(frames)


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_reader_who_went_away_is_told_apart(pipe: Pipe, blocking: bool) -> None:
    """A broken pipe is a SinkError whose cause says so: the command ends quietly then."""
    readable, writable = pipe
    os.set_blocking(writable, blocking)
    os.close(readable)
    with pytest.raises(SinkError, match="stdout: Broken pipe") as caught:
        await StdoutDestination(SETTINGS, writable).append(frame(b"x"))
    assert isinstance(caught.value.__cause__, BrokenPipeError)
    assert caught.value.path is None


async def test_a_reader_who_goes_away_in_the_middle_is_told_apart(pipe: Pipe) -> None:
    """The same holds for a write that waits when the reader closes."""
    readable, writable = pipe
    os.set_blocking(writable, False)
    received = bytearray()
    thread = reading(readable, received, 10_000)

    async def close() -> None:
        await asyncio.to_thread(thread.join)
        os.close(readable)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close)
        with pytest.raises(SinkError) as caught:
            await StdoutDestination(SETTINGS, writable).append(frame(bytes(10 << 20)))
    assert isinstance(caught.value.__cause__, BrokenPipeError)


async def test_a_full_device_is_a_failure_of_the_destination() -> None:
    """Output redirected to a full disk fails with the system's reason."""
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


async def test_a_closed_descriptor_is_a_failure_of_the_destination(pipe: Pipe) -> None:
    """Output that was closed before we began fails like any other."""
    os.close(pipe[1])
    with pytest.raises(SinkError, match="Bad file descriptor"):
        await StdoutDestination(SETTINGS, pipe[1]).append(frame(b"x"))


@pytest.mark.parametrize("blocking", [True, False])
async def test_cancelling_does_not_wait_for_a_stalled_reader(pipe: Pipe, blocking: bool) -> None:
    """A write that nobody reads is left behind when it is cancelled."""
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
    await asyncio.to_thread(reading(readable, bytearray(), 1 << 20).join)
