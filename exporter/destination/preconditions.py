"""What stands where an output is to go: looked at before anything is requested, and cleared away."""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from exporter.errors import CheckpointError, ConfigError
from exporter.layout.atomic import sync_folder, writing
from exporter.layout.checkpoint import Checkpoint, Settings, load_checkpoint, settings_of
from exporter.layout.disk_limits import recording
from exporter.layout.foreign_files import MARKERS, is_dropping
from exporter.layout.manifest import decode_manifest
from exporter.layout.paths import Place, old_name, pending_path, standing
from exporter.model import Summary

_LONGEST_NAME_BYTES = 255
_LARGEST_MANIFEST_BYTES = 1 << 26


def inspect(place: Place, settings: Settings, *, overwrite: bool, restart: bool) -> Summary | Checkpoint | None:
    """Look at what stands at `place`. Blocks, changes nothing.

    Args:
        place: where the output is to go.
        settings: what is asked for.
        overwrite: whether a finished export or a foreign file is to be replaced.
        restart: whether an unfinished export is to be dropped.

    Returns:
        The summary of a finished export with these settings, or the checkpoint
        of an unfinished one to resume; None when it is to be begun.

    Raises:
        ConfigError: the folder is missing, a link or something that is no
            file is in the way, or a file that no manifest vouches for.
        CheckpointError: what is there was made with other settings, or its
            checkpoint is damaged.
    """
    _refuse_odd_name(place)
    with writing(place.path):
        _refuse_odd_things(place)
        found = _load(place, drop=overwrite or restart)
        checkpoint = _usable(place, settings, found, drop=overwrite or restart)
        if checkpoint and checkpoint.is_written and _has_its_names(place, checkpoint):
            return checkpoint  # what stands there is this very export, finished but for its manifest
        if not overwrite:
            summary = finished_summary(place)
            if summary:
                _refuse_other(place, settings, summary)
                return summary
            _refuse_foreign(place, found)
        _refuse_markers(place)
        return None if restart else checkpoint


def _has_its_names(place: Place, checkpoint: Checkpoint) -> bool:
    last = len(checkpoint.files)
    return last > 0 and place.file(last).exists() and not place.unnamed(last).exists()


def make_folder(place: Place) -> None:
    """Make the folder of an output in parts, for its owner alone, and durable."""
    if place.parts:
        place.path.mkdir(mode=0o700, exist_ok=True)
        with recording(set()):  # where it is not ours to make durable, it was there before
            sync_folder(place.path.parent)


def leftovers(place: Place) -> list[Path]:
    """List the data files in a folder of parts, finished or not, the latest first."""
    numbered = [(place.number_of(path.name), path) for path in place.path.iterdir()]
    return [path for _, path in sorted(((n, path) for n, path in numbered if n is not None), reverse=True)]


def _load(place: Place, *, drop: bool) -> Checkpoint | None:
    try:
        return load_checkpoint(standing(place, place.checkpoint))
    except CheckpointError:
        if drop:
            return None
        raise


def _usable(place: Place, settings: Settings, checkpoint: Checkpoint | None, *, drop: bool) -> Checkpoint | None:
    """Give the checkpoint if it has these settings."""
    if checkpoint is None:
        return None
    differences = checkpoint.settings.differences(settings)
    if not differences:
        return checkpoint
    if drop or not checkpoint.figures.position.pages:  # nothing is lost with it
        return None
    raise CheckpointError(
        f"{str(place.path)!r} is an unfinished export with another {differences}: "
        "resume it with the same settings, choose another output, or use --restart"
        f"{_reason(checkpoint.settings, settings)}",
        path=place.checkpoint,
    )


def _reason(made_with: Settings, settings: Settings) -> str:
    """Say why a page size matters, where that is what differs."""
    reason = made_with.why_pages_matter
    return f" ({reason})" if reason and made_with.per_page != settings.per_page else ""


def finished_summary(place: Place) -> Summary | None:
    """Read the manifest, if it speaks of the files as they are, by name and length."""
    try:
        with standing(place, place.manifest).open("rb") as file:
            summary = decode_manifest(file.read(_LARGEST_MANIFEST_BYTES))
    except FileNotFoundError:
        return None
    if summary is None:
        return None
    place = _as_written(place, summary)
    expected = [place.file(number) for number in range(1, len(summary.files) + 1)]
    lengths = [(path.name, path.stat().st_size if path.exists() else None) for path in expected]
    adds_up = sum(file.contacts for file in summary.files) == summary.contacts
    return summary if adds_up and lengths == [(file.name, file.bytes) for file in summary.files] and lengths else None


def _as_written(place: Place, summary: Summary) -> Place:
    """Name parts in the format that they have."""
    if not place.parts or not summary.files:
        return place
    stem = replace(place, suffix="").file(1).name
    return replace(place, suffix=summary.files[0].name.removeprefix(stem))


def _refuse_other(place: Place, settings: Settings, summary: Summary) -> None:
    made_with = settings_of(summary, _as_written(place, summary).suffix.removeprefix("."))
    if differences := made_with.differences(settings):
        raise CheckpointError(
            f"{str(place.path)!r} is a finished export with another {differences}: "
            f"choose another output, or use --overwrite{_reason(made_with, settings)}",
            path=place.manifest,
        )


def _refuse_foreign(place: Place, checkpoint: Checkpoint | None) -> None:
    """Refuse data that neither a manifest nor a checkpoint vouches for."""
    taken = [place.path]
    if place.parts:
        if (
            checkpoint is None and standing(place, place.checkpoint).exists()
        ):  # a damaged one, that is to be dropped with its parts
            return
        ours = _names_in(place, checkpoint) if checkpoint else set()
        taken = [path for path in entries(place) if not is_temporary(path) and path not in ours]
    if any(path.exists() for path in taken):
        raise ConfigError(f"{str(place.path)!r} exists and is not a finished export: move it, or use --overwrite")


def _names_in(place: Place, checkpoint: Checkpoint) -> set[Path]:
    """Give the names of a folder's checkpoint and of the files that it speaks of."""
    written = replace(place, suffix=f".{checkpoint.settings.format}")
    files = (written.file(number) for number in range(1, len(checkpoint.files) + 1))
    return {place.checkpoint, old_name(place.checkpoint), *files}


def is_temporary(path: Path) -> bool:
    """Return whether a file has the name that it has while it is written."""
    return path.suffix in (".part", ".tmp")


def _refuse_markers(place: Place) -> None:
    """Refuse to write beside a file that says that all data is there: another program would believe it."""
    for name in MARKERS if place.parts else ():
        if os.path.lexists(place.path / name):
            raise ConfigError(
                f"{str(place.path)!r} holds {name!r}, which says that all data is there: remove it, or choose another"
            )


def _refuse_odd_name(place: Place) -> None:
    try:
        names = [place.path.name, *(pending_path(path).name for path in (place.manifest, place.checkpoint))]
        fits = max(len(name.encode()) for name in names) <= _LONGEST_NAME_BYTES and "\0" not in str(place.path)
        str(place.path).encode()
    except UnicodeEncodeError:  # a manifest is JSON, and has to name the file
        fits = False
    if not fits:
        raise ConfigError("the output's name is too long, not UTF-8, or holds a NUL character: choose another one")


def _refuse_odd_things(place: Place) -> None:
    """Refuse links and whatever else is not a file in the places of files."""
    above = place.path.parent
    if not above.is_dir():
        raise ConfigError(f"the folder of {str(place.path)!r} does not exist: make it first")
    names = sorted(place.services)
    if not place.parts:
        names += [place.file(1), place.part(1), place.unnamed(1)]
    elif place.path.is_symlink():
        raise ConfigError(f"{str(place.path)!r} is a symbolic link: personal data is written only to plain folders")
    elif place.path.exists() and not place.path.is_dir():
        raise ConfigError(f"{str(place.path)!r} is not a folder")
    elif place.path.exists():
        names += entries(place)
    for name in names:
        _refuse_odd_file(name)


def entries(place: Place) -> Iterator[Path]:
    """List what is in a folder of parts, but for what systems and viewers drop; other files are refused.

    Raises:
        ConfigError: a file is none of an export.
    """
    ours = place.services
    for path in place.path.iterdir() if place.path.is_dir() else ():
        if place.number_of(path.name) is not None or path in ours:
            yield path
        elif not is_dropping(path.name) and path.name not in MARKERS:
            raise ConfigError(f"{str(place.path)!r} holds {path.name!r}, which is no part of an export: choose another")


def _refuse_odd_file(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise ConfigError(f"{str(path)!r} is a symbolic link: personal data is written only to plain files")
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{str(path)!r} is not a regular file")
