"""An output that survives whatever dies: data first, then the checkpoint that speaks of it, names and manifest last.

The order of operations is the whole of it:

1. a frame is appended to the part;
2. `Output.commit`: the part is brought to the disk, then the checkpoint is
   replaced by one that speaks of it;
3. `Output.rotate`, when a part is full: a checkpoint says that it is finished,
   then it gets its name. Whoever finds that checkpoint gives the name again.
   Of Parquet the part is a journal: first a file is made of it beside it, and
   the journal goes once that file has its name;
4. `Output.finish`: the last part likewise, then the manifest, and only then
   the checkpoint goes.

A run that finds a checkpoint checks the committed bytes, cuts off what is
behind them, and resumes there.
"""

from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path

from exporter.destination.conversion import Conversion, OpenWriter
from exporter.destination.free_space import FreeSpace
from exporter.destination.lock import check_unlocked, lock_output, open_locked, release
from exporter.destination.part import Part, cannot_resume, check_length
from exporter.destination.preconditions import find_existing, make_folder
from exporter.destination.publishing import adopt_old_names, publish, remove_old_export
from exporter.errors import CheckpointError, ConfigError, SinkError
from exporter.layout.atomic import open_private, remove, replace_durably, sync_folder, write_temporary
from exporter.layout.checkpoint import Checkpoint, JobProgress, OutputSettings, save_checkpoint
from exporter.layout.manifest import encode_manifest
from exporter.layout.paths import OutputPaths
from exporter.model import FileSummary, Frame, Summary
from exporter.options import ExportOptions

MAX_PARTS = 100_000
"""More would make each checkpoint take seconds: it names every part."""

_SMALL_FILES_BYTES = 64 * 1024  # the first checkpoint and the manifest, in whole blocks


class Output:
    """The files of one export, and the checkpoint between them. Blocks: every call belongs in a thread.

    Every method raises `OSError` as it comes when the disk fails; `FileDestination`
    translates it. After that only `close` makes sense.

    Attributes:
        paths: its names.
        settings: what decides its bytes.
        options: how it is begun, and when it stops.
        free_space: the minimum that it leaves on the disk.
        finished: the summary of the finished export that was found, else None.
        resumed: the checkpoint that is resumed, None for a new export.
        part: the part that is written, None before its first frame.
        make: makes the files of a format that has to be converted.
    """

    def __init__(self, paths: OutputPaths, settings: OutputSettings, options: ExportOptions) -> None:
        self.settings = settings
        self.finished: Summary | None = None
        self.resumed: Checkpoint | None = None
        self.part: Part | None = None
        self.open_writer: OpenWriter | None = None
        self.paths = paths
        self.options = options
        self.free_space = FreeSpace(paths.folder, options.min_free_bytes)
        self.free_space.reserved_bytes = _SMALL_FILES_BYTES
        self._files: tuple[FileSummary, ...] = ()
        self._locks: list[int] = []
        self._empty_part: Path | None = None  # that this run has made, before its first checkpoint

    def open(self) -> Generator[None]:
        """Take the output for this process and find out how far it is, a piece of work at each step.

        Raises:
            ConfigError: something is in the way.
            CheckpointError: what is there cannot be resumed.
            SinkError: another process has it, or too little room is left.
        """
        found = self._find_existing()
        if isinstance(found, Summary):
            self.finished = found
            return
        self.free_space.check()
        make_folder(self.paths)
        sync_folder(self.paths.folder)  # whoever changed a name here may have died before that
        self._acquire(found)
        if found is None:
            self._start_fresh()
            return
        try:
            yield from self._resume(found)
        except CheckpointError:
            if not (found.all_data_written and (self.options.restart or self.options.overwrite)):
                raise
            self._discard(found)

    def _find_existing(self) -> Summary | Checkpoint | None:
        try:
            return find_existing(
                self.paths, self.settings, overwrite=self.options.overwrite, restart=self.options.restart
            )
        except (CheckpointError, ConfigError):
            if not self._locks:
                with suppress(OSError, ValueError):  # what is in the way may be anything
                    check_unlocked(self.paths)  # that it is being written says more than what it is
            raise

    def _acquire(self, found: Checkpoint | None) -> None:
        """Take the output, unless it changed since it was looked at."""
        missing: Path | None = None
        if not (part := self.paths.part(1)).exists():
            self._empty_part = part
        try:
            self._locks.append(lock_output(self.paths, found))
        except FileNotFoundError as exc:
            if found is None:
                raise
            missing = Path(exc.filename)
        if self._find_existing() != found:
            raise SinkError(f"another export has just written {str(self.paths.path)!r}", path=self.paths.path)
        if missing:
            raise cannot_resume(missing, "is missing")

    def _start_fresh(self) -> None:
        """Clear away what is to be replaced, so that whatever dies here, the same command does the rest."""
        remove_old_export(self.paths)
        self._current_part()

    def _discard(self, checkpoint: Checkpoint) -> None:
        """Start over where a finished file has been damaged before its manifest stood there."""
        self._files, self.resumed = (), None
        if self.part:
            self.part.close()
            self.part = None
        if not self.paths.is_folder and checkpoint.files:
            is_ours = not self.paths.staging(1).exists()  # else what has the name is an older export
            if not self.paths.part(1).exists():
                self._locks.append(open_locked(self.paths.part(1)))  # the file that was locked goes
            if is_ours:
                remove(self.paths.file(1))  # as long as a checkpoint says so
            sync_folder(self.paths.folder)
        self._start_fresh()

    def _resume(self, checkpoint: Checkpoint) -> Generator[None]:
        self.resumed = checkpoint
        self._files = checkpoint.files
        if self.paths.is_folder:
            adopt_old_names(self.paths)
        for number, file in enumerate(self._files[:-1], 1):
            check_length(self.paths.file(number), file.bytes)
        if self._files:
            yield from self._publish_last_file()
        if checkpoint.part and checkpoint.part.bytes:
            self.part = self._open_part(self.paths.part(len(self._files) + 1))
            yield from self.part.resume(checkpoint.part)

    def _publish_last_file(self) -> Generator[None]:
        """Check the file that was finished last, and give it its name if it has none yet."""
        number = len(self._files)
        unnamed = self.paths.staging(number).exists()
        if not unnamed:
            check_length(self.paths.file(number), self._files[-1].bytes)  # what has its name is never touched again
        part = self._open_part(self.paths.staging(number) if unnamed else self.paths.file(number))
        try:
            yield from part.resume(self._files[-1])
            if unnamed:
                self._publish(number)
            self._remove_journal(number)
        finally:
            part.close()

    def _open_part(self, path: Path) -> Part:
        try:
            return Part(open_private(path, create=False), path, self.free_space)
        except FileNotFoundError:
            raise cannot_resume(path, "is missing") from None

    def _current_part(self) -> Part:
        """Give the part that is written to; begin it if need be."""
        if self.part is None:
            path = self.paths.part(len(self._files) + 1)
            self.part = Part(open_private(path), path, self.free_space)
            self.part.make_empty()
            sync_folder(self.paths.folder)  # a checkpoint never speaks of a name that could still be lost
        return self.part

    def append(self, frame: Frame) -> None:
        """Write a frame at the end of the part."""
        part = self._current_part()
        part.write(frame.content)
        part.count(frame)

    def has_room(self, frame: Frame) -> bool:
        """Whether the part takes another frame. It holds at least one."""
        return self.part is None or self.part.has_room(frame, self.settings.part_contacts, self.settings.part_bytes)

    @property
    def at_file_start(self) -> bool:
        """Whether the next frame is the first of its file."""
        return self.part is None or self.part.is_empty

    @property
    def has_open_part(self) -> bool:
        """Whether something is left to finish."""
        return self.part is not None or not self._files

    def commit(self, figures: JobProgress) -> None:
        """Make everything appended so far durable, and the checkpoint say so."""
        committed = None
        if self.part:
            self.part.sync_and_check()
            committed = self.part.summary(self.paths.file(len(self._files) + 1).name)
        self._save(figures, committed)

    def rotate(self, figures: JobProgress) -> Generator[None]:
        """Finish the part and give it its name, a piece of work at each step: the next frame begins another one."""
        part = self._current_part()
        part.sync_and_check()
        number = len(self._files) + 1
        if number > MAX_PARTS:
            raise SinkError(
                f"{MAX_PARTS:,} parts are the most that an export can have: make them larger, and use --restart",
                path=self.paths.path,
            )
        finished = part.summary(self.paths.file(number).name)
        if self.open_writer:
            self._save(figures, finished)
            conversion = Conversion(
                self.paths.part(number), finished, self.paths.staging(number), self.open_writer, self.free_space
            )
            with closing(conversion.run_stepwise()) as steps:  # whatever ends this ends it too, at once
                yield from steps
            finished = conversion.result or finished
        self._files = (*self._files, finished)
        self._save(figures, None)
        self._publish(number)
        self.part = None
        part.close()
        self._remove_journal(number)

    def _remove_journal(self, number: int) -> None:
        """Remove what a file was made of, once that has its name."""
        if not self.paths.is_converted or not self.paths.part(number).exists():
            return
        if not self.paths.is_folder:  # until now the journal was what was locked
            self._locks.append(open_locked(self.paths.file(number), create=False))
        remove(self.paths.part(number))
        sync_folder(self.paths.folder)

    def finish(self, figures: JobProgress, summarise: Callable[[tuple[FileSummary, ...]], Summary]) -> Summary:
        """Put the manifest in the checkpoint's place, once the last part is finished.

        Args:
            figures: of the whole export.
            summarise: makes its summary, given its files.
        """
        for _ in self.rotate(figures) if self.has_open_part else ():
            pass
        for number, file in enumerate(self._files, 1):
            check_length(self.paths.file(number), file.bytes)
        summary = summarise(self._files)
        manifest = self.paths.manifest
        replace_durably(write_temporary(manifest, encode_manifest(summary)), manifest)
        remove(self.paths.checkpoint)
        sync_folder(self.paths.folder)
        return summary

    def _save(self, figures: JobProgress, part: FileSummary | None) -> None:
        checkpoint = Checkpoint(settings=self.settings, figures=figures, files=self._files, part=part)
        checkpoint_bytes = save_checkpoint(self.paths.checkpoint, checkpoint)
        self.free_space.reserved_bytes = 2 * checkpoint_bytes + _SMALL_FILES_BYTES  # the next one, and a manifest
        self._empty_part = None

    def _publish(self, number: int) -> None:
        """Give a part that the checkpoint calls finished its name."""
        publish(self.paths, number, overwrite=self.options.overwrite)

    def close(self) -> None:
        """Close everything, the lock last; a start that failed leaves no empty part."""
        part, self.part = self.part, None
        if self._empty_part and self._locks:
            with suppress(OSError):
                if not self._empty_part.stat().st_size:
                    remove(self._empty_part)
        if part:
            part.close()
        release(self._locks, self.paths)
