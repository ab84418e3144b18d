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

from exporter.destination.conversion import Conversion, Make
from exporter.destination.free_space import check_free_space
from exporter.destination.lock import lock_output, open_locked, refuse_locked_output, release
from exporter.destination.part import Part, check_length, unusable
from exporter.destination.preconditions import inspect, make_folder
from exporter.destination.publishing import adopt_old_names, clear_away, publish
from exporter.errors import CheckpointError, ConfigError, SinkError
from exporter.layout.atomic import open_private, prepare_file, put_in_place, remove, sync_folder
from exporter.layout.checkpoint import Checkpoint, Figures, Settings, save_checkpoint
from exporter.layout.manifest import encode_manifest
from exporter.layout.paths import Place
from exporter.model import FileSummary, Frame, Summary
from exporter.options import ExportOptions

MOST_PARTS = 100_000
"""More would make each checkpoint take seconds: it names every part."""

_SMALL_FILES_BYTES = 64 * 1024  # the first checkpoint and the manifest, in whole blocks


class Output:
    """The files of one export, and the checkpoint between them. Blocks: every call belongs in a thread.

    Every method raises `OSError` as it comes when the disk fails; `FileDestination`
    translates it. After that only `close` makes sense.

    Attributes:
        place: its names.
        settings: what decides its bytes.
        options: how it is begun, and when it stops.
        finished: the summary of the finished export that was found, else None.
        resumed: the checkpoint that is resumed, None for a new export.
        part: the part that is written, None before its first frame.
        make: makes the files of a format that has to be converted.
    """

    def __init__(self, place: Place, settings: Settings, options: ExportOptions) -> None:
        self.settings = settings
        self.finished: Summary | None = None
        self.resumed: Checkpoint | None = None
        self.part: Part | None = None
        self.make: Make | None = None
        self.place = place
        self.options = options
        self._files: tuple[FileSummary, ...] = ()
        self._locks: list[int] = []
        self._checkpoint_bytes = 0
        self._empty_part: Path | None = None  # that this run has made, before its first checkpoint

    def open(self) -> Generator[None]:
        """Take the output for this process and find out how far it is, a piece of work at each step.

        Raises:
            ConfigError: something is in the way.
            CheckpointError: what is there cannot be resumed.
            SinkError: another process has it, or too little room is left.
        """
        found = self._inspect()
        if isinstance(found, Summary):
            self.finished = found
            return
        self.check_free_space()
        make_folder(self.place)
        sync_folder(self.place.folder)  # whoever changed a name here may have died before that
        self._take(found)
        if found is None:
            self._begin()
            return
        try:
            yield from self._go_on(found)
        except CheckpointError:
            if not (found.is_written and (self.options.restart or self.options.overwrite)):
                raise
            self._drop(found)

    def _inspect(self) -> Summary | Checkpoint | None:
        try:
            return inspect(self.place, self.settings, overwrite=self.options.overwrite, restart=self.options.restart)
        except (CheckpointError, ConfigError):
            if not self._locks:
                with suppress(OSError, ValueError):  # what is in the way may be anything
                    refuse_locked_output(self.place)  # that it is being written says more than what it is
            raise

    def _take(self, found: Checkpoint | None) -> None:
        """Take the output, unless it changed since it was looked at."""
        missing: Path | None = None
        if not (part := self.place.part(1)).exists():
            self._empty_part = part
        try:
            self._locks.append(lock_output(self.place, found))
        except FileNotFoundError as exc:
            if found is None:
                raise
            missing = Path(exc.filename)
        if self._inspect() != found:
            raise SinkError(f"another export has just written {str(self.place.path)!r}", path=self.place.path)
        if missing:
            raise unusable(missing, "is missing")

    def _begin(self) -> None:
        """Clear away what is to be replaced, so that whatever dies here, the same command does the rest."""
        clear_away(self.place)
        self.writable()

    def _drop(self, checkpoint: Checkpoint) -> None:
        """Start over where a finished file has been damaged before its manifest stood there."""
        self._files, self.resumed = (), None
        if self.part:
            self.part.close()
            self.part = None
        if not self.place.parts and checkpoint.files:
            is_ours = not self.place.unnamed(1).exists()  # else what has the name is an older export
            if not self.place.part(1).exists():
                self._locks.append(open_locked(self.place.part(1)))  # the file that was locked goes
            if is_ours:
                remove(self.place.file(1))  # as long as a checkpoint says so
            sync_folder(self.place.folder)
        self._begin()

    def _go_on(self, checkpoint: Checkpoint) -> Generator[None]:
        self.resumed = checkpoint
        self._files = checkpoint.files
        if self.place.parts:
            adopt_old_names(self.place)
        for number, file in enumerate(self._files[:-1], 1):
            check_length(self.place.file(number), file.bytes)
        if self._files:
            yield from self._name_last_file()
        if checkpoint.part and checkpoint.part.bytes:
            self.part = self._open_part(self.place.part(len(self._files) + 1))
            yield from self.part.go_on(checkpoint.part)

    def _name_last_file(self) -> Generator[None]:
        """Check the file that was finished last, and give it its name if it has none yet."""
        number = len(self._files)
        unnamed = self.place.unnamed(number).exists()
        if not unnamed:
            check_length(self.place.file(number), self._files[-1].bytes)  # what has its name is never touched again
        part = self._open_part(self.place.unnamed(number) if unnamed else self.place.file(number))
        try:
            yield from part.go_on(self._files[-1])
            if unnamed:
                self._publish(number)
            self._drop_journal(number)
        finally:
            part.close()

    def _open_part(self, path: Path) -> Part:
        try:
            return Part(open_private(path, create=False), path, self.check_free_space)
        except FileNotFoundError:
            raise unusable(path, "is missing") from None

    def writable(self) -> Part:
        """Give the part that is written to; begin it if need be."""
        if self.part is None:
            path = self.place.part(len(self._files) + 1)
            self.part = Part(open_private(path), path, self.check_free_space)
            self.part.begin()
            sync_folder(self.place.folder)  # a checkpoint never speaks of a name that could still be lost
        return self.part

    def append(self, frame: Frame) -> None:
        """Write a frame at the end of the part."""
        part = self.writable()
        part.write(frame.content)
        part.count(frame)

    def has_room(self, frame: Frame) -> bool:
        """Whether the part takes another frame. It holds at least one."""
        return self.part is None or self.part.has_room(frame, self.settings.part_contacts, self.settings.part_bytes)

    @property
    def begins_a_file(self) -> bool:
        """Whether the next frame is the first of its file."""
        return self.part is None or self.part.is_empty

    @property
    def has_a_part(self) -> bool:
        """Whether something is left to finish."""
        return self.part is not None or not self._files

    def commit(self, figures: Figures) -> None:
        """Make everything appended so far durable, and the checkpoint say so."""
        committed = None
        if self.part:
            self.part.settle()
            committed = self.part.summary(self.place.file(len(self._files) + 1).name)
        self._save(figures, committed)

    def rotate(self, figures: Figures) -> Generator[None]:
        """Finish the part and give it its name, a piece of work at each step: the next frame begins another one."""
        part = self.writable()
        part.settle()
        number = len(self._files) + 1
        if number > MOST_PARTS:
            raise SinkError(
                f"{MOST_PARTS:,} parts are the most that an export can have: make them larger, and use --restart",
                path=self.place.path,
            )
        finished = part.summary(self.place.file(number).name)
        if self.make:
            self._save(figures, finished)
            conversion = Conversion(
                self.place.part(number), finished, self.place.unnamed(number), self.make, self.check_free_space
            )
            with closing(conversion.steps()) as steps:  # whatever ends this ends it too, at once
                yield from steps
            finished = conversion.made or finished
        self._files = (*self._files, finished)
        self._save(figures, None)
        self._publish(number)
        self.part = None
        part.close()
        self._drop_journal(number)

    def _drop_journal(self, number: int) -> None:
        """Remove what a file was made of, once that has its name."""
        if not self.place.converts or not self.place.part(number).exists():
            return
        if not self.place.parts:  # until now the journal was what was locked
            self._locks.append(open_locked(self.place.file(number), create=False))
        remove(self.place.part(number))
        sync_folder(self.place.folder)

    def finish(self, figures: Figures, summarise: Callable[[tuple[FileSummary, ...]], Summary]) -> Summary:
        """Put the manifest in the checkpoint's place, once the last part is finished.

        Args:
            figures: of the whole export.
            summarise: makes its summary, given its files.
        """
        for _ in self.rotate(figures) if self.has_a_part else ():
            pass
        for number, file in enumerate(self._files, 1):
            check_length(self.place.file(number), file.bytes)
        summary = summarise(self._files)
        manifest = self.place.manifest
        put_in_place(prepare_file(manifest, encode_manifest(summary)), manifest)
        remove(self.place.checkpoint)
        sync_folder(self.place.folder)
        return summary

    def _save(self, figures: Figures, part: FileSummary | None) -> None:
        checkpoint = Checkpoint(settings=self.settings, figures=figures, files=self._files, part=part)
        self._checkpoint_bytes = save_checkpoint(self.place.checkpoint, checkpoint)
        self._empty_part = None

    def _publish(self, number: int) -> None:
        """Give a part that the checkpoint calls finished its name."""
        publish(self.place, number, overwrite=self.options.overwrite)

    def check_free_space(self, needed: int = 0) -> None:
        """Refuse a write that takes what is to be left, checkpoint and manifest included.

        Raises:
            NoSpaceError: it would.
        """
        if self.options.min_free_bytes:
            folder = self.place.folder
            reserve = 2 * self._checkpoint_bytes + _SMALL_FILES_BYTES if needed else 0
            folder = folder if folder.exists() else folder.parent
            check_free_space(folder, self.options.min_free_bytes, needed + reserve)

    def close(self) -> None:
        """Close everything, the lock last; a start that failed leaves no empty part."""
        part, self.part = self.part, None
        if self._empty_part and self._locks:
            with suppress(OSError):
                if not self._empty_part.stat().st_size:
                    remove(self._empty_part)
        if part:
            part.close()
        release(self._locks, self.place)
