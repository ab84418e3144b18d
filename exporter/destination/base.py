"""The interface of every destination: of the place to which a job writes."""

# ruff: noqa: B027 - the optional methods do nothing by default

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import anyio

from exporter.destination.key_spool import KeySpool
from exporter.formats.encoder import Encoder
from exporter.layout.checkpoint import JobProgress
from exporter.layout.settings import OutputSettings
from exporter.layout.summary import FileSummary, Summary
from exporter.model import Frame

ExistingExport = Summary | JobProgress | None
"""The export that a destination already holds: the summary of a finished one, the progress of an unfinished one, or
None."""


class State(Protocol):
    """The state of a job; it covers every frame that the job has written."""

    def progress(self) -> JobProgress:
        """Return the progress of the job, for a checkpoint."""

    def summary(self, settings: OutputSettings, files: tuple[FileSummary, ...] = ()) -> Summary:
        """Return the summary of the job, for a manifest."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of a destination.

    Attributes:
        resumes: whether the destination keeps a checkpoint, from which a later run can resume.
        reads_back: whether the contacts that earlier runs wrote can be read from the destination.
    """

    resumes: bool = False
    reads_back: bool = False


class Destination(ABC):
    """A destination of frames: an asynchronous context manager that writes them in order.

    The caller uses the methods in this order: `open`; `start`; `use_encoder`;
    then `append` and `commit` any number of times; `finish`. If `open` returns a
    finished export, the caller calls nothing else. The end of the block closes
    the destination. If an exception leaves the block after `start`, the
    destination first commits the frames that were appended.

    Attributes:
        capabilities: the capabilities of this destination.
        checkpoint: path of the checkpoint file, None if the destination has none.
        scratch_folder: folder for the job's temporary files; None for the system's temporary folder.
    """

    capabilities = Capabilities()
    _state: State | None = None
    _append_lock: anyio.Lock | None = None
    _keys: KeySpool | None = None
    checkpoint: Path | None = None
    scratch_folder: Path | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the destination."""
        if self._keys is not None:
            self._keys.close()

    async def open(self) -> ExistingExport:
        """Lock the destination for this process and return the export that it already holds.

        Raises:
            ConfigError: the path holds something other than an export.
            CheckpointError: the existing export cannot be resumed.
            SinkError: another process has locked the destination, or it cannot be used.
        """
        return None

    async def start(self, state: State) -> None:
        """Commit for the first time.

        Args:
            state: the state of the job; every commit reads it.
        """
        self._state = state

    @property
    def state(self) -> State:
        """The state of the job; available after `start`."""
        if self._state is None:
            raise RuntimeError("call start() before writing to a destination")
        return self._state

    def use_encoder(self, encoder: Encoder) -> None:
        """Use an encoder's header for the files. The caller calls this before it appends the first frame."""

    @abstractmethod
    async def append(self, frame: Frame) -> Frame:
        """Write a frame at the end.

        Returns:
            The frame as it was written: with the header in front if it is the first frame of a file.

        Raises:
            SinkError: the frame cannot be written.
        """

    async def commit(self) -> None:
        """Commit the appended frames, so that a later run can resume from here; only if the destination `resumes`."""

    async def commit_if_due(self) -> None:
        """Commit if the latest commit is old enough or enough bytes were written since then."""

    async def commit_periodically(self) -> None:
        """Commit when a commit is due, also while no frame arrives. Runs until the caller cancels it."""

    @abstractmethod
    async def finish(self) -> Summary:
        """Finish the output and return the summary of the job.

        Durability:
            If the destination `resumes`, the complete output is on disk when this returns.
        """

    async def append_to(self, track: str, frame: Frame, keys: bytes) -> Frame:  # noqa: ARG002 - for those with files
        """Write a frame at the end of a track; tasks may call it at the same time for different tracks.

        A destination without files writes the frames one after another, in the order of the calls.

        Args:
            track: the range, or other track, that the frame belongs to.
            frame: the frame.
            keys: block of the keys of its contacts, for `key_chunks`.

        Returns:
            The frame as it was written.

        Raises:
            SinkError: the frame cannot be written.
        """
        if self._append_lock is None or self._keys is None:
            self._append_lock, self._keys = anyio.Lock(), KeySpool()
        async with self._append_lock:
            await self._keys.add(keys)
            return await self.append(frame)

    async def save_plan(self, content: bytes) -> None:
        """Keep the plan of a new export, and prepare for several tracks, before `start`.

        Args:
            content: the plan.

        Durability:
            If the destination `resumes`, the plan is on disk when this returns.
        """

    def read_plan(self) -> bytes:
        """Return the plan of the export that the destination holds. Blocks.

        Raises:
            OSError: it cannot be read.
        """
        raise NotImplementedError

    async def finish_track(self, track: str) -> None:
        """Finish the last file of a track. The next commit covers it."""

    async def discard_track(self, track: str, forget: Callable[[], None]) -> None:
        """Discard everything that a track has written; only if the destination `resumes`.

        Args:
            track: name of the track.
            forget: removes the track from the state of the job. It is called when no commit is running: a commit
                between the two would not list files that are still there.

        Durability:
            When this returns, the files are removed and the checkpoint does not list them. A run that dies before
            the checkpoint is saved leaves the track as it was; after that, the track starts over.
        """
        raise NotImplementedError

    def key_chunks(self) -> Iterator[bytes]:
        """Yield the blocks of keys that were appended in all runs, in chunks. Blocks."""
        yield from self._keys.chunks() if self._keys is not None else ()

    def check_free_space(self, needed: int = 0) -> None:
        """Check that a temporary file in `scratch_folder` leaves enough free space.

        Args:
            needed: size of the file in bytes.

        Raises:
            SinkError: the file would leave too little free space.
        """

    def read_back(self) -> Iterator[list[bytes]]:
        """Yield all contacts that were written, in batches. Blocks; only if the destination `reads_back`.

        Raises:
            OSError: a file cannot be read to its end.
        """
        raise NotImplementedError
