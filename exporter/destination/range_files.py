"""The files of an export with several cursors: the parts of each range, and the keys of the contacts in them.

The order of operations makes it crash-safe, as for the list (see `exporter.destination.local`). A finished part
keeps its temporary name until a checkpoint lists it, and a commit covers all ranges: it syncs every part that grew,
replaces the checkpoint, and then renames the parts that it lists as finished. A part that is listed and still has
its temporary name is renamed by the run that resumes.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.destination.conversion import Conversion, OpenWriter
from exporter.destination.free_space import FreeSpace
from exporter.destination.part import Part, cannot_resume, check_length
from exporter.destination.preconditions import is_temporary, stale_files
from exporter.destination.publishing import publish
from exporter.errors import SinkError
from exporter.layout.atomic import open_private, remove, sync_folder
from exporter.layout.checkpoint import Checkpoint
from exporter.layout.paths import TRACKS_AFTER_RANGES, OutputPaths
from exporter.layout.plan_progress import TrackFiles
from exporter.layout.settings import OutputSettings
from exporter.layout.summary import FileSummary
from exporter.model import Frame

MAX_FILES = 100_000
_KEYS_CHUNK_BYTES = 1 << 20


@dataclass
class _Track:
    """One track: its finished files, and the part that is being written."""

    paths: OutputPaths
    files: tuple[FileSummary, ...] = ()
    part: Part | None = None
    is_dirty: bool = False

    @property
    def number(self) -> int:
        """Number of the file that is being written."""
        return len(self.files) + 1


class RangeFiles:
    """The files of all tracks. Every method blocks: call it in a thread.

    Args:
        paths: the paths of the output, which is a folder.
        settings: the settings of the export.
        free_space: checked before each write.
        writer: returns the function that opens the writer of a converted format; None for other formats.
    """

    def __init__(
        self,
        paths: OutputPaths,
        settings: OutputSettings,
        free_space: FreeSpace,
        writer: Callable[[], OpenWriter | None] = lambda: None,
    ) -> None:
        self._paths = paths
        self._settings = settings
        self._free_space = free_space
        self._tracks: dict[str, _Track] = {}
        self._unpublished: list[tuple[_Track, int]] = []
        self._keys: Part | None = None
        self._writer = writer

    def append(self, track: str, frame: Frame, keys: bytes) -> None:
        """Write a frame at the end of a track, and its keys to the journal of keys."""
        # Once for both: if only the second one had no room, a commit would cover half of a page.
        self._free_space.check(len(frame.content) + len(keys))
        one = self._track(track)
        part = self._current_part(one)
        part.write(frame.content)
        part.count(frame)
        one.is_dirty = True
        if keys:
            journal = self._journal()
            journal.write(keys)
            journal.count(Frame(keys, 0, 0))

    def has_room(self, track: str, frame: Frame) -> bool:
        """Return whether a frame fits into the current part of a track. The first frame of a part always fits."""
        part = self._track(track).part
        return part is None or part.has_room(frame, self._settings.part_contacts, self._settings.part_bytes)

    def at_file_start(self, track: str) -> bool:
        """Return whether the next frame of a track is the first of its file."""
        part = self._track(track).part
        return part is None or part.is_empty

    def finish_part(self, track: str) -> Generator[None]:
        """Finish the part of a track, in steps. The next commit gives it its final name."""
        one = self._track(track)
        part = one.part
        if part is None:
            return
        if sum(len(other.files) for other in self._tracks.values()) >= MAX_FILES:
            raise SinkError(
                f"an export can have at most {MAX_FILES:,} files: make them larger, and use --restart to start over",
                path=self._paths.path,
            )
        part.sync_and_check()
        finished = part.summary(one.paths.file(one.number).name)
        if open_writer := self._writer():
            path = one.paths.staging(one.number)
            conversion = Conversion(part.path, finished, path, open_writer, self._free_space)
            with closing(conversion.run_stepwise()) as steps:
                yield from steps
            finished = conversion.result or finished
        self._unpublished.append((one, one.number))
        one.files, one.part, one.is_dirty = (*one.files, finished), None, False
        part.close()

    def sync(self) -> tuple[dict[str, TrackFiles], FileSummary | None]:
        """Sync everything that was appended to disk; return the files of all tracks and the journal of keys."""
        for one in self._tracks.values():
            if one.part and one.is_dirty:
                one.part.sync_and_check()
                one.is_dirty = False
        if self._keys:
            self._keys.sync_and_check()
        tracks = {name: self._files_of(one) for name, one in self._tracks.items()}
        return tracks, self._keys.summary(self._paths.keys.name) if self._keys else None

    def publish(self, *, overwrite: bool) -> None:
        """Give the finished parts their final names; the checkpoint on disk lists them."""
        while self._unpublished:
            one, number = self._unpublished[0]
            publish(one.paths, number, overwrite=overwrite)
            self._remove_journal(one, number)
            self._unpublished.pop(0)

    def discard(self, track: str, save: Callable[[], None]) -> None:
        """Discard everything that a track has written.

        Args:
            track: its name.
            save: saves a checkpoint without the track's files.

        Durability:
            When this returns, the files are removed and the checkpoint does not list them. A run that dies before
            the checkpoint is saved leaves the track as it was; after that, the track starts over.
        """
        one = self._tracks.pop(track, None)
        if one is None:
            save()
            return
        waiting = {number for other, number in self._unpublished if other is one}
        self._unpublished = [(other, number) for other, number in self._unpublished if other is not one]
        staged = [one.paths.staging(number) for number in range(1, one.number)]
        for number, staging in enumerate(staged, 1):
            if number not in waiting:
                one.paths.file(number).rename(staging)
        sync_folder(self._paths.folder)
        if one.part:
            one.part.close()
        save()
        for path in (*staged, *(one.paths.part(number) for number in range(1, one.number + 1))):
            remove(path)
        sync_folder(self._paths.folder)

    def resume(self, checkpoint: Checkpoint) -> Generator[None]:
        """Check the files of a checkpoint, rename those that it lists as finished, and open the parts.

        Raises:
            CheckpointError: a file is missing, or has changed since it was written.
        """
        for name, files in checkpoint.tracks.items():
            one = self._track(name)
            for number, file in enumerate(files.files, 1):
                if one.paths.staging(number).exists():
                    yield from self._check(one.paths.staging(number), file)
                    publish(one.paths, number, overwrite=False)
                check_length(one.paths.file(number), file.bytes)
                self._remove_journal(one, number)
            one.files = files.files
            if files.part and files.part.bytes:
                one.part = self._open(one.paths.part(one.number), self._free_space)
                yield from one.part.resume(files.part)
        is_proven = checkpoint.figures.plan is not None and checkpoint.figures.plan.proof is not None
        if checkpoint.keys and not is_proven:
            self._keys = self._open(self._paths.keys)
            yield from self._keys.resume(checkpoint.keys)

    def ensure_file(self, track: str) -> None:
        """Create an empty file if no track has a file: an export without contacts has one."""
        if not any(one.files or one.part for one in self._tracks.values()):
            self._current_part(self._track(track))
            for _ in self.finish_part(track):
                pass

    @property
    def finished_contacts(self) -> int:
        """The contacts in all finished files."""
        return sum(file.contacts for one in self._tracks.values() for file in one.files)

    def finish(self) -> tuple[FileSummary, ...]:
        """Remove everything that belongs to no finished file; return the finished files in order."""
        names = sorted(self._tracks, key=_order)
        files = tuple(file for name in names for file in self._tracks[name].files)
        for path in filter(is_temporary, stale_files(self._paths)):
            remove(path)
        keys, self._keys = self._keys, None
        if keys:
            keys.close()
        remove(self._paths.keys)  # the checkpoint holds the proof already, for which they were needed
        for file in files:
            check_length(self._paths.path / file.name, file.bytes)
        return files

    def key_chunks(self) -> Iterator[bytes]:
        """Yield the content of the journal of keys."""
        if not self._paths.keys.exists():
            return
        with self._paths.keys.open("rb") as file:
            while chunk := file.read(_KEYS_CHUNK_BYTES):
                yield chunk

    def close(self) -> None:
        """Close all files."""
        for part in (*(one.part for one in self._tracks.values()), self._keys):
            if part:
                part.close()

    def _track(self, name: str) -> _Track:
        if name not in self._tracks:
            self._tracks[name] = _Track(replace(self._paths, track=name))
        return self._tracks[name]

    def _current_part(self, one: _Track) -> Part:
        if one.part is None:
            one.part = self._create(one.paths.part(one.number), self._free_space)
        return one.part

    def _journal(self) -> Part:
        if self._keys is None:
            self._keys = self._create(self._paths.keys, None)
        return self._keys

    def _create(self, path: Path, free_space: FreeSpace | None) -> Part:
        part = Part(open_private(path), path, free_space)
        try:
            part.make_empty()
            sync_folder(self._paths.folder)  # the name is durable before a checkpoint refers to it
        except OSError:
            part.close()
            raise
        return part

    def _open(self, path: Path, free_space: FreeSpace | None = None) -> Part:
        try:
            return Part(open_private(path, create=False), path, free_space)
        except FileNotFoundError:
            raise cannot_resume(path, "is missing") from None

    def _check(self, path: Path, expected: FileSummary) -> Generator[None]:
        with closing(self._open(path)) as part:
            yield from part.resume(expected)

    def _files_of(self, one: _Track) -> TrackFiles:
        part = one.part.summary(one.paths.file(one.number).name) if one.part else None
        return TrackFiles(files=one.files, part=part)

    def _remove_journal(self, one: _Track, number: int) -> None:
        """Remove the lines from which a converted file was made."""
        if one.paths.is_converted and one.paths.part(number).exists():
            remove(one.paths.part(number))
            sync_folder(self._paths.folder)


def _order(name: str) -> tuple[int, str]:
    """Return the place of a track: ranges in order of time, then what was found after them."""
    return (TRACKS_AFTER_RANGES.index(name) + 1 if name in TRACKS_AFTER_RANGES else 0, name.rjust(12, "0"))
