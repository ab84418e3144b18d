"""Renaming and removal of an output's files, in an order that lets the same command continue after a crash."""

import os

from exporter.destination.preconditions import is_temporary, list_entries, stale_files
from exporter.errors import SinkError
from exporter.layout.atomic import remove, replace_durably, sync_folder
from exporter.layout.paths import OutputPaths, old_name, standing


def remove_old_export(paths: OutputPaths) -> None:
    """Remove the export that a new one replaces: the manifest before the data files, the checkpoint after them."""
    if paths.is_folder:
        for path in paths.names_of(paths.manifest):
            remove(path)
        sync_folder(paths.folder)
        for path in stale_files(paths):
            remove(path)
    for path in paths.names_of(paths.checkpoint):
        remove(path)
    if paths.is_folder:
        remove(paths.plan)
        remove(paths.keys)
    sync_folder(paths.folder)  # the checkpoint is gone before the part that it covers is truncated


def publish(paths: OutputPaths, number: int, *, overwrite: bool) -> None:
    """Rename a part that the checkpoint lists as finished to its final name.

    Args:
        paths: the paths of the output.
        number: number of the part, counted from 1.
        overwrite: whether to replace an existing single file.

    Raises:
        SinkError: another file has that name.
    """
    path = paths.file(number)
    if os.path.lexists(path) and (paths.is_folder or not overwrite):
        advice = "move it away" if paths.is_folder else "move it, or use --overwrite"
        raise SinkError(f"{str(path)!r} was created while the export ran: {advice}", path=path)
    if not paths.is_folder:  # the old manifest goes first: it must never be beside the new file
        remove(paths.manifest)
        sync_folder(paths.folder)
    replace_durably(paths.staging(number), path)


def adopt_old_names(paths: OutputPaths) -> None:
    """Rename the files of an unfinished export that an earlier version left in a folder to today's names.

    Durability:
        Parts are renamed first, the checkpoint last: after a crash in between,
        the next run still loads the old checkpoint and renames the remaining files.
    """
    service_files = {path for path in paths.services if path == old_name(path)}
    old_paths = [
        path for path in list_entries(paths) if path in service_files or (is_temporary(path) and path == old_name(path))
    ]
    for path in old_paths:
        hidden = path.with_name(f"_{path.name}")
        if path not in service_files and not os.path.lexists(hidden):
            path.rename(hidden)
    if old_paths:
        sync_folder(paths.folder)
    if standing(paths, paths.checkpoint) in old_paths:
        replace_durably(old_name(paths.checkpoint), paths.checkpoint)
    for path in service_files.intersection(old_paths):
        remove(path)
    if old_paths:
        sync_folder(paths.folder)
