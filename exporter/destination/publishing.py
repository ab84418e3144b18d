"""How files of an output get their names and lose them, so that the same command does the rest after any crash."""

import os

from exporter.destination.preconditions import entries, is_temporary, leftovers
from exporter.errors import SinkError
from exporter.layout.atomic import put_in_place, remove, sync_folder
from exporter.layout.paths import Place, old_name, standing


def clear_away(place: Place) -> None:
    """Remove what a new export replaces: the manifest before its files, the checkpoint after them."""
    if place.parts:
        for path in place.names_of(place.manifest):
            remove(path)
        sync_folder(place.folder)
        for path in leftovers(place):
            remove(path)
    for path in place.names_of(place.checkpoint):
        remove(path)
    sync_folder(place.folder)  # before the part is emptied of which it speaks


def publish(place: Place, number: int, *, overwrite: bool) -> None:
    """Give a part that the checkpoint calls finished its name.

    Raises:
        SinkError: something else has that name.
    """
    path = place.file(number)
    if os.path.lexists(path) and (place.parts or not overwrite):
        advice = "move it away" if place.parts else "move it, or use --overwrite"
        raise SinkError(f"{str(path)!r} was created while the export ran: {advice}", path=path)
    if not place.parts:  # a manifest never stands beside another file than its own
        remove(place.manifest)
        sync_folder(place.folder)
    put_in_place(place.unnamed(number), path)


def adopt_old_names(place: Place) -> None:
    """Give the unfinished export of an earlier build in a folder of parts the names of today.

    Durability:
        Parts first, the checkpoint last: whatever dies in between leaves an
        export that is resumed in the same way.
    """
    services = {path for path in place.services if path == old_name(path)}
    old = [path for path in entries(place) if path in services or (is_temporary(path) and path == old_name(path))]
    for path in old:
        hidden = path.with_name(f"_{path.name}")
        if path not in services and not os.path.lexists(hidden):
            path.rename(hidden)
    if old:
        sync_folder(place.folder)
    if standing(place, place.checkpoint) in old:
        put_in_place(old_name(place.checkpoint), place.checkpoint)
    for path in services.intersection(old):
        remove(path)
    if old:
        sync_folder(place.folder)
