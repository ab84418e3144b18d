"""Folders, links, pipes and names that prevent an output."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter import ConfigError, SinkError
from exporter.destination.preconditions import find_existing, make_folder, stale_files
from exporter.layout.paths import OutputPaths, temporary_path
from exporter.layout.settings import OutputSettings

Find = Callable[..., Any]


@pytest.fixture
def find(paths: OutputPaths, plain: OutputSettings) -> Find:
    """Return find_existing() for the output."""
    return lambda **options: find_existing(paths, plain, **({"overwrite": False, "restart": False} | options))


@pytest.mark.parametrize("name", ["notes.txt", "contacts.ndjson", "contacts-1.ndjson", "folder"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_find_existing_in_folder_with_foreign_entry_is_refused(
    parts: OutputPaths, plain: OutputSettings, name: str, overwrite: bool
) -> None:
    """Parts are not mixed with foreign files, even with overwrite."""
    parts.path.mkdir()
    (parts.path / name).mkdir() if name == "folder" else (parts.path / name).write_bytes(b"")
    with pytest.raises(ConfigError, match=f"contains '{name}', which does not belong to an export"):
        find_existing(parts, plain, overwrite=overwrite, restart=True)


SYSTEM_FILES = [
    *("lost+found", "aquota.user", "Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini"),
    *("$RECYCLE.BIN", "System Volume Information", "Icon\r", "__MACOSX", "@eaDir", "#recycle", "@Recycle", "#snapshot"),
    *(".DS_Store", "._contacts-00001.ndjson.part", ".nfs0000000000000001", ".snapshot", ".Trash-1000", ".directory"),
    *(".fuse_hidden0000000100000001", ".stfolder", ".Spotlight-V100", ".fseventsd"),
]


@pytest.mark.parametrize("name", SYSTEM_FILES)
@pytest.mark.parametrize("overwrite", [False, True])
def test_find_existing_in_folder_with_system_files_ignores_them(
    parts: OutputPaths, plain: OutputSettings, name: str, overwrite: bool
) -> None:
    """What a file system, a viewer or a NAS leaves in a folder is neither refused nor touched."""
    for make in (Path.touch, Path.mkdir):
        parts.path.mkdir()
        make(parts.path / name)
        assert find_existing(parts, plain, overwrite=overwrite, restart=False) is None
        assert stale_files(parts) == []
        shutil.rmtree(parts.path)


@pytest.mark.parametrize("name", ["lost+found.txt", "Thumbs.db.ndjson", "recycle", "_temporary", "_SUCCESS.txt"])
def test_find_existing_in_folder_with_similar_names_is_refused(
    parts: OutputPaths, plain: OutputSettings, name: str
) -> None:
    """Only known names are ignored."""
    parts.path.mkdir()
    (parts.path / name).touch()
    with pytest.raises(ConfigError, match="which does not belong to an export"):
        find_existing(parts, plain, overwrite=True, restart=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_find_existing_in_folder_with_success_marker_is_refused(
    parts: OutputPaths, plain: OutputSettings, overwrite: bool
) -> None:
    """Another program would take an unfinished folder for a complete one."""
    parts.path.mkdir()
    (parts.path / "_SUCCESS").touch()
    with pytest.raises(ConfigError, match="'_SUCCESS', which marks a complete data set: remove it"):
        find_existing(parts, plain, overwrite=overwrite, restart=False)


def test_find_existing_in_folder_with_hidden_entries_ignores_them(parts: OutputPaths, plain: OutputSettings) -> None:
    """They are neither refused nor listed as stale."""
    parts.path.mkdir()
    for name in (".DS_Store", ".nfs0001"):
        (parts.path / name).write_bytes(b"theirs")
    (parts.path / ".hidden").mkdir()
    assert find_existing(parts, plain, overwrite=False, restart=False) is None
    assert stale_files(parts) == []


def test_stale_files_are_all_data_files_latest_first(parts: OutputPaths) -> None:
    """This includes finished and unfinished files of any format, and nothing else."""
    parts.path.mkdir()
    data = ["_contacts-00003.ndjson.part", "contacts-00002.ndjson.gz", "contacts-00001.ndjson"]
    for name in (*data, "_manifest.json", "checkpoint.json", ".hidden", "notes.txt"):
        (parts.path / name).write_bytes(b"")
    assert [path.name for path in stale_files(parts)] == data


def test_make_folder_is_private_and_keeps_an_existing_folder(file: OutputPaths, parts: OutputPaths) -> None:
    """The umask does not matter, and a single file needs no folder."""
    before = os.umask(0)
    try:
        make_folder(parts)
    finally:
        os.umask(before)
    assert parts.path.stat().st_mode & 0o777 == 0o700
    parts.path.chmod(0o750)
    make_folder(parts)
    make_folder(file)
    assert parts.path.stat().st_mode & 0o777 == 0o750
    assert list(file.folder.iterdir()) == [parts.path]


OUTPUT_FILES: dict[str, Callable[[OutputPaths], Path]] = {
    "file": lambda paths: paths.file(1),
    "part": lambda paths: paths.part(1),
    "manifest": lambda paths: paths.manifest,
    "checkpoint": lambda paths: paths.checkpoint,
    "pending manifest": lambda paths: temporary_path(paths.manifest),
    "pending checkpoint": lambda paths: temporary_path(paths.checkpoint),
}


@pytest.mark.parametrize("name", OUTPUT_FILES)
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_find_existing_with_symbolic_link_is_refused(
    paths: OutputPaths, find: Find, name: str, overwrite: bool, dangling: bool
) -> None:
    """Personal data is written only to plain files, even with overwrite."""
    make_folder(paths)
    path, target = OUTPUT_FILES[name](paths), paths.path.parent / "elsewhere"
    if not dangling:
        target.write_bytes(b"kept")
    path.symlink_to(target)
    with pytest.raises(ConfigError, match="is a symbolic link") as caught:
        find(overwrite=overwrite, restart=overwrite)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", OUTPUT_FILES)
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_find_existing_with_folder_or_pipe_is_refused(
    paths: OutputPaths, find: Find, name: str, make: Callable[[Path], None]
) -> None:
    """The user has to change the path."""
    make_folder(paths)
    make(OUTPUT_FILES[name](paths))
    with pytest.raises(ConfigError, match="not a regular file"):
        find(overwrite=True)


@pytest.mark.parametrize("dangling", [False, True])
def test_find_existing_with_link_to_folder_is_refused(
    parts: OutputPaths, plain: OutputSettings, dangling: bool
) -> None:
    """Parts are written only to a plain folder."""
    if not dangling:
        parts.path.with_name("elsewhere").mkdir()
    parts.path.symlink_to(parts.path.with_name("elsewhere"))
    with pytest.raises(ConfigError, match=r"is a symbolic link: .* plain folders"):
        find_existing(parts, plain, overwrite=True, restart=True)


@pytest.mark.parametrize("folder", ["missing", "a file"])
@pytest.mark.parametrize("in_parts", [False, True])
def test_find_existing_in_missing_folder_is_refused(
    tmp_path: Path, plain: OutputSettings, folder: str, in_parts: bool
) -> None:
    """The exporter creates only the folder of the parts."""
    (tmp_path / "a file").write_bytes(b"")
    paths = OutputPaths(tmp_path / folder / "contacts.ndjson", ".ndjson", is_folder=in_parts)
    with pytest.raises(ConfigError, match=r"folder of .* does not exist"):
        find_existing(paths, plain, overwrite=False, restart=False)


def test_find_existing_with_file_instead_of_folder_is_refused(parts: OutputPaths, plain: OutputSettings) -> None:
    """The file is left as it is."""
    parts.path.write_bytes(b"somebody's")
    with pytest.raises(ConfigError):
        find_existing(parts, plain, overwrite=True, restart=True)
    assert parts.path.read_bytes() == b"somebody's"


@pytest.mark.parametrize("name", ["con\0tacts.ndjson", "a" * 230 + ".ndjson", "b\udcff.ndjson"])
def test_find_existing_with_invalid_file_name_is_refused(tmp_path: Path, plain: OutputSettings, name: str) -> None:
    """A NUL, a name too long for the other files of the output, or one that is not UTF-8 is invalid."""
    with pytest.raises(ConfigError, match="too long, not UTF-8, or contains a NUL"):
        find_existing(OutputPaths(tmp_path / name, ".ndjson"), plain, overwrite=False, restart=False)


@pytest.mark.parametrize("name", ["con\0tacts", "a" * 256, "b\udcff"])
def test_find_existing_with_invalid_folder_name_is_refused(tmp_path: Path, plain: OutputSettings, name: str) -> None:
    """Same as above, but only the folder's own name has to fit."""
    with pytest.raises(ConfigError, match="too long, not UTF-8, or contains a NUL"):
        find_existing(OutputPaths(tmp_path / name, ".ndjson", is_folder=True), plain, overwrite=False, restart=False)
    assert (
        find_existing(
            OutputPaths(tmp_path / ("a" * 255), ".ndjson", is_folder=True), plain, overwrite=False, restart=False
        )
        is None
    )


def test_find_existing_in_unreadable_folder_raises_sink_error(
    parts: OutputPaths, plain: OutputSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the system's reason."""

    def deny(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    parts.path.mkdir()
    monkeypatch.setattr(Path, "iterdir", deny)
    with pytest.raises(SinkError, match="Permission denied") as caught:
        find_existing(parts, plain, overwrite=False, restart=False)
    assert caught.value.path == parts.path
