"""What stands where an output is to go: looked at before anything is requested, and cleared away."""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from exporter.errors import CheckpointError, ConfigError
from exporter.layout.atomic import os_errors_as_sink_errors, sync_folder
from exporter.layout.checkpoint import Checkpoint, OutputSettings, load_checkpoint, settings_of
from exporter.layout.disk_limits import recording
from exporter.layout.foreign_files import MARKERS, is_dropping
from exporter.layout.manifest import decode_manifest
from exporter.layout.paths import OutputPaths, old_name, standing, temporary_path
from exporter.model import Summary

_MAX_NAME_BYTES = 255
_MAX_MANIFEST_BYTES = 1 << 26


def find_existing(
    paths: OutputPaths, settings: OutputSettings, *, overwrite: bool, restart: bool
) -> Summary | Checkpoint | None:
    """Look at what stands at `place`. Blocks, changes nothing.

    Args:
        paths: where the output is to go.
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
    _check_name(paths)
    with os_errors_as_sink_errors(paths.path):
        _check_paths(paths)
        found = _load(paths, discard=overwrite or restart)
        checkpoint = _compatible(paths, settings, found, discard=overwrite or restart)
        if checkpoint and checkpoint.all_data_written and _is_published(paths, checkpoint):
            return checkpoint  # what stands there is this very export, finished but for its manifest
        if not overwrite:
            summary = finished_summary(paths)
            if summary:
                _require_same_settings(paths, settings, summary)
                return summary
            _require_ours(paths, found)
        _check_no_markers(paths)
        return None if restart else checkpoint


def _is_published(paths: OutputPaths, checkpoint: Checkpoint) -> bool:
    last = len(checkpoint.files)
    return last > 0 and paths.file(last).exists() and not paths.staging(last).exists()


def make_folder(paths: OutputPaths) -> None:
    """Make the folder of an output in parts, for its owner alone, and durable."""
    if paths.is_folder:
        paths.path.mkdir(mode=0o700, exist_ok=True)
        with recording(set()):  # where it is not ours to make durable, it was there before
            sync_folder(paths.path.parent)


def stale_files(paths: OutputPaths) -> list[Path]:
    """List the data files in a folder of parts, finished or not, the latest first."""
    numbered = [(paths.part_number(path.name), path) for path in paths.path.iterdir()]
    return [path for _, path in sorted(((n, path) for n, path in numbered if n is not None), reverse=True)]


def _load(paths: OutputPaths, *, discard: bool) -> Checkpoint | None:
    try:
        return load_checkpoint(standing(paths, paths.checkpoint))
    except CheckpointError:
        if discard:
            return None
        raise


def _compatible(
    paths: OutputPaths, settings: OutputSettings, checkpoint: Checkpoint | None, *, discard: bool
) -> Checkpoint | None:
    """Give the checkpoint if it has these settings."""
    if checkpoint is None:
        return None
    differences = checkpoint.settings.differences(settings)
    if not differences:
        return checkpoint
    if discard or not checkpoint.figures.position.pages:  # nothing is lost with it
        return None
    raise CheckpointError(
        f"{str(paths.path)!r} is an unfinished export with another {differences}: "
        "resume it with the same settings, choose another output, or use --restart"
        f"{_reason(checkpoint.settings, settings)}",
        path=paths.checkpoint,
    )


def _reason(made_with: OutputSettings, settings: OutputSettings) -> str:
    """Say why a page size matters, where that is what differs."""
    reason = made_with.why_pages_matter
    return f" ({reason})" if reason and made_with.per_page != settings.per_page else ""


def finished_summary(paths: OutputPaths) -> Summary | None:
    """Read the manifest, if it speaks of the files as they are, by name and length."""
    try:
        with standing(paths, paths.manifest).open("rb") as file:
            summary = decode_manifest(file.read(_MAX_MANIFEST_BYTES))
    except FileNotFoundError:
        return None
    if summary is None:
        return None
    paths = _as_written(paths, summary)
    expected = [paths.file(number) for number in range(1, len(summary.files) + 1)]
    lengths = [(path.name, path.stat().st_size if path.exists() else None) for path in expected]
    adds_up = sum(file.contacts for file in summary.files) == summary.contacts
    return summary if adds_up and lengths == [(file.name, file.bytes) for file in summary.files] and lengths else None


def _as_written(paths: OutputPaths, summary: Summary) -> OutputPaths:
    """Name parts in the format that they have."""
    if not paths.is_folder or not summary.files:
        return paths
    stem = replace(paths, suffix="").file(1).name
    return replace(paths, suffix=summary.files[0].name.removeprefix(stem))


def _require_same_settings(paths: OutputPaths, settings: OutputSettings, summary: Summary) -> None:
    made_with = settings_of(summary, _as_written(paths, summary).suffix.removeprefix("."))
    if differences := made_with.differences(settings):
        raise CheckpointError(
            f"{str(paths.path)!r} is a finished export with another {differences}: "
            f"choose another output, or use --overwrite{_reason(made_with, settings)}",
            path=paths.manifest,
        )


def _require_ours(paths: OutputPaths, checkpoint: Checkpoint | None) -> None:
    """Refuse data that neither a manifest nor a checkpoint vouches for."""
    taken = [paths.path]
    if paths.is_folder:
        if (
            checkpoint is None and standing(paths, paths.checkpoint).exists()
        ):  # a damaged one, that is to be dropped with its parts
            return
        ours = _names_in(paths, checkpoint) if checkpoint else set()
        taken = [path for path in entries(paths) if not is_temporary(path) and path not in ours]
    if any(path.exists() for path in taken):
        raise ConfigError(f"{str(paths.path)!r} exists and is not a finished export: move it, or use --overwrite")


def _names_in(paths: OutputPaths, checkpoint: Checkpoint) -> set[Path]:
    """Give the names of a folder's checkpoint and of the files that it speaks of."""
    written = replace(paths, suffix=f".{checkpoint.settings.format}")
    files = (written.file(number) for number in range(1, len(checkpoint.files) + 1))
    return {paths.checkpoint, old_name(paths.checkpoint), *files}


def is_temporary(path: Path) -> bool:
    """Return whether a file has the name that it has while it is written."""
    return path.suffix in (".part", ".tmp")


def _check_no_markers(paths: OutputPaths) -> None:
    """Refuse to write beside a file that says that all data is there: another program would believe it."""
    for name in MARKERS if paths.is_folder else ():
        if os.path.lexists(paths.path / name):
            raise ConfigError(
                f"{str(paths.path)!r} holds {name!r}, which says that all data is there: remove it, or choose another"
            )


def _check_name(paths: OutputPaths) -> None:
    try:
        names = [paths.path.name, *(temporary_path(path).name for path in (paths.manifest, paths.checkpoint))]
        fits = max(len(name.encode()) for name in names) <= _MAX_NAME_BYTES and "\0" not in str(paths.path)
        str(paths.path).encode()
    except UnicodeEncodeError:  # a manifest is JSON, and has to name the file
        fits = False
    if not fits:
        raise ConfigError("the output's name is too long, not UTF-8, or holds a NUL character: choose another one")


def _check_paths(paths: OutputPaths) -> None:
    """Refuse links and whatever else is not a file in the places of files."""
    above = paths.path.parent
    if not above.is_dir():
        raise ConfigError(f"the folder of {str(paths.path)!r} does not exist: make it first")
    names = sorted(paths.services)
    if not paths.is_folder:
        names += [paths.file(1), paths.part(1), paths.staging(1)]
    elif paths.path.is_symlink():
        raise ConfigError(f"{str(paths.path)!r} is a symbolic link: personal data is written only to plain folders")
    elif paths.path.exists() and not paths.path.is_dir():
        raise ConfigError(f"{str(paths.path)!r} is not a folder")
    elif paths.path.exists():
        names += entries(paths)
    for name in names:
        _check_regular(name)


def entries(paths: OutputPaths) -> Iterator[Path]:
    """List what is in a folder of parts, but for what systems and viewers drop; other files are refused.

    Raises:
        ConfigError: a file is none of an export.
    """
    ours = paths.services
    for path in paths.path.iterdir() if paths.path.is_dir() else ():
        if paths.part_number(path.name) is not None or path in ours:
            yield path
        elif not is_dropping(path.name) and path.name not in MARKERS:
            raise ConfigError(f"{str(paths.path)!r} holds {path.name!r}, which is no part of an export: choose another")


def _check_regular(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise ConfigError(f"{str(path)!r} is a symbolic link: personal data is written only to plain files")
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{str(path)!r} is not a regular file")
