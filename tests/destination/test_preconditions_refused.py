"""Folders, links, pipes and names that are in an output's way."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter import ConfigError, SinkError
from exporter.destination.preconditions import find_existing, make_folder, stale_files
from exporter.layout.checkpoint import OutputSettings
from exporter.layout.paths import OutputPaths, temporary_path

Look = Callable[..., Any]


@pytest.fixture
def look(paths: OutputPaths, plain: OutputSettings) -> Look:
    """Look at what is there."""
    return lambda **manners: find_existing(paths, plain, **({"overwrite": False, "restart": False} | manners))


@pytest.mark.parametrize("name", ["notes.txt", "contacts.ndjson", "contacts-1.ndjson", "folder"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_holds_other_things_is_refused(
    parts: OutputPaths, plain: OutputSettings, name: str, overwrite: bool
) -> None:
    """Parts are not mixed with what is not theirs, whatever is allowed to be overwritten."""
    parts.path.mkdir()
    (parts.path / name).mkdir() if name == "folder" else (parts.path / name).write_bytes(b"")
    with pytest.raises(ConfigError, match=f"contains '{name}', which does not belong to an export"):
        find_existing(parts, plain, overwrite=overwrite, restart=True)


DROPPINGS = [
    *("lost+found", "aquota.user", "Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini"),
    *("$RECYCLE.BIN", "System Volume Information", "Icon\r", "__MACOSX", "@eaDir", "#recycle", "@Recycle", "#snapshot"),
    *(".DS_Store", "._contacts-00001.ndjson.part", ".nfs0000000000000001", ".snapshot", ".Trash-1000", ".directory"),
    *(".fuse_hidden0000000100000001", ".stfolder", ".Spotlight-V100", ".fseventsd"),
]


@pytest.mark.parametrize("name", DROPPINGS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_inspect_folder_with_what_systems_drop_ignores_it(
    parts: OutputPaths, plain: OutputSettings, name: str, overwrite: bool
) -> None:
    """What a file system, a viewer or a NAS leaves in any folder is neither refused nor touched, a file or a folder."""
    for make in (Path.touch, Path.mkdir):
        parts.path.mkdir()
        make(parts.path / name)
        assert find_existing(parts, plain, overwrite=overwrite, restart=False) is None
        assert stale_files(parts) == []
        shutil.rmtree(parts.path)


@pytest.mark.parametrize("name", ["lost+found.txt", "Thumbs.db.ndjson", "recycle", "_temporary", "_SUCCESS.txt"])
def test_inspect_folder_with_what_only_looks_dropped_refuses_it(
    parts: OutputPaths, plain: OutputSettings, name: str
) -> None:
    """Only known names are ignored."""
    parts.path.mkdir()
    (parts.path / name).touch()
    with pytest.raises(ConfigError, match="which does not belong to an export"):
        find_existing(parts, plain, overwrite=True, restart=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_inspect_folder_with_a_success_marker_refuses_to_write(
    parts: OutputPaths, plain: OutputSettings, overwrite: bool
) -> None:
    """Another program would take an unfinished folder for a complete one."""
    parts.path.mkdir()
    (parts.path / "_SUCCESS").touch()
    with pytest.raises(ConfigError, match="'_SUCCESS', which marks a complete data set: remove it"):
        find_existing(parts, plain, overwrite=overwrite, restart=False)


def test_hidden_files_are_none_of_our_business(parts: OutputPaths, plain: OutputSettings) -> None:
    """What a desktop or a file system leaves in a folder is neither refused nor touched."""
    parts.path.mkdir()
    for name in (".DS_Store", ".nfs0001"):
        (parts.path / name).write_bytes(b"theirs")
    (parts.path / ".hidden").mkdir()
    assert find_existing(parts, plain, overwrite=False, restart=False) is None
    assert stale_files(parts) == []


def test_leftovers_are_all_data_files_the_latest_first(parts: OutputPaths) -> None:
    """Finished or not, and of any format, but nothing else."""
    parts.path.mkdir()
    data = ["_contacts-00003.ndjson.part", "contacts-00002.ndjson.gz", "contacts-00001.ndjson"]
    for name in (*data, "_manifest.json", "checkpoint.json", ".hidden", "notes.txt"):
        (parts.path / name).write_bytes(b"")
    assert [path.name for path in stale_files(parts)] == data


def test_a_folder_is_made_for_its_owner_alone(file: OutputPaths, parts: OutputPaths) -> None:
    """Whatever the umask; one that is there is left as it is, and a single file needs none."""
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


IN_THE_WAY: dict[str, Callable[[OutputPaths], Path]] = {
    "file": lambda paths: paths.file(1),
    "part": lambda paths: paths.part(1),
    "manifest": lambda paths: paths.manifest,
    "checkpoint": lambda paths: paths.checkpoint,
    "pending manifest": lambda paths: temporary_path(paths.manifest),
    "pending checkpoint": lambda paths: temporary_path(paths.checkpoint),
}


@pytest.mark.parametrize("name", IN_THE_WAY)
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_in_the_way_is_refused(
    paths: OutputPaths, look: Look, name: str, overwrite: bool, dangling: bool
) -> None:
    """Personal data is written only to plain files, whatever is allowed to be overwritten."""
    make_folder(paths)
    path, target = IN_THE_WAY[name](paths), paths.path.parent / "elsewhere"
    if not dangling:
        target.write_bytes(b"kept")
    path.symlink_to(target)
    with pytest.raises(ConfigError, match="is a symbolic link") as caught:
        look(overwrite=overwrite, restart=overwrite)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", IN_THE_WAY)
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_something_that_is_no_file_is_refused(
    paths: OutputPaths, look: Look, name: str, make: Callable[[Path], None]
) -> None:
    """A folder or a pipe under one of the names is an argument to change."""
    make_folder(paths)
    make(IN_THE_WAY[name](paths))
    with pytest.raises(ConfigError, match="not a regular file"):
        look(overwrite=True)


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_to_a_folder_is_refused(parts: OutputPaths, plain: OutputSettings, dangling: bool) -> None:
    """Parts are written only to a plain folder."""
    if not dangling:
        parts.path.with_name("elsewhere").mkdir()
    parts.path.symlink_to(parts.path.with_name("elsewhere"))
    with pytest.raises(ConfigError, match=r"is a symbolic link: .* plain folders"):
        find_existing(parts, plain, overwrite=True, restart=True)


@pytest.mark.parametrize("folder", ["missing", "a file"])
@pytest.mark.parametrize("in_parts", [False, True])
def test_a_missing_folder_is_refused(tmp_path: Path, plain: OutputSettings, folder: str, in_parts: bool) -> None:
    """Only the folder of the parts themselves is made unasked."""
    (tmp_path / "a file").write_bytes(b"")
    paths = OutputPaths(tmp_path / folder / "contacts.ndjson", ".ndjson", is_folder=in_parts)
    with pytest.raises(ConfigError, match=r"folder of .* does not exist"):
        find_existing(paths, plain, overwrite=False, restart=False)


def test_a_file_in_the_place_of_a_folder_is_refused(parts: OutputPaths, plain: OutputSettings) -> None:
    """Parts cannot go into a file: another output has to be named."""
    parts.path.write_bytes(b"somebody's")
    with pytest.raises(ConfigError):
        find_existing(parts, plain, overwrite=True, restart=True)
    assert parts.path.read_bytes() == b"somebody's"


@pytest.mark.parametrize("name", ["con\0tacts.ndjson", "a" * 230 + ".ndjson", "b\udcff.ndjson"])
def test_a_name_that_no_manifest_could_hold_is_refused(tmp_path: Path, plain: OutputSettings, name: str) -> None:
    """A NUL, a name too long for its companions, or one that is not UTF-8 is a wrong argument."""
    with pytest.raises(ConfigError, match="too long, not UTF-8, or contains a NUL"):
        find_existing(OutputPaths(tmp_path / name, ".ndjson"), plain, overwrite=False, restart=False)


@pytest.mark.parametrize("name", ["con\0tacts", "a" * 256, "b\udcff"])
def test_a_folders_name_that_no_system_takes_is_refused(tmp_path: Path, plain: OutputSettings, name: str) -> None:
    """The same holds for a folder of parts, whose name alone has to fit."""
    with pytest.raises(ConfigError, match="too long, not UTF-8, or contains a NUL"):
        find_existing(OutputPaths(tmp_path / name, ".ndjson", is_folder=True), plain, overwrite=False, restart=False)
    assert (
        find_existing(
            OutputPaths(tmp_path / ("a" * 255), ".ndjson", is_folder=True), plain, overwrite=False, restart=False
        )
        is None
    )


def test_a_folder_that_cannot_be_read_is_a_failure_of_the_destination(
    parts: OutputPaths, plain: OutputSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system refuses is told with its reason."""

    def deny(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    parts.path.mkdir()
    monkeypatch.setattr(Path, "iterdir", deny)
    with pytest.raises(SinkError, match="Permission denied") as caught:
        find_existing(parts, plain, overwrite=False, restart=False)
    assert caught.value.path == parts.path
