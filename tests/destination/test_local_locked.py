"""An output is one writer's at a time, and leaves room on the disk."""

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
from exporter.layout.checkpoint import OutputSettings
from exporter.layout.paths import OutputPaths

Opened = Callable[..., AbstractContextManager[Any]]
Read = Callable[[OutputPaths], bytes]


def test_a_second_opener_is_refused_until_the_first_is_done(
    opened: Opened, content_of: Read, paths: OutputPaths
) -> None:
    """One output, one writer, whatever is allowed to be replaced; the second harms nothing."""
    with opened(paths) as export:
        export.append(b"first ")
        for manners in ({}, {"restart": True}, {"overwrite": True}, {"overwrite": True, "restart": True}):
            with pytest.raises(SinkError, match="another export is writing"):
                with opened(paths, **manners):
                    pass
        export.commit()
        with pytest.raises(SinkError, match="another export is writing"):
            with opened(paths):
                pass
        export.append(b"writer")
        export.finish()
    assert content_of(paths) == b"first writer"


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_output_is_locked_until_its_manifest_is_there(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    """Between getting its name and its manifest a file is still its writer's alone."""
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
def test_a_file_that_lacks_its_manifest_is_not_replaced_under_its_writer(
    opened: Opened, file: OutputPaths, plain: OutputSettings, restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also an export that does not go on with what is there waits for the one that is about to finish."""
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


def test_an_export_that_finishes_while_its_lock_is_taken_is_not_taken_for_damage(
    opened: Opened, file: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes in the very moment of the last step is told that there is another export, not to start over."""
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


HOLDER = textwrap.dedent("""
    import pathlib, sys
    from exporter.layout.checkpoint import OutputSettings
    from exporter.options import ExportOptions
    from exporter.destination.local import Output
    from exporter.layout.paths import OutputPaths

    settings = OutputSettings(base_url="", endpoint="", api_version="", per_page=1, format="ndjson")
    output = Output(OutputPaths(pathlib.Path(sys.argv[1]), ".ndjson", sys.argv[2] == "True"), settings, ExportOptions())
    list(output.open())
    print("held", flush=True)
    sys.stdin.read()
""")


def test_the_lock_is_gone_with_the_process_that_had_it(opened: Opened, content_of: Read, paths: OutputPaths) -> None:
    """A second process is refused at once; after the first was killed nothing has to be cleared away."""
    command = [sys.executable, "-c", HOLDER, str(paths.path), str(paths.is_folder)]
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


def test_what_changes_while_the_lock_is_taken_is_looked_at_again(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that another process finished between looking and locking is not written over."""
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


def test_outputs_in_one_folder_do_not_disturb_each_other(opened: Opened, content_of: Read, tmp_path: Path) -> None:
    """Two files in one folder are two outputs."""
    first, second = (OutputPaths(tmp_path / f"{name}.ndjson", ".ndjson") for name in ("first", "second"))
    with opened(first) as one, opened(second) as other:
        one.append(b"1")
        other.append(b"2")
        one.finish()
        other.finish()
    assert (content_of(first), content_of(second)) == (b"1", b"2")


class Disk:
    """A disk that has so much room, one figure after the other, then the last for good."""

    f_frsize = f_blocks = 1

    def __init__(self, *free: int) -> None:
        self.free = list(free)

    @property
    def f_bavail(self) -> int:
        """Give the blocks that are free."""
        return self.free.pop(0) if len(self.free) > 1 else self.free[0]

    def __call__(self, folder: Path) -> "Disk":
        """Be asked as the system is."""
        assert folder.is_dir()
        return self


def test_too_little_room_at_the_start_is_told_at_once(
    opened: Opened, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where less is free than is to be left, nothing is written; exactly so much is enough."""
    monkeypatch.setattr(os, "statvfs", Disk(999, 1_000))
    with pytest.raises(SinkError, match=r"^999 bytes are free in .*, less than the minimum of 1,000") as caught:
        with opened(paths, min_free_bytes=1_000):
            pass
    assert caught.value.path == paths.path.parent
    assert not paths.path.exists()
    with opened(paths, min_free_bytes=1_000):
        pass


def test_room_that_runs_out_is_told_after_a_commit(
    opened: Opened, content_of: Read, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written is committed before it is refused to go on, so that it goes on when there is room again."""
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


def test_without_a_least_room_the_disk_is_not_asked(
    opened: Opened, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that cannot tell its room is good enough where nobody asked for any."""
    monkeypatch.delattr(os, "statvfs")
    with opened(paths) as export:
        export.append(b"one")
        export.commit()
        export.finish()


def test_nothing_stays_open(opened: Opened, paths: OutputPaths) -> None:
    """Closed, refused or finished: no descriptor is left, and closing twice is once."""
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


def test_what_is_in_the_way_is_refused_before_anything_is_touched(opened: Opened, paths: OutputPaths) -> None:
    """Somebody's files leave no lock, no part and no folder behind."""
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


def test_who_is_refused_leaves_no_part_behind(
    opened: Opened, file: OutputPaths, content_of: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty one beside a file that lacks only its manifest would be taken for its data."""

    def try_concurrently(path: Path, content: bytes) -> Path:
        monkeypatch.undo()
        with pytest.raises(SinkError, match="another export is writing"):
            lock_output(file, None)  # as who looked before there was anything
        assert not file.part(1).exists()
        return write_temporary(path, content)

    with opened(file) as export:
        export.append(b"one")
        monkeypatch.setattr("exporter.destination.local.write_temporary", try_concurrently)
        export.finish()
    assert content_of(file) == b"one"


def test_parts_of_another_export_are_not_called_foreign(
    opened: Opened, parts: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that gets its name while somebody looks at the folder is no reason to overwrite it."""

    def seen_too_late(*_: object, **__: object) -> None:
        raise ConfigError("a part without a checkpoint")

    with opened(parts) as first:
        first.append(b"one")
        monkeypatch.setattr("exporter.destination.local.find_existing", seen_too_late)
        with pytest.raises(SinkError, match="another export is writing"), opened(parts):
            pass
