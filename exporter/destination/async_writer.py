"""Files as a destination: the asynchronous side of an `Output`. It never leaves a write half done."""

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TypeVar

import anyio
import anyio.lowlevel

from exporter.destination.base import Capabilities, Contents, Destination, State
from exporter.destination.disk_thread import DiskThread
from exporter.destination.free_space import NoSpaceError
from exporter.destination.local import Output
from exporter.errors import CheckpointError, SinkError
from exporter.formats.encoder import Encoder
from exporter.formats.facts import BY_NAME
from exporter.layout.atomic import os_errors_as_sink_errors
from exporter.layout.checkpoint import JobProgress
from exporter.layout.disk_limits import record_in
from exporter.layout.read_back import read_back
from exporter.model import Frame, Summary, prepend_header
from exporter.observe.events import Committed, DiskLimited, Observer

T = TypeVar("T")
COMMIT_BYTES = 64_000_000
_DONE = object()


class FileDestination(Destination):
    """Writes frames to an `Output`.

    The checkpoint stays as it is before `start`; after that, leaving the block
    by an exception commits what is written.

    Args:
        output: the output itself.
        observer: notified of each commit, and of what the disk cannot do.
        clock: seconds, for the commits.

    Raises:
        ConfigError, CheckpointError, SinkError: from `open`; see `Output.open`.

    Cancellation:
        A write or commit that has begun is finished first; then what is
        written is committed.
    """

    def __init__(self, output: Output, observer: Observer, clock: Callable[[], float] = anyio.current_time) -> None:
        self._output = output
        self.checkpoint, self.scratch_folder = output.paths.checkpoint, output.paths.folder
        # Rows of CSV cannot be read back as contacts.
        self.capabilities = Capabilities(resumes=True, reads_back=not BY_NAME[output.settings.format].has_rows)
        self._observer = observer
        self._header = Frame(b"", 0, 0)
        self._clock = clock
        self._uncommitted_bytes = 0
        self._committed_at = clock()
        self._failed = False
        self._limits: set[str] = set()
        self._thread = DiskThread(partial(record_in, self._limits))
        self._limits_reported: set[str] = set()
        self._thread_lock = anyio.Lock(fast_acquire=True)  # without a turn of the event loop for each page
        self._dirty = anyio.Event()  # since the latest commit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # After a failure of the disk nothing that it said before can be relied on.
            if error is not None and self._state is not None and not self._failed:
                with suppress(Exception):  # what ended the block is what counts, and the checkpoint before is good
                    await self.commit()
        finally:
            with os_errors_as_sink_errors(self._output.paths.path):
                await self._thread.end(self._output.close)

    async def open(self) -> Contents:
        """Take the output for this process, and find out what is there."""
        await self._run_steps(self._output.open())
        return self._output.finished or (self._output.resumed.figures if self._output.resumed else None)

    async def start(self, state: State) -> None:
        """Commit for the first time: from that moment a run counts, and its settings are on record."""
        self._state = state
        await self.commit()

    def use_encoder(self, encoder: Encoder) -> None:
        """Take the header of each file, and what makes the files of a format that has to be converted."""
        self._header = encoder.header
        self._output.open_writer = encoder.converter

    def check_free_space(self, needed: int = 0) -> None:
        """Check that a temporary file beside the output leaves the minimum of free space."""
        self._output.free_space.check(needed)

    def read_back(self) -> Iterator[list[bytes]]:
        """Yield all contacts that are written, some at a time. Blocks; not of CSV."""
        return read_back(self._output.paths, has_part=self._output.part is not None)

    async def append(self, frame: Frame) -> Frame:
        """Write a frame at the end, in a new part if it has no room in this one.

        Returns:
            What was written: the frame, behind what opens a file where it is the first of one.

        Cancellation:
            Once begun it is finished; but making a file of a full journal is not waited for, and done again later.
        """
        if not frame.content:
            return frame
        async with self._thread_lock:
            if not self._output.has_room(frame):
                await self._rotate()
            if frame.contacts and self._output.at_file_start:
                frame = prepend_header(self._header, frame)
            await self._run_in_thread(partial(self._output.append, frame))
            self._uncommitted_bytes += len(frame.content)
            self._dirty.set()
        # Another task gets the turn only after the caller has counted the frame: nothing is awaited until then.
        return frame

    async def commit_if_due(self) -> None:
        """Commit, if the latest time is a while ago or much has been written since."""
        if (
            self._uncommitted_bytes >= COMMIT_BYTES
            or self._clock() - self._committed_at >= self._output.options.checkpoint_every_s
        ):
            await self.commit()

    async def commit(self) -> None:
        """Commit what is written.

        Durability:
            When this returns it is on disk, and so is the checkpoint that says so.
        """
        with anyio.CancelScope(shield=True):
            async with self._thread_lock:
                if not self._failed:  # while this one waited: after that nothing on the disk can be relied on
                    await self._commit_with(self._output.commit)

    async def commit_periodically(self) -> None:
        """Commit what is written when it is time, for as long as no page comes; to be cancelled at the end."""
        every_s = self._output.options.checkpoint_every_s
        while every_s:  # else each page commits
            await self._dirty.wait()
            await anyio.sleep(max(self._committed_at + every_s - self._clock(), every_s / 10))
            await self.commit_if_due()

    async def finish(self) -> Summary:
        """Give the output its names, and put its manifest there.

        Cancellation:
            Finished first, once begun; but making a file of a journal may be cancelled, and is done again later.

        Durability:
            All files and the manifest are on disk when this returns; the
            checkpoint is gone.
        """
        state, figures = self.state, self.state.progress()
        if self._output.open_writer and self._output.has_open_part:  # that takes a while, and may be cancelled
            async with self._thread_lock:
                await self._run_steps(self._output.rotate(figures))
        settings = self._output.settings
        return await self._run_in_thread(
            lambda: self._output.finish(figures, lambda files: state.summary(settings, files))
        )

    async def _rotate(self) -> None:
        """Finish a part. Where a file is made of it that takes a while: a cancellation leaves it as it was before."""
        figures = self.state.progress()
        await self._run_steps(self._output.rotate(figures))
        await self._after_commit(figures)

    async def _commit_with(self, work: Callable[[JobProgress], None]) -> None:
        """Commit, and notify the observer."""
        figures = self.state.progress()  # here, and not in the thread: requests continue in the meantime
        await self._run_in_thread(partial(work, figures))
        await self._after_commit(figures)

    async def _after_commit(self, figures: JobProgress) -> None:
        self._uncommitted_bytes, self._committed_at = 0, self._clock()
        if self._dirty.is_set():  # else somebody may be waiting for it
            self._dirty = anyio.Event()
        if figures.position.pages:
            self._observer(Committed(figures.position))
        if limits := tuple(sorted(self._limits - self._limits_reported)):
            self._limits_reported |= self._limits
            self._observer(DiskLimited(limits))

    async def _run_steps(self, steps: Generator[None]) -> None:
        """Do work that a cancellation may end between two pieces of it; then it lets go of what it holds."""
        try:
            while await self._run_in_thread(lambda: next(steps, _DONE)) is not _DONE:
                await anyio.lowlevel.checkpoint()
        finally:
            await self._run_in_thread(steps.close)

    async def _run_in_thread(self, work: Callable[[], T]) -> T:
        """Do some of the output's work in a thread, to its end."""
        with self._translating_errors():
            return await self._thread.run(work)

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        """Translate failures of the disk, and remember that there was one, or that it is not known how work ended."""
        try:
            with os_errors_as_sink_errors(self._output.paths.path):
                yield
        except NoSpaceError:  # the disk is well: what was written can be committed
            raise
        except (SinkError, CheckpointError, asyncio.CancelledError):
            self._failed = True
            raise
