"""A crash-safe output: first the data is durable, then the checkpoint that covers it, then names and manifest.

Crash safety depends only on the order of the operations:

1. `Output.append` writes a frame to the part;
2. `Output.commit` syncs the part to disk, then replaces the checkpoint by one
   that covers the part's new length;
3. `Output.rotate` runs when a part is full: it saves a checkpoint that lists the
   part as finished, then renames the part; a later run repeats the rename if
   necessary. A Parquet part is a journal: `rotate` first converts it to a
   temporary file, and removes the journal after the rename of that file;
4. `Output.finish` rotates the last part, writes the manifest, and then removes
   the checkpoint.

A run that finds a checkpoint verifies the committed bytes, truncates the part
to their length, and resumes there.
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
from exporter.layout.checkpoint import Checkpoint, JobProgress, save_checkpoint
from exporter.layout.manifest import encode_manifest
from exporter.layout.paths import OutputPaths
from exporter.layout.settings import OutputSettings
from exporter.layout.summary import FileSummary, Summary
from exporter.model import Frame
from exporter.options import ExportOptions

MAX_PARTS = 100_000
"""The maximum number of parts. A checkpoint lists every part: with more parts, writing one would take seconds."""

_SMALL_FILES_BYTES = 64 * 1024  # space for the first checkpoint and the manifest, in whole blocks


class Output:
    """The files of one export and their checkpoint. Every method blocks: call it in a thread.

    When the disk fails, every method raises the `OSError` unchanged;
    `FileDestination` translates it. After such an error the caller may only call
    `close`.

    Attributes:
        paths: the paths of the files.
        settings: the settings that determine the bytes of the files.
        options: the options of the export, such as overwrite and restart.
        free_space: the minimum of free space that the output leaves on its disk.
        finished: the summary of the existing finished export, None if there is none.
        resumed: the checkpoint that this run resumes from, None for a new export.
        part: the part that this run writes, None before its first frame.
        open_writer: opens the writer of a converted format, such as Parquet; None for other formats.
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
        self._empty_part: Path | None = None  # an empty file that this run created before its first checkpoint

    def open(self) -> Generator[None]:
        """Lock the output for this process and load its state. Each step of the generator does a piece of the work.

        Raises:
            ConfigError: a file that does not belong to an export occupies the path.
            CheckpointError: the existing export cannot be resumed.
            SinkError: another process has locked the output, or there is too little free space.
        """
        existing = self._find_existing()
        if isinstance(existing, Summary):
            self.finished = existing
            return
        self.free_space.check()
        make_folder(self.paths)
        sync_folder(self.paths.folder)  # an earlier run may have crashed between a rename and this
        self._acquire(existing)
        if existing is None:
            self._start_fresh()
            return
        try:
            yield from self._resume(existing)
        except CheckpointError:
            if not (existing.all_data_written and (self.options.restart or self.options.overwrite)):
                raise
            self._discard(existing)

    def _find_existing(self) -> Summary | Checkpoint | None:
        try:
            return find_existing(
                self.paths, self.settings, overwrite=self.options.overwrite, restart=self.options.restart
            )
        except (CheckpointError, ConfigError):
            if not self._locks:
                with suppress(OSError, ValueError):  # the path may hold anything, such as a device
                    check_unlocked(self.paths)  # "another export is writing it" is the more helpful error
            raise

    def _acquire(self, existing: Checkpoint | None) -> None:
        """Lock the output, and check that it has not changed since `_find_existing` returned `existing`."""
        missing: Path | None = None
        if not (part := self.paths.part(1)).exists():
            self._empty_part = part
        try:
            self._locks.append(lock_output(self.paths, existing))
        except FileNotFoundError as exc:
            if existing is None:
                raise
            missing = Path(exc.filename)
        if self._find_existing() != existing:
            raise SinkError(f"another export has just written {str(self.paths.path)!r}", path=self.paths.path)
        if missing:
            raise cannot_resume(missing, "is missing")

    def _start_fresh(self) -> None:
        """Remove the export that this one replaces. After a crash in here, the same command removes the rest."""
        remove_old_export(self.paths)
        self._current_part()

    def _discard(self, checkpoint: Checkpoint) -> None:
        """Discard an export whose finished file was damaged before the manifest was written, and start over."""
        self._files, self.resumed = (), None
        if self.part:
            self.part.close()
            self.part = None
        if not self.paths.is_folder and checkpoint.files:
            is_ours = not self.paths.staging(1).exists()  # else the file with the final name is an older export
            if not self.paths.part(1).exists():
                self._locks.append(open_locked(self.paths.part(1)))  # replaces the lock on the file removed below
            if is_ours:
                remove(self.paths.file(1))  # before the checkpoint, which proves that the file is ours
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
        """Verify the file that was finished last, and rename it to its final name if that is still to do."""
        number = len(self._files)
        needs_rename = self.paths.staging(number).exists()
        if not needs_rename:
            check_length(self.paths.file(number), self._files[-1].bytes)  # a file with its final name is never changed
        part = self._open_part(self.paths.staging(number) if needs_rename else self.paths.file(number))
        try:
            yield from part.resume(self._files[-1])
            if needs_rename:
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
        """Return the part that this run writes; create it if there is none."""
        if self.part is None:
            path = self.paths.part(len(self._files) + 1)
            self.part = Part(open_private(path), path, self.free_space)
            self.part.make_empty()
            sync_folder(self.paths.folder)  # the name is durable before a checkpoint refers to it
        return self.part

    def append(self, frame: Frame, _track: str = "", _keys: bytes = b"") -> None:
        """Write a frame at the end of the part."""
        part = self._current_part()
        part.write(frame.content)
        part.count(frame)

    def has_room(self, frame: Frame, _track: str = "") -> bool:
        """Return whether the frame fits into the current part. The first frame of a part always fits."""
        return self.part is None or self.part.has_room(frame, self.settings.part_contacts, self.settings.part_bytes)

    def at_file_start(self, _track: str = "") -> bool:
        """Whether the next frame is the first of its file."""
        return self.part is None or self.part.is_empty

    @property
    def has_open_part(self) -> bool:
        """Whether there is a part to finish; an export without contacts still needs one empty file."""
        return self.part is not None or not self._files

    def commit(self, progress: JobProgress) -> None:
        """Sync all appended frames to disk, then save a checkpoint that covers them."""
        committed = None
        if self.part:
            self.part.sync_and_check()
            committed = self.part.summary(self.paths.file(len(self._files) + 1).name)
        self._save(progress, committed)

    def rotate(self, progress: JobProgress, _track: str = "") -> Generator[None]:
        """Finish the part and rename it to its final name, in steps. The next frame starts another part."""
        part = self._current_part()
        part.sync_and_check()
        number = len(self._files) + 1
        if number > MAX_PARTS:
            raise SinkError(
                f"an export can have at most {MAX_PARTS:,} parts: make them larger, and use --restart to start over",
                path=self.paths.path,
            )
        finished = part.summary(self.paths.file(number).name)
        if self.open_writer:
            self._save(progress, finished)
            conversion = Conversion(
                self.paths.part(number), finished, self.paths.staging(number), self.open_writer, self.free_space
            )
            with closing(conversion.run_stepwise()) as steps:  # if this generator is closed, the conversion ends too
                yield from steps
            finished = conversion.result or finished
        self._files = (*self._files, finished)
        self._save(progress, None)
        self._publish(number)
        self.part = None
        part.close()
        self._remove_journal(number)

    def _remove_journal(self, number: int) -> None:
        """Remove the journal of a converted file that has its final name."""
        if not self.paths.is_converted or not self.paths.part(number).exists():
            return
        if not self.paths.is_folder:  # until now the lock is on the journal
            self._locks.append(open_locked(self.paths.file(number), create=False))
        remove(self.paths.part(number))
        sync_folder(self.paths.folder)

    def finish(self, progress: JobProgress, summarise: Callable[[tuple[FileSummary, ...]], Summary]) -> Summary:
        """Finish the last part, write the manifest, then remove the checkpoint.

        Args:
            progress: the progress of the complete export.
            summarise: returns the summary for the manifest, given the files.
        """
        summary = summarise(self._finish_files(progress))
        manifest = self.paths.manifest
        replace_durably(write_temporary(manifest, encode_manifest(summary)), manifest)
        remove(self.paths.checkpoint)
        sync_folder(self.paths.folder)
        return summary

    def _finish_files(self, progress: JobProgress) -> tuple[FileSummary, ...]:
        """Finish the last part; return all files."""
        for _ in self.rotate(progress) if self.has_open_part else ():
            pass
        for number, file in enumerate(self._files, 1):
            check_length(self.paths.file(number), file.bytes)
        return self._files

    def _save(self, progress: JobProgress, part: FileSummary | None) -> None:
        self._save_checkpoint(Checkpoint(settings=self.settings, figures=progress, files=self._files, part=part))

    def _save_checkpoint(self, checkpoint: Checkpoint) -> None:
        checkpoint_bytes = save_checkpoint(self.paths.checkpoint, checkpoint)
        self.free_space.reserved_bytes = 2 * checkpoint_bytes + _SMALL_FILES_BYTES  # the next one, and a manifest
        self._empty_part = None

    def _publish(self, number: int) -> None:
        """Rename a part that the checkpoint lists as finished to its final name."""
        publish(self.paths, number, overwrite=self.options.overwrite)

    def close(self) -> None:
        """Close all files, the lock last. Remove the empty part of a run that failed before its first checkpoint."""
        part, self.part = self.part, None
        if self._empty_part and self._locks:
            with suppress(OSError):
                if not self._empty_part.stat().st_size:
                    remove(self._empty_part)
        if part:
            part.close()
        release(self._locks, self.paths)
