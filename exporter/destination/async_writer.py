"""Files as a destination: the asynchronous interface of an `Output`. A cancellation never leaves a partial write."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TypeVar

import anyio
import anyio.lowlevel

from exporter.destination.base import Capabilities, Destination, ExistingExport, State
from exporter.destination.disk_thread import DiskThread
from exporter.destination.folder import FolderOutput
from exporter.destination.free_space import NoSpaceError
from exporter.destination.local import Output
from exporter.destination.range_files import RangeFiles
from exporter.errors import CheckpointError, SinkError
from exporter.formats.encoder import Encoder
from exporter.formats.facts import BY_NAME
from exporter.layout.atomic import os_errors_as_sink_errors
from exporter.layout.checkpoint import JobProgress
from exporter.layout.disk_limits import record_in
from exporter.layout.read_back import read_back
from exporter.layout.summary import Summary
from exporter.model import Frame, prepend_header
from exporter.observe.events import Committed, DiskLimited, Observer

T = TypeVar("T")
COMMIT_BYTES = 64_000_000
_DONE = object()


class FileDestination(Destination):
    """A destination that writes frames to an `Output`.

    Before `start` the checkpoint does not change. After it, an exception that
    leaves the block commits the written frames.

    Args:
        output: the files and their checkpoint.
        observer: notified of each commit, and of operations that the file system does not support.
        clock: returns the current time in seconds; decides when a commit is due.

    Raises:
        ConfigError, CheckpointError, SinkError: from `open`; see `Output.open`.

    Cancellation:
        First the running write or commit ends; then the written frames are committed.
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
        self._failure: SinkError | CheckpointError | None = None
        self._limits: set[str] = set()
        self._thread = DiskThread(partial(record_in, self._limits))
        self._limits_reported: set[str] = set()
        self._thread_lock = anyio.Lock(fast_acquire=True)  # saves a switch to the event loop for each page
        self._dirty = anyio.Event()  # set if frames were appended since the latest commit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # After the disk has failed, its earlier writes cannot be trusted: a new checkpoint could be wrong.
            if error is not None and self._state is not None and not self._failed:
                with suppress(Exception):  # the caller needs the first error, and the last checkpoint is still valid
                    await self.commit()
        finally:
            with os_errors_as_sink_errors(self._output.paths.path):
                await self._thread.end(self._output.close)

    async def open(self) -> ExistingExport:
        """Lock the output for this process and return the export that it already holds."""
        await self._run_steps(self._output.open())
        return self._output.finished or (self._output.resumed.figures if self._output.resumed else None)

    async def start(self, state: State) -> None:
        """Commit for the first time: from now on the checkpoint contains this run and its settings."""
        self._state = state
        await self.commit()

    def use_encoder(self, encoder: Encoder) -> None:
        """Use the encoder's header for each file, and its converter for formats such as Parquet."""
        self._header = encoder.header
        self._output.open_writer = encoder.converter

    def check_free_space(self, needed: int = 0) -> None:
        """Check that a temporary file of `needed` bytes beside the output leaves the minimum of free space."""
        self._output.free_space.check(needed)

    def read_back(self) -> Iterator[list[bytes]]:
        """Yield all contacts that were written, in batches. Blocks; not for CSV."""
        return read_back(self._output.paths, has_part=self._output.part is not None)

    async def append(self, frame: Frame) -> Frame:
        """Write a frame at the end, in a new part if it does not fit into the current one.

        Returns:
            The frame as it was written: with the header in front if it is the first frame of a file.

        Cancellation:
            Waits for a write that has started. Aborts the conversion of a full journal; a later run repeats it.
        """
        return await self.append_to("", frame, b"")

    async def append_to(self, track: str, frame: Frame, keys: bytes) -> Frame:
        """Write a frame at the end of a track, in a new part if it does not fit into the current one.

        Returns, Cancellation:
            As for `append`.
        """
        if not frame.content:
            return frame
        async with self._working():
            if not self._output.has_room(frame, track):
                await self._rotate(track)
            if frame.contacts and self._output.at_file_start(track):
                frame = prepend_header(self._header, frame)
            await self._run_in_thread(partial(self._output.append, frame, track, keys))
            self._uncommitted_bytes += len(frame.content)
            self._dirty.set()
        # There is no await from here until the caller has counted the frame, so no other task can commit before that.
        return frame

    async def commit_if_due(self) -> None:
        """Commit if `checkpoint_every_s` has passed since the latest commit, or 64 MB were written since then.

        One commit covers all tracks. If another task has committed in the meantime, none is due any more.
        """
        if self._is_commit_due():
            await self._commit_if(self._is_commit_due)

    def _is_commit_due(self) -> bool:
        passed_s = self._clock() - self._committed_at
        return self._uncommitted_bytes >= COMMIT_BYTES or passed_s >= self._output.options.checkpoint_every_s

    async def commit(self) -> None:
        """Commit the appended frames.

        Durability:
            The frames and the checkpoint that covers them are on disk when this returns. After a failure of the
            disk nothing is committed: the task that noticed it raises the error.
        """
        await self._commit_if(lambda: True)

    async def _commit_if(self, is_needed: Callable[[], bool]) -> None:
        """Commit if that is still needed when no other task works with the files."""
        with anyio.CancelScope(shield=True):
            async with self._thread_lock:
                if not self._failed and is_needed():  # the disk may have failed while this task waited
                    await self._commit_with(self._output.commit)

    async def commit_periodically(self) -> None:
        """Commit when a commit is due, also while no page arrives. Runs until the caller cancels it."""
        every_s = self._output.options.checkpoint_every_s
        while every_s:  # with 0, `commit_if_due` commits after each page
            await self._dirty.wait()
            await anyio.sleep(max(self._committed_at + every_s - self._clock(), every_s / 10))
            await self.commit_if_due()

    async def finish(self) -> Summary:
        """Rename the last part to its final name and write the manifest.

        Returns:
            The summary of the export.

        Cancellation:
            Aborts the conversion of a journal; a later run repeats it. Waits for all other work that has started.

        Durability:
            All files and the manifest are on disk when this returns; the
            checkpoint is removed.
        """
        state, progress = self.state, self.state.progress()
        if self._output.open_writer and self._output.has_open_part:  # a conversion takes long: it can be cancelled
            async with self._thread_lock:
                await self._run_steps(self._output.rotate(progress))
        settings = self._output.settings
        return await self._run_in_thread(
            lambda: self._output.finish(progress, lambda files: state.summary(settings, files))
        )

    async def save_plan(self, content: bytes) -> None:
        """Write the plan of a new export, and prepare for several tracks."""
        await self._run_in_thread(lambda: self._folder.save_plan(content))

    def read_plan(self) -> bytes:
        """Return the plan of the export in the folder. Blocks."""
        return self._output.paths.plan.read_bytes()

    async def finish_track(self, track: str) -> None:
        """Finish the last file of a track. The next commit covers it.

        Cancellation:
            As for `append`.
        """
        async with self._working():
            await self._run_steps(self._ranges.finish_part(track))

    async def discard_track(self, track: str, forget: Callable[[], None]) -> None:
        """Discard everything that a track has written.

        Cancellation:
            Waits for the work that has started.
        """
        with anyio.CancelScope(shield=True):
            async with self._working():
                forget()
                await self._commit_with(lambda progress: self._folder.discard_track(track, progress))

    def key_chunks(self) -> Iterator[bytes]:
        """Yield the blocks of keys that were appended in all runs, in chunks. Blocks."""
        return self._ranges.key_chunks()

    @property
    def _folder(self) -> FolderOutput:
        if not isinstance(self._output, FolderOutput):
            raise TypeError("several cursors need a folder")
        return self._output

    @property
    def _ranges(self) -> RangeFiles:
        ranges = self._folder.ranges
        if ranges is None:
            raise RuntimeError("call save_plan() first")
        return ranges

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        """Wait until no other task works with the files. After the disk has failed, nothing more is written."""
        async with self._thread_lock:
            if self._failure:  # of another task, perhaps
                raise self._failure
            yield

    async def _rotate(self, track: str) -> None:
        """Finish a part. A cancellation during its conversion leaves the journal and the checkpoint unchanged."""
        progress = self.state.progress()
        await self._run_steps(self._output.rotate(progress, track))
        if not track:  # the parts of ranges are committed together
            await self._after_commit(progress)

    async def _commit_with(self, work: Callable[[JobProgress], None]) -> None:
        """Commit with `work`, then notify the observer."""
        progress = self.state.progress()  # not in the thread: the event loop changes the state in the meantime
        await self._run_in_thread(partial(work, progress))
        await self._after_commit(progress)

    async def _after_commit(self, progress: JobProgress) -> None:
        self._uncommitted_bytes, self._committed_at = 0, self._clock()
        if self._dirty.is_set():  # an event that is not set stays: `commit_periodically` may wait for it
            self._dirty = anyio.Event()
        if progress.position.pages:
            self._observer(Committed(progress.position))
        if limits := tuple(sorted(self._limits - self._limits_reported)):
            self._limits_reported |= self._limits
            self._observer(DiskLimited(limits))

    async def _run_steps(self, steps: Generator[None]) -> None:
        """Run each step of a generator in the thread. A cancellation between two steps closes the generator."""
        try:
            while await self._run_in_thread(lambda: next(steps, _DONE)) is not _DONE:
                await anyio.lowlevel.checkpoint()
        finally:
            await self._run_in_thread(steps.close)

    async def _run_in_thread(self, work: Callable[[], T]) -> T:
        """Run a function of the output in the thread and wait for its end."""
        with self._translating_errors():
            return await self._thread.run(work)

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        """Translate errors of the disk. Record that the disk failed or that the result of the work is unknown."""
        try:
            with os_errors_as_sink_errors(self._output.paths.path):
                yield
        except NoSpaceError:  # the disk has not failed: the written frames can still be committed
            raise
        except (SinkError, CheckpointError) as exc:
            self._failed, self._failure = True, self._failure or exc
            raise
        except asyncio.CancelledError:  # the result of the work is unknown
            self._failed = True
            raise
