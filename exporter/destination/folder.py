"""A folder of parts: of the list, as any other output, or of the ranges of an export with several cursors."""

from collections.abc import Generator
from dataclasses import replace

from exporter.destination.local import Output
from exporter.destination.range_files import RangeFiles
from exporter.layout.atomic import remove, replace_durably, write_temporary
from exporter.layout.checkpoint import Checkpoint, JobProgress
from exporter.layout.paths import FIRST_RANGE
from exporter.layout.settings import SEARCH_ENDPOINT
from exporter.layout.summary import FileSummary
from exporter.model import Frame


class FolderOutput(Output):
    """The files of an export in a folder. Every method blocks: call it in a thread.

    Attributes:
        ranges: the files of the ranges; None for the list.
    """

    ranges: RangeFiles | None = None

    def start_ranges(self) -> RangeFiles:
        """Write to several ranges from now on, instead of the list."""
        self.settings = replace(self.settings, endpoint=SEARCH_ENDPOINT)
        self.ranges = RangeFiles(self.paths, self.settings, self.free_space, lambda: self.open_writer)
        return self.ranges

    def save_plan(self, content: bytes) -> None:
        """Write the plan of a new export.

        Durability:
            The plan is on disk when this returns.
        """
        part, self.part = self.part, None
        if part:  # the empty part of the list
            part.close()
            remove(part.path)
        replace_durably(write_temporary(self.paths.plan, content), self.paths.plan)
        self.start_ranges()

    def append(self, frame: Frame, track: str = "", keys: bytes = b"") -> None:
        """Write a frame at the end of a track, and the keys of its contacts."""
        if self.ranges is None:
            super().append(frame)
        else:
            self.ranges.append(track, frame, keys)

    def has_room(self, frame: Frame, track: str = "") -> bool:
        """Return whether the frame fits into the current part of a track."""
        return super().has_room(frame) if self.ranges is None else self.ranges.has_room(track, frame)

    def at_file_start(self, track: str = "") -> bool:
        """Return whether the next frame is the first of its file."""
        return super().at_file_start() if self.ranges is None else self.ranges.at_file_start(track)

    def rotate(self, progress: JobProgress, track: str = "") -> Generator[None]:
        """Finish the part of a track, in steps. The next frame of the track starts another part."""
        yield from super().rotate(progress) if self.ranges is None else self.ranges.finish_part(track)

    @property
    def has_open_part(self) -> bool:
        """Whether there is a part to finish; the tracks of ranges are finished one by one."""
        return self.ranges is None and super().has_open_part

    def commit(self, progress: JobProgress) -> None:
        """Sync all appended frames to disk, save a checkpoint that covers them, and rename finished parts."""
        if self.ranges is None:
            super().commit(progress)
            return
        self._save_ranges(self.ranges, progress)
        self.ranges.publish(overwrite=self.options.overwrite)

    def discard_track(self, track: str, progress: JobProgress) -> None:
        """Discard everything that a track has written; `progress` does not contain it any more."""
        if self.ranges is not None:
            ranges = self.ranges
            ranges.discard(track, lambda: self._save_ranges(ranges, progress))

    def close(self) -> None:
        """Close all files, the lock last."""
        if self.ranges is not None:
            self.ranges.close()
        super().close()

    def _resume(self, checkpoint: Checkpoint) -> Generator[None]:
        if checkpoint.figures.plan is None:
            yield from super()._resume(checkpoint)
            return
        self.resumed = checkpoint
        yield from self.start_ranges().resume(checkpoint)

    def _finish_files(self, progress: JobProgress) -> tuple[FileSummary, ...]:
        if self.ranges is None:
            return super()._finish_files(progress)
        self.ranges.ensure_file(FIRST_RANGE)
        if (contacts := self.ranges.finished_contacts) != progress.position.contacts:  # before anything is removed
            raise RuntimeError(f"the files have {contacts} contacts, and the export {progress.position.contacts}")
        self.commit(progress)
        return self.ranges.finish()

    def _save_ranges(self, ranges: RangeFiles, progress: JobProgress) -> None:
        tracks, keys = ranges.sync()
        self._save_checkpoint(Checkpoint(settings=self.settings, figures=progress, tracks=tracks, keys=keys))
