"""An output that is opened again: it is resumed, refused, or started over."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from exporter import CheckpointError, SinkError
from exporter.destination.local import Output
from exporter.layout.atomic import remove
from exporter.layout.paths import OutputPaths

Opened = Callable[..., AbstractContextManager[Any]]
Read = Callable[[OutputPaths], bytes]


def fail(*_: object) -> None:
    """Raise the error of a failing disk."""
    raise OSError(5, "Input/output error")


def test_output_is_resumed_at_its_latest_commit(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """What was written after the latest commit is truncated; the finished bytes are those of one run."""
    with opened(paths) as export:
        export.append(b"one ", b"two ", b"three ")
        committed = export.commit()
        export.append(b"lost ", b"lost ", b"lost ") if not paths.is_folder else export.append(b"lost ")
    with opened(paths) as export:
        assert export.output.resumed == committed
        assert export.output.finished is None
        export.append(b"four ", b"five")
        summary = export.finish()
    assert content_of(paths) == b"one two three four five"
    assert summary.contacts == 5
    assert not paths.checkpoint.exists()
    with opened(paths) as export:
        assert export.output.finished == summary


def test_part_that_no_checkpoint_lists_is_started_over(opened: Opened, content_of: Read, parts: OutputPaths) -> None:
    """Its bytes do not get into the next part of that number."""
    with opened(parts) as export:
        export.append(b"one ", b"two ", b"three ")  # the third page starts a part: only the first part is committed
    assert parts.part(2).read_bytes() == b"three "
    with opened(parts) as export:
        assert export.figures.position.pages == 2
        export.commit()
        export.append(b"3 ")
        export.finish()
    assert content_of(parts) == b"one two 3 "


@pytest.mark.parametrize("dies_before", ["the name", "the manifest"])
def test_export_killed_before_its_last_steps_is_finished(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch, dies_before: str
) -> None:
    """Where the checkpoint lists all data, the next run only writes the missing names and the manifest."""
    with opened(paths) as export:
        export.append(b"one ", b"two ", b"three")
        export.commit()
        with monkeypatch.context() as patched:
            if dies_before == "the name":
                patched.setattr(Output, "_publish", fail)
            else:
                patched.setattr("exporter.destination.local.write_temporary", fail)
            with pytest.raises(OSError, match="Input/output"):
                export.finish()
    assert paths.part(2 if paths.is_folder else 1).exists() == (dies_before == "the name")
    with opened(paths) as export:
        assert export.output.resumed is not None
        assert export.output.resumed.all_data_written
        assert export.output.part is None
        export.finish()
    assert content_of(paths) == b"one two three"
    with opened(paths) as export:
        assert export.output.finished is not None


def test_checkpoint_left_beside_a_finished_export_is_removed(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash between the manifest and the removal of the checkpoint, the next run checks the files."""

    def fail_at_the_last_step(path: Path) -> None:
        if path == paths.checkpoint:
            fail()
        remove(path)

    with opened(paths) as export:
        export.append(b"one ", b"two ", b"three")
        with monkeypatch.context() as patched:
            patched.setattr("exporter.destination.local.remove", fail_at_the_last_step)
            with pytest.raises(OSError, match="Input/output"):
                export.finish()
    assert paths.manifest.exists()
    assert paths.checkpoint.exists()
    with opened(paths) as export:
        assert export.output.resumed is not None
        export.finish()
    assert content_of(paths) == b"one two three"
    assert not paths.checkpoint.exists()


@pytest.mark.parametrize("missing", [1, 2])
def test_resuming_without_a_data_file_is_refused(opened: Opened, parts: OutputPaths, missing: int) -> None:
    """Neither the part that is resumed nor the file that was finished last may be missing."""
    with opened(parts) as export:
        export.append(b"one ", b"two ", b"three ")
        export.commit()
    path = parts.file(1) if missing == 1 else parts.part(2)
    path.unlink()
    with pytest.raises(CheckpointError, match="is missing, so the export cannot be resumed") as caught:
        with opened(parts):
            pass
    assert caught.value.path == path
    assert parts.checkpoint.exists()
    with opened(parts, restart=True) as export:
        assert export.output.resumed is None


@pytest.mark.parametrize("change", ["missing", "cut"])
def test_resuming_with_an_incomplete_earlier_file_is_refused(opened: Opened, parts: OutputPaths, change: str) -> None:
    """A manifest never lists files that were removed or truncated while the export was interrupted."""
    with opened(parts) as export:
        export.append(*(b"page " for _ in range(7)))
        export.commit()
    if change == "missing":
        parts.file(1).unlink()
    else:
        parts.file(1).write_bytes(b"page ")
    with pytest.raises(CheckpointError) as caught:
        with opened(parts):
            pass
    assert caught.value.path == parts.file(1)


def test_resuming_without_the_part_is_refused(opened: Opened, file: OutputPaths) -> None:
    """A single file whose committed bytes are missing is not silently started over."""
    with opened(file) as export:
        export.append(b"one")
        export.commit()
    file.part(1).unlink()
    for _ in range(2):
        with pytest.raises(CheckpointError, match="is missing") as caught:
            with opened(file):
                pass
        assert caught.value.path == file.part(1)
    assert list(file.folder.iterdir()) == [file.checkpoint]


def test_empty_part_may_be_missing(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """Where nothing was written, nothing is lost."""
    with opened(paths) as export:
        export.commit()
    paths.part(1).unlink()
    with opened(paths) as export:
        assert export.output.resumed is not None
        export.append(b"one")
        export.finish()
    assert content_of(paths) == b"one"


def test_resumed_export_without_bytes_has_one_empty_file(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """An empty export that is interrupted before its end still has a file."""
    with opened(paths) as export:
        export.end()
        export.commit()
    with opened(paths) as export:
        summary = export.finish()
    assert content_of(paths) == b""
    assert [(file.name, file.bytes) for file in summary.files] == [(paths.file(1).name, 0)]


@pytest.mark.parametrize("which", ["finished", "unnamed", "unfinished"])
def test_resuming_with_a_changed_data_file_is_refused(
    opened: Opened, parts: OutputPaths, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that was finished last is checked like the part, whether it has its name or not."""
    with opened(parts) as export:
        export.append(b"one ", b"two ")
        if which == "unnamed":
            monkeypatch.setattr(Output, "_publish", fail)
            with pytest.raises(OSError, match="Input/output"):
                export.append(b"three ")
        else:
            export.append(b"three ")
            export.commit()
    path = {"finished": parts.file(1), "unnamed": parts.part(1), "unfinished": parts.part(2)}[which]
    path.write_bytes(path.read_bytes().upper())
    with pytest.raises(CheckpointError, match="was changed since") as caught:
        with opened(parts):
            pass
    assert caught.value.path == path


def test_part_without_checkpoint_is_started_over(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """Where no checkpoint lists an older part, none of its bytes get into the file."""
    with opened(paths) as export:
        export.append(b"from an older run, and longer")
    assert not paths.checkpoint.exists()
    with opened(paths) as export:
        assert export.output.resumed is None
        export.append(b"new")
        export.finish()
    assert content_of(paths) == b"new"


def leave_without_manifest(opened: Opened, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave an export that crashed when all its files had their names; return the last of them."""
    with opened(paths) as export:
        export.append(b"one ", b"two ", b"three")
        with monkeypatch.context() as patched:
            patched.setattr("exporter.destination.local.write_temporary", fail)
            with pytest.raises(OSError, match="Input/output"):
                export.finish()
    assert not paths.manifest.exists()
    return paths.file(2 if paths.is_folder else 1)


@pytest.mark.parametrize("options", [{"restart": True}, {"overwrite": True}, {"restart": True, "overwrite": True}])
def test_file_damaged_before_its_manifest_can_be_replaced(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool]
) -> None:
    """It is refused by default, and started over with `restart` or `overwrite`."""
    last = leave_without_manifest(opened, paths, monkeypatch)
    last.write_bytes(last.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError, match="use --restart"), opened(paths):
        pass
    with opened(paths, **options) as export:
        assert export.output.resumed is None
        export.append(b"four")
        export.finish()
    assert content_of(paths) == b"four"
    with opened(paths) as export:
        assert export.output.finished is not None


def test_restart_after_damage_keeps_the_lock(
    opened: Opened, file: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock passes from the damaged file to the part that replaces it."""
    last = leave_without_manifest(opened, file, monkeypatch)
    last.write_bytes(b"other bytes..")
    with opened(file, restart=True) as export:
        export.append(b"four")
        with pytest.raises(SinkError, match="another export is writing"), opened(file, restart=True):
            pass
        export.finish()


def test_published_file_is_not_truncated(opened: Opened, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished file to which bytes were added is refused, and keeps them."""
    last = leave_without_manifest(opened, paths, monkeypatch)
    longer = last.read_bytes() + b"!"
    last.write_bytes(longer)
    with pytest.raises(CheckpointError, match="was changed since it was written"), opened(paths):
        pass
    assert last.read_bytes() == longer


def test_number_of_parts_is_limited(opened: Opened, parts: OutputPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export never has so many parts that its checkpoint gets too large."""
    monkeypatch.setattr("exporter.destination.local.MAX_PARTS", 1)
    with opened(parts) as export, pytest.raises(SinkError, match="make them larger"):
        export.append(*(b"page " for _ in range(5)))
