"""What stands where an output is to go decides before anything is requested or written."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from exporter import CheckpointError, ConfigError, FileSummary, SourceSummary, Summary
from exporter.sink.file import part_path
from exporter.sink.manifest import manifest_path, prepare_manifest
from exporter.sink.target import finished_export

SOURCE = SourceSummary("https://api.intercom.io", "/contacts", "2.14", None, 150)
CONTENT = b'{"id":"1"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name an output."""
    return tmp_path / "contacts.ndjson"


def finish(path: Path, limited_to_contacts: int | None = None, source: SourceSummary = SOURCE) -> Summary:
    """Leave a finished export."""
    path.write_bytes(CONTENT)
    summary = Summary(
        tool="intercom-exporter 0.1.0",
        complete=limited_to_contacts is None,
        limited_to_contacts=limited_to_contacts,
        source=replace(source, api_version_echoed="2.14"),
        started_at="2026-11-22T10:00:00Z",
        finished_at="2026-11-22T10:33:00Z",
        runs=1,
        pages=1,
        contacts=1,
        total_count_first=1,
        total_count_last=1,
        requests=1,
        retries={},
        rate_limit_wait_s=0.0,
        files=(FileSummary(path.name, len(CONTENT), "ab" * 32, 1, len(CONTENT)),),
    )
    prepare_manifest(path, summary).replace(manifest_path(path))
    return summary


def look(path: Path, source: SourceSummary = SOURCE, most: int | None = None, *, overwrite: bool = False) -> object:
    """Look at what is there."""
    return finished_export(path, source, most, overwrite=overwrite)


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_empty_place_is_work_to_do(path: Path, overwrite: bool) -> None:
    """Nothing there, or only the part of an unfinished run, is no finished export; looking writes nothing."""
    assert look(path, overwrite=overwrite) is None
    part_path(path).write_bytes(b"begun")
    assert look(path, overwrite=overwrite) is None
    assert list(path.parent.iterdir()) == [part_path(path)]


@pytest.mark.parametrize("most", [None, 1])
def test_a_finished_export_with_these_settings_is_told(path: Path, most: int | None) -> None:
    """Its figures come back; whatever version the API echoed then does not matter."""
    summary = finish(path, most)
    assert look(path, most=most) == summary
    assert look(path, replace(SOURCE, api_version_echoed="2.13"), most) == summary


@pytest.mark.parametrize(
    ("source", "most", "named"),
    [
        (replace(SOURCE, base_url="https://api.eu.intercom.io"), None, "base url"),
        (replace(SOURCE, endpoint="/users"), None, "endpoint"),
        (replace(SOURCE, api_version="2.13"), None, "api version"),
        (replace(SOURCE, per_page=50), None, "per page"),
        (SOURCE, 5, "max contacts"),
        (replace(SOURCE, per_page=50, api_version="1.4"), 5, "api version, per page, max contacts"),
    ],
)
def test_other_settings_are_named(path: Path, source: SourceSummary, most: int | None, named: str) -> None:
    """Settings that would change the output are compared; the error says which differ, and where the manifest is."""
    finish(path)
    with pytest.raises(CheckpointError, match=f"with another {named}: choose") as caught:
        look(path, source, most)
    assert caught.value.path == manifest_path(path)
    assert look(path, source, most, overwrite=True) is None


def test_a_limited_export_is_not_the_whole(path: Path) -> None:
    """An export that a limit cut is not taken for one without."""
    finish(path, 1)
    with pytest.raises(CheckpointError, match="max contacts"):
        look(path)


@pytest.mark.parametrize("manifest", [None, b"{}", b"", b"\xff", b'{"manifest_version":2}'])
def test_a_file_that_no_manifest_vouches_for_is_refused(path: Path, manifest: bytes | None) -> None:
    """Somebody's file is never replaced unasked."""
    path.write_bytes(b"somebody's")
    if manifest is not None:
        manifest_path(path).write_bytes(manifest)
    with pytest.raises(ConfigError, match="is not a finished export: move it, or use --overwrite"):
        look(path)
    assert look(path, overwrite=True) is None
    assert path.read_bytes() == b"somebody's"


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"more"])
def test_a_file_of_another_length_than_the_manifest_says_is_refused(path: Path, content: bytes) -> None:
    """A file that was changed since is not ours any more."""
    finish(path)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not a finished export"):
        look(path)


def test_a_manifest_of_another_file_does_not_vouch(path: Path) -> None:
    """A manifest that was copied along under another name speaks of another file."""
    other = path.with_name("other.ndjson")
    finish(other)
    other.rename(path)
    manifest_path(other).rename(manifest_path(path))
    with pytest.raises(ConfigError, match="not a finished export"):
        look(path)


def test_a_manifest_without_its_file_is_work_to_do(path: Path) -> None:
    """Where the file was taken away, the export begins anew."""
    finish(path)
    path.unlink()
    assert look(path) is None


names = pytest.mark.parametrize("name", [lambda path: path, part_path, manifest_path], ids=["file", "part", "manifest"])


@names
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_in_the_way_is_refused(path: Path, name: object, overwrite: bool, dangling: bool) -> None:
    """Personal data is written only to plain files, whatever is allowed to be overwritten."""
    assert callable(name)
    place = name(path)
    target = path.with_name("elsewhere")
    if not dangling:
        target.write_bytes(b"kept")
    place.symlink_to(target)
    with pytest.raises(ConfigError, match=r"is a symbolic link") as caught:
        look(path, overwrite=overwrite)
    assert str(place) in str(caught.value)


@names
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_something_that_is_no_file_is_refused(path: Path, name: object, make: object) -> None:
    """A folder or a pipe under one of the names is an argument to change."""
    assert callable(name)
    assert callable(make)
    make(name(path))
    with pytest.raises(ConfigError, match="not a regular file"):
        look(path, overwrite=True)


@pytest.mark.parametrize("folder", ["missing", "a file"])
def test_a_missing_folder_is_refused(tmp_path: Path, folder: str) -> None:
    """Folders are not made unasked."""
    (tmp_path / "a file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"folder of .* does not exist"):
        look(tmp_path / folder / "contacts.ndjson")


def test_a_name_that_no_system_takes_is_refused(tmp_path: Path) -> None:
    """A NUL in a path is a wrong argument."""
    with pytest.raises(ConfigError):
        look(tmp_path / "con\0tacts.ndjson")
