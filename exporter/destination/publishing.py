"""How files of an output get their names and lose them, so that the same command does the rest after any crash."""

import os

from exporter.destination.preconditions import entries, is_temporary, stale_files
from exporter.errors import SinkError
from exporter.layout.atomic import remove, replace_durably, sync_folder
from exporter.layout.paths import OutputPaths, old_name, standing


def remove_old_export(paths: OutputPaths) -> None:
    """Remove what a new export replaces: the manifest before its files, the checkpoint after them."""
    if paths.is_folder:
        for path in paths.names_of(paths.manifest):
            remove(path)
        sync_folder(paths.folder)
        for path in stale_files(paths):
            remove(path)
    for path in paths.names_of(paths.checkpoint):
        remove(path)
    sync_folder(paths.folder)  # before the part is emptied of which it speaks


def publish(paths: OutputPaths, number: int, *, overwrite: bool) -> None:
    """Give a part that the checkpoint calls finished its name.

    Raises:
        SinkError: something else has that name.
    """
    path = paths.file(number)
    if os.path.lexists(path) and (paths.is_folder or not overwrite):
        advice = "move it away" if paths.is_folder else "move it, or use --overwrite"
        raise SinkError(f"{str(path)!r} was created while the export ran: {advice}", path=path)
    if not paths.is_folder:  # a manifest never stands beside another file than its own
        remove(paths.manifest)
        sync_folder(paths.folder)
    replace_durably(paths.staging(number), path)


def adopt_old_names(paths: OutputPaths) -> None:
    """Give the unfinished export of an earlier build in a folder of parts the names of today.

    Durability:
        Parts first, the checkpoint last: whatever dies in between leaves an
        export that is resumed in the same way.
    """
    services = {path for path in paths.services if path == old_name(path)}
    old = [path for path in entries(paths) if path in services or (is_temporary(path) and path == old_name(path))]
    for path in old:
        hidden = path.with_name(f"_{path.name}")
        if path not in services and not os.path.lexists(hidden):
            path.rename(hidden)
    if old:
        sync_folder(paths.folder)
    if standing(paths, paths.checkpoint) in old:
        replace_durably(old_name(paths.checkpoint), paths.checkpoint)
    for path in services.intersection(old):
        remove(path)
    if old:
        sync_folder(paths.folder)
