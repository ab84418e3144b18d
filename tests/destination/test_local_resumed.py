"""An output that is opened again: gone on with, begun anew, or replaced."""

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


def failing(*_: object) -> None:
    """Fail as a disk does."""
    raise OSError(5, "Input/output error")


def test_an_output_goes_on_where_it_was_committed(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """What was written behind the latest commit is cut off; what follows comes to the same bytes."""
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


def test_parts_written_behind_the_checkpoint_are_begun_anew(
    opened: Opened, content_of: Read, parts: OutputPaths
) -> None:
    """A part that no checkpoint speaks of yet does not get into the next one of its number."""
    with opened(parts) as export:
        export.append(b"one ", b"two ", b"three ")  # the third begins a part: only the first is committed
    assert parts.part(2).read_bytes() == b"three "
    with opened(parts) as export:
        assert export.figures.position.pages == 2
        export.commit()
        export.append(b"3 ")
        export.finish()
    assert content_of(parts) == b"one two 3 "


@pytest.mark.parametrize("dies_before", ["the name", "the manifest"])
def test_what_died_while_it_was_finished_is_finished(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch, dies_before: str
) -> None:
    """With the checkpoint that says it is all there, only names and manifest are missing: the next run gives them."""
    with opened(paths) as export:
        export.append(b"one ", b"two ", b"three")
        export.commit()
        with monkeypatch.context() as patched:
            if dies_before == "the name":
                patched.setattr(Output, "_publish", failing)
            else:
                patched.setattr("exporter.destination.local.write_temporary", failing)
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


def test_a_checkpoint_left_beside_the_finished_export_is_cleared_away(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dying after the manifest and before the checkpoint goes costs nothing but looking again."""

    def die_at_the_last_step(path: Path) -> None:
        if path == paths.checkpoint:
            failing()
        remove(path)

    with opened(paths) as export:
        export.append(b"one ", b"two ", b"three")
        with monkeypatch.context() as patched:
            patched.setattr("exporter.destination.local.remove", die_at_the_last_step)
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
def test_a_missing_data_file_is_refused(opened: Opened, parts: OutputPaths, missing: int) -> None:
    """Neither the part that goes on nor the file finished last may be gone."""
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
def test_an_earlier_file_that_is_not_whole_any_more_is_refused(opened: Opened, parts: OutputPaths, change: str) -> None:
    """A manifest must not vouch for files that were taken away or cut while the export was interrupted."""
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


def test_a_missing_part_is_refused(opened: Opened, file: OutputPaths) -> None:
    """A single file whose committed bytes are gone is not quietly begun anew."""
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


def test_a_part_without_bytes_may_be_missing(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """Where nothing had been written, nothing is lost."""
    with opened(paths) as export:
        export.commit()
    paths.part(1).unlink()
    with opened(paths) as export:
        assert export.output.resumed is not None
        export.append(b"one")
        export.finish()
    assert content_of(paths) == b"one"


def test_an_export_without_a_byte_goes_on_to_one_empty_file(
    opened: Opened, content_of: Read, paths: OutputPaths
) -> None:
    """Interrupted before its end, an empty export still ends with a file."""
    with opened(paths) as export:
        export.end()
        export.commit()
    with opened(paths) as export:
        summary = export.finish()
    assert content_of(paths) == b""
    assert [(file.name, file.bytes) for file in summary.files] == [(paths.file(1).name, 0)]


@pytest.mark.parametrize("which", ["finished", "unnamed", "going on"])
def test_a_changed_data_file_is_refused(
    opened: Opened, parts: OutputPaths, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that was finished last is checked as the part is, whether it has its name or not."""
    with opened(parts) as export:
        export.append(b"one ", b"two ")
        if which == "unnamed":
            monkeypatch.setattr(Output, "_publish", failing)
            with pytest.raises(OSError, match="Input/output"):
                export.append(b"three ")
        else:
            export.append(b"three ")
            export.commit()
    path = {"finished": parts.file(1), "unnamed": parts.part(1), "going on": parts.part(2)}[which]
    path.write_bytes(path.read_bytes().upper())
    with pytest.raises(CheckpointError, match="was changed since") as caught:
        with opened(parts):
            pass
    assert caught.value.path == path


def test_a_part_without_checkpoint_is_begun_anew(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """Nothing of an older part gets into the file when nothing says what it is."""
    with opened(paths) as export:
        export.append(b"from an older run, and longer")
    assert not paths.checkpoint.exists()
    with opened(paths) as export:
        assert export.output.resumed is None
        export.append(b"new")
        export.finish()
    assert content_of(paths) == b"new"


def test_restart_drops_an_unfinished_export(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """With restart nothing of it is left, not even a checkpoint, before anything is written."""
    with opened(paths) as export:
        export.append(b"one ", b"two ", b"three ")
        export.commit()
    with opened(paths, restart=True) as export:
        assert export.output.resumed is None
        assert [path.name for path in paths.folder.iterdir()] == [paths.part(1).name]
        export.append(b"new")
        export.finish()
    assert content_of(paths) == b"new"


def test_restart_leaves_a_finished_export_alone(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """Only what is unfinished is dropped."""
    with opened(paths) as export:
        export.append(b"one")
        summary = export.finish()
    with opened(paths, restart=True) as export:
        assert export.output.finished == summary
    assert content_of(paths) == b"one"


def test_the_old_file_stays_until_the_new_one_is_complete(opened: Opened, file: OutputPaths) -> None:
    """A file and its manifest are replaced at the end; the unfinished new one goes on meanwhile."""
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


def test_parts_that_are_overwritten_go_at_once(opened: Opened, content_of: Read, parts: OutputPaths) -> None:
    """A folder never holds a mixture: the manifest and all old parts are gone before the first new one."""
    with opened(parts) as export:
        export.append(b"one", b"two", b"three", b"four", b"five")
        export.finish()
    with opened(parts, overwrite=True) as export:
        assert [path.name for path in parts.path.iterdir()] == ["_contacts-00001.ndjson.part"]
        export.append(b"new")
        export.finish()
    assert content_of(parts) == b"new"


def without_a_manifest(opened: Opened, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave an export that died when all its files had their names; give the last of them."""
    with opened(paths) as export:
        export.append(b"one ", b"two ", b"three")
        with monkeypatch.context() as patched:
            patched.setattr("exporter.destination.local.write_temporary", failing)
            with pytest.raises(OSError, match="Input/output"):
                export.finish()
    assert not paths.manifest.exists()
    return paths.file(2 if paths.is_folder else 1)


@pytest.mark.parametrize("way_out", [{"restart": True}, {"overwrite": True}, {"restart": True, "overwrite": True}])
def test_a_file_damaged_before_its_manifest_is_no_dead_end(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch, way_out: dict[str, bool]
) -> None:
    """It is refused without a word, and begun anew with one."""
    last = without_a_manifest(opened, paths, monkeypatch)
    last.write_bytes(last.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError, match="use --restart"), opened(paths):
        pass
    with opened(paths, **way_out) as export:
        assert export.output.resumed is None
        export.append(b"four")
        export.finish()
    assert content_of(paths) == b"four"
    with opened(paths) as export:
        assert export.output.finished is not None


def test_what_begins_anew_there_stays_one_writer_s(
    opened: Opened, file: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock goes over from the damaged file to the part that takes its place."""
    last = without_a_manifest(opened, file, monkeypatch)
    last.write_bytes(b"other bytes..")
    with opened(file, restart=True) as export:
        export.append(b"four")
        with pytest.raises(SinkError, match="another export is writing"), opened(file, restart=True):
            pass
        export.finish()


def test_what_has_its_name_is_not_cut(opened: Opened, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished file to which something was added is refused as it is."""
    last = without_a_manifest(opened, paths, monkeypatch)
    longer = last.read_bytes() + b"!"
    last.write_bytes(longer)
    with pytest.raises(CheckpointError, match="was changed since it was written"), opened(paths):
        pass
    assert last.read_bytes() == longer


def test_parts_have_a_limit(opened: Opened, parts: OutputPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """No export gets so many that its checkpoint could not be handled any more."""
    monkeypatch.setattr("exporter.destination.local.MAX_PARTS", 1)
    with opened(parts) as export, pytest.raises(SinkError, match="make them larger"):
        export.append(*(b"page " for _ in range(5)))
