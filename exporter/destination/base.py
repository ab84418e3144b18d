"""What a job writes to: the interface of every destination."""

# ruff: noqa: B027 - what a destination need not do is done by nothing

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from exporter.formats.encoder import Encoder
from exporter.layout.checkpoint import JobProgress, OutputSettings
from exporter.model import FileSummary, Frame, Summary

Contents = Summary | JobProgress | None
"""What a destination holds: a finished export, the figures of an unfinished one, or none."""


class State(Protocol):
    """What a job has written, the latest frame included."""

    def progress(self) -> JobProgress:
        """Return it for a checkpoint."""

    def summary(self, settings: OutputSettings, files: tuple[FileSummary, ...] = ()) -> Summary:
        """Sum it up."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a destination can do.

    Attributes:
        resumes: whether it keeps a checkpoint, from which another run resumes.
        reads_back: whether contacts of earlier runs can be read from it.
    """

    resumes: bool = False
    reads_back: bool = False


class Destination(ABC):
    """Takes frames in order, as an asynchronous context manager.

    The calls come in this order: `open`; then, unless that found a finished
    export, `start`, `use_encoder`, `append` and `commit` in turns, `finish`.
    Leaving the block closes it; after `start`, leaving it by an exception
    commits what is written.

    Attributes:
        capabilities: what it can do.
        checkpoint: the file of its checkpoint, None where it has none.
        scratch_folder: where temporary files of the job may be; None for the system's folder for them.
    """

    capabilities = Capabilities()
    _state: State | None = None
    checkpoint: Path | None = None
    scratch_folder: Path | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""

    async def open(self) -> Contents:
        """Take it for this process, and find out what it holds.

        Raises:
            ConfigError: something else is there.
            CheckpointError: what is there cannot be resumed.
            SinkError: another process has it, or it cannot be used.
        """
        return None

    async def start(self, state: State) -> None:
        """Take the state of the job, which is read for each commit, and commit it for the first time."""
        self._state = state

    @property
    def state(self) -> State:
        """The state of the job, once it is started."""
        if self._state is None:
            raise RuntimeError("a destination is started before it is written to")
        return self._state

    def use_encoder(self, encoder: Encoder) -> None:
        """Take what makes the files' headers; before the first frame."""

    @abstractmethod
    async def append(self, frame: Frame) -> Frame:
        """Write a frame at the end.

        Returns:
            What was written: the frame, behind the header where it is the first of a file.

        Raises:
            SinkError: it cannot be written.
        """

    async def commit(self) -> None:
        """Commit what is written, so that another run can resume there; only where it `resumes`."""

    async def commit_if_due(self) -> None:
        """Commit, if the latest commit is a while ago or much has been written since."""

    async def commit_periodically(self) -> None:
        """Commit what is written when it is time, for as long as no frame comes; to be cancelled at the end."""

    @abstractmethod
    async def finish(self) -> Summary:
        """Finish the output and return the summary of the job.

        Durability:
            Where it resumes, all of it is on disk when this returns.
        """

    def check_free_space(self, needed: int = 0) -> None:
        """Check that a temporary file in `scratch_folder` leaves enough free space.

        Raises:
            SinkError: it does not.
        """

    def read_back(self) -> Iterator[list[bytes]]:
        """Yield all contacts that are written, some at a time. Blocks; only where it `reads_back`.

        Raises:
            OSError: they cannot be read to their end.
        """
        raise NotImplementedError
