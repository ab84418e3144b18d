"""An output that is opened to be replaced: with `restart` or `overwrite`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from exporter.layout.paths import OutputPaths

Opened = Callable[..., AbstractContextManager[Any]]
Read = Callable[[OutputPaths], bytes]


def test_restart_drops_an_unfinished_export(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """Its data and its checkpoint are removed before anything is written."""
    with opened(paths) as export:
        export.append(b"one ", b"two ", b"three ")
        export.commit()
    with opened(paths, restart=True) as export:
        assert export.output.resumed is None
        assert [path.name for path in paths.folder.iterdir()] == [paths.part(1).name]
        export.append(b"new")
        export.finish()
    assert content_of(paths) == b"new"


def test_restart_keeps_a_finished_export(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """Only an unfinished export is dropped."""
    with opened(paths) as export:
        export.append(b"one")
        summary = export.finish()
    with opened(paths, restart=True) as export:
        assert export.output.finished == summary
    assert content_of(paths) == b"one"


def test_overwritten_file_stays_until_the_new_one_is_complete(opened: Opened, file: OutputPaths) -> None:
    """A file and its manifest are replaced at the end; until then the new export can be resumed."""
    with opened(file) as export:
        export.append(b"old")
        old = export.finish()
    with opened(file, overwrite=True) as export:
        export.append(b"new ")
        export.commit()
    assert file.path.read_bytes() == b"old"
    with opened(file) as export:
        assert export.output.finished == old
    with opened(file, overwrite=True) as export:
        assert export.output.resumed is not None
        export.append(b"one")
        assert file.path.read_bytes() == b"old"
        export.finish()
    assert file.path.read_bytes() == b"new one"


def test_overwritten_parts_are_removed_at_once(opened: Opened, content_of: Read, parts: OutputPaths) -> None:
    """A folder never holds old and new parts: the manifest and all old parts are removed before the first new one."""
    with opened(parts) as export:
        export.append(b"one", b"two", b"three", b"four", b"five")
        export.finish()
    with opened(parts, overwrite=True) as export:
        assert [path.name for path in parts.path.iterdir()] == ["_contacts-00001.ndjson.part"]
        export.append(b"new")
        export.finish()
    assert content_of(parts) == b"new"
