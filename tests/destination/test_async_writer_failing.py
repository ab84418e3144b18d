"""A file destination whose disk fails, or whose files another program modifies."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from exporter import CheckpointError, ConfigError, SinkError
from exporter.destination import part as part_module
from exporter.layout.checkpoint import load_checkpoint
from exporter.layout.paths import OutputPaths, temporary_path
from tests.support.outputs import committed_pages

Sinks = Callable[..., AbstractAsyncContextManager[Any]]
Read = Callable[[OutputPaths], bytes]


def fail(*_: object) -> None:
    """Raise the error of a failing disk."""
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("step", ["commit", "append", "finish"])
async def test_destination_after_disk_error_commits_nothing_more(
    sinking: Sinks, file: OutputPaths, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Earlier reports of a failing disk are unreliable, so the previous checkpoint stays the latest."""
    with pytest.raises(SinkError, match="Input/output error") as caught:
        async with sinking(file) as sink:
            await sink.append(b"good ")
            await sink.sink.commit()
            await sink.append(b"lost ")
            with monkeypatch.context() as patched:
                patched.setattr(part_module, "write_all" if step == "append" else "sync", fail)
                await {"commit": sink.sink.commit, "append": lambda: sink.append(b"x"), "finish": sink.finish}[step]()
    assert caught.value.path == file.path
    assert committed_pages(file) == 1
    async with sinking(file):
        assert file.part(1).read_bytes() == b"good "


async def test_destination_exit_with_failed_commit_keeps_the_first_error(
    sinking: Sinks, file: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk error on exit does not hide the error that ended the block."""
    with pytest.raises(RuntimeError, match="first"):
        async with sinking(file) as sink:
            await sink.sink.commit()
            await sink.append(b"lost")
            monkeypatch.setattr(part_module, "sync", fail)
            raise RuntimeError("first")
    assert committed_pages(file) == 0


@pytest.mark.parametrize("step", ["commit", "finish"])
@pytest.mark.parametrize("change", ["replaced", "linked", "cut", "longer", "deleted"])
async def test_commit_or_finish_of_modified_part_is_refused(
    sinking: Sinks, file: OutputPaths, change: str, step: str
) -> None:
    """Only the file that was written, with the written length, is committed or finished."""
    part = file.part(1)
    with pytest.raises(SinkError, match="modified by another program"):
        async with sinking(file) as sink:
            await sink.append(b"written")
            if change in ("replaced", "linked", "deleted"):
                part.unlink()
            if change == "linked":
                part.symlink_to("/etc/passwd")
            elif change == "cut":
                os.truncate(part, 3)
            elif change == "longer":
                os.truncate(part, 30)
            elif change == "replaced":
                part.write_bytes(b"WRITTEN")
            await (sink.finish() if step == "finish" else sink.sink.commit())
    assert not file.path.exists()
    assert not file.manifest.exists()
    checkpoint = await anyio.to_thread.run_sync(load_checkpoint, file.checkpoint)
    assert checkpoint is not None
    assert (checkpoint.figures.position.pages, checkpoint.part and checkpoint.part.bytes) == (0, 0)


async def test_open_of_part_with_hard_link_is_refused(sinking: Sinks, file: OutputPaths) -> None:
    """A hard link would let an export write into another program's file."""
    other = file.folder / "other"
    other.write_bytes(b"mine")
    file.part(1).hardlink_to(other)
    with pytest.raises(SinkError, match="has other hard links or another owner"):
        async with sinking(file):
            pass
    assert other.read_bytes() == b"mine"


async def test_open_of_output_in_use_by_same_process_is_refused(
    sinking: Sinks, paths: OutputPaths, content_of: Read
) -> None:
    """The second writer is refused at once and changes nothing."""
    async with sinking(paths) as sink:
        await sink.append(b"first")
        with pytest.raises(SinkError, match="another export is writing"):
            async with sinking(paths):
                pass
        await sink.append(b" writer")
        await sink.finish()
    assert content_of(paths) == b"first writer"


async def test_open_with_invalid_checkpoint_or_path_keeps_the_error_class(sinking: Sinks, file: OutputPaths) -> None:
    """An invalid checkpoint and an invalid argument raise different errors."""
    file.checkpoint.write_bytes(b"{}")
    with pytest.raises(CheckpointError):
        async with sinking(file):
            pass
    file.checkpoint.unlink()
    file.path.mkdir()
    with pytest.raises(ConfigError):
        async with sinking(file):
            pass
    assert list(file.folder.iterdir()) == [file.path]


async def test_finish_with_folder_at_the_final_name_raises_sink_error(sinking: Sinks, file: OutputPaths) -> None:
    """The rename fails, the error has the file's path, and the part stays."""
    with pytest.raises(SinkError) as caught:
        async with sinking(file, overwrite=True) as sink:
            await sink.append(b"kept")
            file.path.mkdir()
            await sink.finish()
    assert caught.value.path == file.path
    assert file.part(1).read_bytes() == b"kept"


@pytest.mark.parametrize("obstacle", ["no room", "link", "folder"])
async def test_finish_with_unwritable_manifest_raises_sink_error(
    sinking: Sinks, paths: OutputPaths, content_of: Read, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    """The export lacks only its manifest, and the next run writes it."""
    pending, elsewhere = temporary_path(paths.manifest), paths.path.parent / "elsewhere"
    with pytest.raises(SinkError):
        async with sinking(paths) as sink:
            await sink.append(b"one")
            if obstacle == "link":
                pending.symlink_to(elsewhere)
            elif obstacle == "folder":
                pending.mkdir()
            else:
                monkeypatch.setattr("exporter.destination.local.write_temporary", fail)
            await sink.finish()
    assert not elsewhere.exists()
    assert content_of(paths) == b"one"
    monkeypatch.undo()
    if obstacle == "link":
        pending.unlink()
    elif obstacle == "folder":
        pending.rmdir()
    async with sinking(paths) as sink:
        assert sink.export.output.resumed is not None
        await sink.finish()
    assert paths.manifest.exists()


LIMITED_PROGRAM = textwrap.dedent("""
    import asyncio, pathlib, resource, signal, sys
    import exporter
    from exporter.observe.events import null_observer
    from exporter.model import Frame
    from exporter.layout.settings import OutputSettings
    from exporter.source.retry import RequestStats
    from exporter.state import JobState
    from exporter.destination.async_writer import FileDestination
    from exporter.options import ExportOptions
    from exporter.destination.local import Output
    from exporter.layout.paths import OutputPaths

    async def main(path):
        settings = OutputSettings(base_url="", endpoint="", api_version="", per_page=1, format="ndjson")
        output = Output(OutputPaths(path, ".ndjson"), settings, ExportOptions())
        async with FileDestination(output, null_observer) as sink:
            await sink.open()
            await sink.start(JobState(RequestStats()))
            await sink.append(Frame(b"a" * 60_000, 1, 60_000))
            try:
                await sink.append(Frame(b"b" * 60_000, 1, 60_000))
            except exporter.SinkError as error:
                print(error.path, "|", error, "|", type(error.__cause__).__name__)

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    asyncio.run(main(pathlib.Path(sys.argv[1])))
""")


def test_append_beyond_file_size_limit_raises_sink_error(file: OutputPaths) -> None:
    """The error names the output; the written bytes stay, and no final file appears."""
    command = [sys.executable, "-c", LIMITED_PROGRAM, str(file.path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    where, sentence, cause = done.stdout.decode().strip().split(" | ")
    assert where == str(file.path)
    assert "File too large" in sentence
    assert cause == "OSError"
    assert file.part(1).stat().st_size == 100_000
    assert not Path(file.path).exists()
