"""Checks of an output's path before the first request: whether an export there exists and fits, and what is stale."""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from exporter.errors import CheckpointError, ConfigError
from exporter.layout.atomic import os_errors_as_sink_errors, sync_folder
from exporter.layout.checkpoint import Checkpoint, load_checkpoint
from exporter.layout.disk_limits import recording
from exporter.layout.foreign_files import COMPLETION_MARKERS, is_ignored_name
from exporter.layout.manifest import decode_manifest
from exporter.layout.paths import OutputPaths, old_name, standing, temporary_path
from exporter.layout.plan import decode_plan
from exporter.layout.settings import OutputSettings, settings_of
from exporter.layout.summary import Summary

_MAX_NAME_BYTES = 255
_MAX_MANIFEST_BYTES = 1 << 26


def find_existing(
    paths: OutputPaths, settings: OutputSettings, *, overwrite: bool, restart: bool
) -> Summary | Checkpoint | None:
    """Find the existing export at the output's path. Blocks, changes nothing.

    Args:
        paths: the paths of the output.
        settings: the settings of the new export.
        overwrite: whether the new export replaces a finished export or a foreign file.
        restart: whether the new export discards an unfinished export.

    Returns:
        The summary of a finished export with these settings, or the checkpoint
        of an unfinished one to resume; None if the export starts from the beginning.

    Raises:
        ConfigError: the parent folder is missing, a path is a link or not a
            regular file, or a file belongs to neither a manifest nor a checkpoint.
        CheckpointError: the existing export has other settings, or its
            checkpoint is damaged.
    """
    _check_name(paths)
    with os_errors_as_sink_errors(paths.path):
        _check_paths(paths)
        existing_checkpoint = _load(paths, discard=overwrite or restart)
        checkpoint = _compatible(paths, settings, existing_checkpoint, discard=overwrite or restart)
        if checkpoint and checkpoint.all_data_written and _is_published(paths, checkpoint):
            return checkpoint  # all files of this export have their final names: only the manifest is missing
        if not overwrite:
            summary = finished_summary(paths)
            if summary:
                _require_same_settings(paths, settings, summary)
                return summary
            _require_ours(paths, existing_checkpoint)
        _check_no_markers(paths)
        return None if restart else checkpoint


def _is_published(paths: OutputPaths, checkpoint: Checkpoint) -> bool:
    if checkpoint.figures.plan:
        return True
    last = len(checkpoint.files)
    return last > 0 and paths.file(last).exists() and not paths.staging(last).exists()


def make_folder(paths: OutputPaths) -> None:
    """Create the folder of an output in parts, private to its owner, and sync its parent folder."""
    if paths.is_folder:
        paths.path.mkdir(mode=0o700, exist_ok=True)
        with recording(set()):  # not reported: without permission to sync the parent, the folder existed before
            sync_folder(paths.path.parent)


def stale_files(paths: OutputPaths) -> list[Path]:
    """Return the data files in a folder of parts, finished or not, the highest number first."""
    placed = [(paths.data_file_order(path.name), path) for path in paths.path.iterdir()]
    return [path for _, path in sorted(((place, path) for place, path in placed if place is not None), reverse=True)]


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
    """Return the checkpoint if it has these settings, None if the export starts over.

    Raises:
        CheckpointError: the checkpoint has other settings, and it is not to be discarded.
    """
    if checkpoint is None:
        return None
    differences = checkpoint.settings.differences(settings)
    if not differences:
        return checkpoint
    if discard or not checkpoint.figures.position.pages:  # without a page, there is no data to lose
        return None
    raise CheckpointError(
        f"{str(paths.path)!r} is an unfinished export with another {differences}: "
        "resume it with the same settings, choose another output, or use --restart"
        f"{_page_size_reason(checkpoint.settings, settings)}",
        path=paths.checkpoint,
    )


def _page_size_reason(made_with: OutputSettings, settings: OutputSettings) -> str:
    """Return why the page size matters, for the end of a message; empty if the page sizes are equal."""
    reason = made_with.why_pages_matter
    return f" ({reason})" if reason and made_with.per_page != settings.per_page else ""


def finished_summary(paths: OutputPaths) -> Summary | None:
    """Return the manifest's summary, None if there is none or if names or lengths of its files differ."""
    try:
        with standing(paths, paths.manifest).open("rb") as file:
            summary = decode_manifest(file.read(_MAX_MANIFEST_BYTES))
    except FileNotFoundError:
        return None
    if summary is None:
        return None
    files = _files_of(_with_actual_suffix(paths, summary), summary)
    actual = [(path.name, path.stat().st_size if path.exists() else None) for path in files]
    adds_up = sum(file.contacts for file in summary.files) == summary.contacts
    return summary if adds_up and actual == [(file.name, file.bytes) for file in summary.files] and actual else None


def _files_of(paths: OutputPaths, summary: Summary) -> list[Path]:
    """Return the paths of the files that a summary must list; those of ranges can have any names of data files."""
    names = [file.name for file in summary.files]
    if summary.plan and paths.is_folder:
        return [paths.path / name for name in names if paths.data_file_order(name) and not is_temporary(Path(name))]
    return [paths.file(number) for number in range(1, len(names) + 1)]


def _with_actual_suffix(paths: OutputPaths, summary: Summary) -> OutputPaths:
    """Return the paths with the suffix of the summary's parts, which may have another format than `paths`."""
    if not paths.is_folder or not summary.files:
        return paths
    return replace(paths, suffix=f".{summary.files[0].name.partition('.')[2]}")


def _require_same_settings(paths: OutputPaths, settings: OutputSettings, summary: Summary) -> None:
    made_with = settings_of(summary, _with_actual_suffix(paths, summary).suffix.removeprefix("."))
    if differences := made_with.differences(settings):
        raise CheckpointError(
            f"{str(paths.path)!r} is a finished export with another {differences}: "
            f"choose another output, or use --overwrite{_page_size_reason(made_with, settings)}",
            path=paths.manifest,
        )


def _require_ours(paths: OutputPaths, checkpoint: Checkpoint | None) -> None:
    """Check that the checkpoint lists every existing data file; a finished export has been handled before.

    Raises:
        ConfigError: a data file belongs to no export.
    """
    foreign = [paths.path]
    if paths.is_folder:
        # A damaged checkpoint: the caller discards it together with its parts.
        if checkpoint is None and standing(paths, paths.checkpoint).exists():
            return
        ours = _listed_files(paths, checkpoint) if checkpoint else _plan_without_checkpoint(paths)
        foreign = [path for path in list_entries(paths) if not is_temporary(path) and path not in ours]
    if any(path.exists() for path in foreign):
        raise ConfigError(f"{str(paths.path)!r} exists and is not a finished export: move it, or use --overwrite")


def _listed_files(paths: OutputPaths, checkpoint: Checkpoint) -> set[Path]:
    """Return the paths of a folder's checkpoint and of the finished files that it lists."""
    written = replace(paths, suffix=f".{checkpoint.settings.format}")
    files = [written.file(number) for number in range(1, len(checkpoint.files) + 1)]
    if checkpoint.figures.plan:
        files = [paths.plan, *(paths.path / file.name for one in checkpoint.tracks.values() for file in one.files)]
    return {paths.checkpoint, old_name(paths.checkpoint), *files}


def _plan_without_checkpoint(paths: OutputPaths) -> set[Path]:
    """Return the plan that a run left behind which ended before its first page; empty if there is none."""
    try:
        return {paths.plan} if decode_plan(paths.plan.read_bytes()) else set()
    except FileNotFoundError:
        return set()


def is_temporary(path: Path) -> bool:
    """Return whether a path has the suffix of a file that is still being written."""
    return path.suffix in (".part", ".tmp")


def _check_no_markers(paths: OutputPaths) -> None:
    """Check that the folder has no file that marks a complete data set: other programs would trust it too early.

    Raises:
        ConfigError: the folder has such a file.
    """
    for name in COMPLETION_MARKERS if paths.is_folder else ():
        if os.path.lexists(paths.path / name):
            raise ConfigError(
                f"{str(paths.path)!r} contains {name!r}, which marks a complete data set: "
                "remove it, or choose another folder"
            )


def _check_name(paths: OutputPaths) -> None:
    try:
        names = [paths.path.name, *(temporary_path(path).name for path in (paths.manifest, paths.checkpoint))]
        fits = max(len(name.encode()) for name in names) <= _MAX_NAME_BYTES and "\0" not in str(paths.path)
        str(paths.path).encode()
    except UnicodeEncodeError:  # the manifest contains the file's name, and is UTF-8
        fits = False
    if not fits:
        raise ConfigError("the output's name is too long, not UTF-8, or contains a NUL character: choose another name")


def _check_paths(paths: OutputPaths) -> None:
    """Check that every existing path of the output is a regular file, and a folder output a plain folder.

    Raises:
        ConfigError: the parent folder is missing, or a path is a link or something else.
    """
    if not paths.path.parent.is_dir():
        raise ConfigError(f"the parent folder of {str(paths.path)!r} does not exist: create it first")
    files = sorted(paths.services)
    if not paths.is_folder:
        files += [paths.file(1), paths.part(1), paths.staging(1)]
    elif paths.path.is_symlink():
        raise ConfigError(f"{str(paths.path)!r} is a symbolic link: personal data is written only to plain folders")
    elif paths.path.exists() and not paths.path.is_dir():
        raise ConfigError(f"{str(paths.path)!r} is not a folder")
    elif paths.path.exists():
        files += list_entries(paths)
    for file in files:
        _check_regular(file)


def list_entries(paths: OutputPaths) -> Iterator[Path]:
    """Yield the files of an export in a folder of parts; skip hidden files and files of the operating system.

    Raises:
        ConfigError: the folder contains any other file.
    """
    ours = paths.services
    for path in paths.path.iterdir() if paths.path.is_dir() else ():
        if paths.data_file_order(path.name) is not None or path in ours:
            yield path
        elif not is_ignored_name(path.name) and path.name not in COMPLETION_MARKERS:
            raise ConfigError(
                f"{str(paths.path)!r} contains {path.name!r}, which does not belong to an export: choose another folder"
            )


def _check_regular(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise ConfigError(f"{str(path)!r} is a symbolic link: personal data is written only to plain files")
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{str(path)!r} is not a regular file")
