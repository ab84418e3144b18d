"""An output has one writer at a time, and keeps the minimum of free space on the disk."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter import CheckpointError, ConfigError, SinkError
from exporter.destination import lock as module
from exporter.destination.lock import lock_output, open_locked
from exporter.layout.atomic import write_temporary
from exporter.layout.paths import OutputPaths
from exporter.layout.settings import OutputSettings

Opened = Callable[..., AbstractContextManager[Any]]
Read = Callable[[OutputPaths], bytes]


def test_open_of_output_in_use_is_refused(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """This holds with restart and overwrite, too; the second writer changes nothing."""
    with opened(paths) as export:
        export.append(b"first ")
        for options in ({}, {"restart": True}, {"overwrite": True}, {"overwrite": True, "restart": True}):
            with pytest.raises(SinkError, match="another export is writing"):
                with opened(paths, **options):
                    pass
        export.commit()
        with pytest.raises(SinkError, match="another export is writing"):
            with opened(paths):
                pass
        export.append(b"writer")
        export.finish()
    assert content_of(paths) == b"first writer"


@pytest.mark.parametrize("overwrite", [False, True])
def test_finish_keeps_the_lock_until_the_manifest_is_written(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    """Between the rename and the manifest, the file still belongs to its writer."""
    refused = []

    def try_concurrently(path: Path, content: bytes) -> Path:
        with pytest.raises(SinkError, match="another export is writing") as caught:
            with opened(paths, overwrite=overwrite):
                pass
        refused.append(caught.value.path)
        return write_temporary(path, content)

    with opened(paths) as export:
        export.append(b"one")
        monkeypatch.setattr("exporter.destination.local.write_temporary", try_concurrently)
        export.finish()
    assert refused == [paths.path]
    assert content_of(paths) == b"one"


@pytest.mark.parametrize("restart", [False, True])
def test_open_with_overwrite_while_another_export_finishes_is_refused(
    opened: Opened, file: OutputPaths, plain: OutputSettings, restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for an export that starts over, too."""
    others = replace(plain, per_page=plain.per_page if restart else 50)

    def try_concurrently(path: Path, content: bytes) -> Path:
        monkeypatch.undo()
        with pytest.raises(SinkError, match="another export is writing"):
            with opened(file, others, overwrite=True, restart=restart):
                pass
        return write_temporary(path, content)

    with opened(file) as export:
        export.append(b"one")
        monkeypatch.setattr("exporter.destination.local.write_temporary", try_concurrently)
        export.finish()


def test_open_while_another_export_finishes_names_the_cause(
    opened: Opened, file: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error mentions another export, and not damage."""
    with opened(file) as first:
        first.append(b"one")
        first.commit()

        def finished_by_another(path: Path, **options: Any) -> int:
            monkeypatch.undo()
            first.finish()
            first.output.close()
            return open_locked(path, **options)

        monkeypatch.setattr(module, "open_locked", finished_by_another)
        with pytest.raises(SinkError, match="another export"):
            with opened(file):
                pass


LOCK_HOLDER_PROGRAM = textwrap.dedent("""
    import pathlib, sys
    from exporter.layout.settings import OutputSettings
    from exporter.options import ExportOptions
    from exporter.destination.local import Output
    from exporter.layout.paths import OutputPaths

    settings = OutputSettings(base_url="", endpoint="", api_version="", per_page=1, format="ndjson")
    output = Output(OutputPaths(pathlib.Path(sys.argv[1]), ".ndjson", sys.argv[2] == "True"), settings, ExportOptions())
    list(output.open())
    print("held", flush=True)
    sys.stdin.read()
""")


def test_lock_of_killed_process_is_released(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """A second process is refused at once; after the kill no cleanup is necessary."""
    command = [sys.executable, "-c", LOCK_HOLDER_PROGRAM, str(paths.path), str(paths.is_folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(SinkError, match="another export"):
            with opened(paths):
                pass
        holder.kill()
    with opened(paths) as export:
        export.append(b"one")
        export.finish()
    assert content_of(paths) == b"one"


def test_open_checks_existing_files_again_after_locking(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that another process finishes between check and lock is not overwritten."""
    call = "open_locked_folder" if paths.is_folder else "open_locked"
    real_lock = getattr(module, call)

    def finished_by_another(path: Path, **options: Any) -> Any:
        monkeypatch.setattr(module, call, real_lock)
        with opened(paths) as export:
            export.append(b"theirs")
            export.finish()
        return real_lock(path, **options)

    monkeypatch.setattr(module, call, finished_by_another)
    with pytest.raises(SinkError, match="another export has just written") as caught:
        with opened(paths):
            pass
    assert caught.value.path == paths.path
    assert content_of(paths) == b"theirs"


def test_outputs_in_one_folder_are_independent(opened: Opened, content_of: Read, tmp_path: Path) -> None:
    """Two files in one folder are two outputs."""
    first, second = (OutputPaths(tmp_path / f"{name}.ndjson", ".ndjson") for name in ("first", "second"))
    with opened(first) as one, opened(second) as other:
        one.append(b"1")
        other.append(b"2")
        one.finish()
        other.finish()
    assert (content_of(first), content_of(second)) == (b"1", b"2")


class Disk:
    """A fake disk that returns each free-space figure once, and the last one always."""

    f_frsize = f_blocks = 1

    def __init__(self, *free: int) -> None:
        self.free = list(free)

    @property
    def f_bavail(self) -> int:
        """Return the number of free blocks."""
        return self.free.pop(0) if len(self.free) > 1 else self.free[0]

    def __call__(self, folder: Path) -> "Disk":
        """Return the figures, as os.statvfs() does."""
        assert folder.is_dir()
        return self


def test_open_with_too_little_free_space_writes_nothing(
    opened: Opened, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly the minimum is enough."""
    monkeypatch.setattr(os, "statvfs", Disk(999, 1_000))
    with pytest.raises(SinkError, match=r"^999 bytes are free in .*, less than the minimum of 1,000") as caught:
        with opened(paths, min_free_bytes=1_000):
            pass
    assert caught.value.path == paths.path.parent
    assert not paths.path.exists()
    with opened(paths, min_free_bytes=1_000):
        pass


def test_append_with_too_little_free_space_is_refused_and_resumable(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The committed frames stay, and the export resumes once there is free space."""
    reserve = 2**20
    monkeypatch.setattr(os, "statvfs", Disk(1_000, reserve, 1_000))
    with opened(paths, min_free_bytes=1_000) as export:
        export.append(b"one ")
        export.commit()
        with pytest.raises(
            SinkError,
            match=r"writing [0-9,]+ more would leave less than the minimum of 1,000: free disk space, then run",
        ):
            export.append(b"never")
    monkeypatch.setattr(os, "statvfs", Disk(reserve))
    with opened(paths, min_free_bytes=999) as export:
        assert export.output.resumed is not None
        export.append(b"two")
        export.finish()
    assert content_of(paths) == b"one two"


def test_output_without_minimum_does_not_check_free_space(
    opened: Opened, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without free-space figures is sufficient."""
    monkeypatch.delattr(os, "statvfs")
    with opened(paths) as export:
        export.append(b"one")
        export.commit()
        export.finish()


def test_output_closed_refused_or_finished_leaves_no_open_file(opened: Opened, paths: OutputPaths) -> None:
    """A second close has no effect."""
    open_files = Path("/proc/self/fd")
    if not open_files.exists():
        pytest.skip("needs /proc")
    before = len(list(open_files.iterdir()))
    with opened(paths) as export:
        export.append(b"one ", b"two ", b"three ")
        export.commit()
        export.output.close()
    path = paths.part(2 if paths.is_folder else 1)
    content = path.read_bytes()
    path.write_bytes(b"damaged" * 10)
    with pytest.raises(CheckpointError):
        with opened(paths):
            pass
    path.write_bytes(content)
    with opened(paths) as export:
        export.finish()
    assert len(list(open_files.iterdir())) == before


def test_open_with_foreign_files_changes_nothing(opened: Opened, paths: OutputPaths) -> None:
    """The refused export leaves no lock, part or folder."""
    if paths.is_folder:
        paths.path.mkdir()
        (paths.path / "notes.txt").write_bytes(b"mine")
    else:
        paths.path.write_bytes(b"mine")
    before = sorted(paths.folder.iterdir())
    with pytest.raises(ConfigError):
        with opened(paths):
            pass
    assert sorted(paths.folder.iterdir()) == before


def test_lock_output_that_is_refused_leaves_no_part(
    opened: Opened, file: OutputPaths, content_of: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty part beside a file without its manifest would be taken for its data."""

    def try_concurrently(path: Path, content: bytes) -> Path:
        monkeypatch.undo()
        with pytest.raises(SinkError, match="another export is writing"):
            lock_output(file, None)  # as a process that checked before there was any file
        assert not file.part(1).exists()
        return write_temporary(path, content)

    with opened(file) as export:
        export.append(b"one")
        monkeypatch.setattr("exporter.destination.local.write_temporary", try_concurrently)
        export.finish()
    assert content_of(file) == b"one"


def test_open_of_folder_in_use_reports_the_other_export(
    opened: Opened, parts: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that is renamed during the check is not reported as a foreign file."""

    def seen_too_late(*_: object, **__: object) -> None:
        raise ConfigError("a part without a checkpoint")

    with opened(parts) as first:
        first.append(b"one")
        monkeypatch.setattr("exporter.destination.local.find_existing", seen_too_late)
        with pytest.raises(SinkError, match="another export is writing"), opened(parts):
            pass
