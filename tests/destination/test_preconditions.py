"""The files at an output's path decide what an export does, before any request or write."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from exporter import CheckpointError, ConfigError, FileSummary, Position, SourceSummary, Summary
from exporter.destination.preconditions import find_existing, make_folder
from exporter.layout.atomic import replace_durably, write_temporary
from exporter.layout.checkpoint import Checkpoint, JobProgress, save_checkpoint
from exporter.layout.manifest import encode_manifest
from exporter.layout.paths import OutputPaths
from exporter.layout.settings import OutputSettings
from tests.fixtures.summaries import SUMMARY

CONTENT = b'{"id":"1"}\n'
Find = Callable[..., Summary | Checkpoint | None]


@pytest.fixture
def requested(paths: OutputPaths, plain: OutputSettings) -> OutputSettings:
    """Return the requested settings; a folder always has a limit."""
    return replace(plain, part_bytes=1_000) if paths.is_folder else plain


@pytest.fixture
def find(paths: OutputPaths, requested: OutputSettings) -> Find:
    """Return find_existing() for the output and the requested settings."""

    def find_output(*, overwrite: bool = False, restart: bool = False, **others: Any) -> Summary | Checkpoint | None:
        return find_existing(paths, replace(requested, **others), overwrite=overwrite, restart=restart)

    return find_output


def write_finished_export(paths: OutputPaths, settings: OutputSettings) -> Summary:
    """Write a finished export."""
    make_folder(paths)
    paths.file(1).write_bytes(CONTENT)
    summary = replace(
        SUMMARY,
        complete=settings.max_contacts is None,
        limited_to_contacts=settings.max_contacts,
        source=SourceSummary(settings.base_url, settings.endpoint, settings.api_version, "2.14", settings.per_page),
        part_contacts=settings.part_contacts,
        part_bytes=settings.part_bytes,
        files=(FileSummary(paths.file(1).name, len(CONTENT), "ab" * 32, 1, len(CONTENT)),),
    )
    replace_durably(write_temporary(paths.manifest, encode_manifest(summary)), paths.manifest)
    return summary


def write_unfinished_export(
    paths: OutputPaths, settings: OutputSettings, pages: int = 1, *, ended: bool = False
) -> Checkpoint:
    """Write an unfinished export; an ended one lacks nothing but its manifest."""
    make_folder(paths)
    written = FileSummary(paths.file(1).name, len(CONTENT), "ab" * 32, 1, len(CONTENT)) if pages else None
    cursor = "c1" if pages and not ended else None
    size = len(CONTENT) if pages else 0
    checkpoint = Checkpoint(
        settings=settings,
        figures=JobProgress(position=Position(cursor, pages, pages, size, size, reached_end=ended)),
        files=(written,) if ended and written else (),
        part=None if ended else written,
    )
    (paths.file(1) if ended else paths.part(1)).write_bytes(CONTENT * pages)
    save_checkpoint(paths.checkpoint, checkpoint)
    return checkpoint


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_find_existing_without_checkpoint_returns_none(
    paths: OutputPaths, find: Find, overwrite: bool, restart: bool
) -> None:
    """With no file, or only a part, the export starts; find_existing() writes nothing."""
    assert find(overwrite=overwrite, restart=restart) is None
    assert not paths.part(1).exists()
    make_folder(paths)
    paths.part(1).write_bytes(b"begun")
    assert find(overwrite=overwrite, restart=restart) is None
    assert list(paths.folder.iterdir()) == [paths.part(1)]


@pytest.mark.parametrize("restart", [False, True])
def test_find_existing_finished_export_returns_its_summary(
    paths: OutputPaths, find: Find, requested: OutputSettings, restart: bool
) -> None:
    """With overwrite it returns None; restart does not drop a finished export."""
    summary = write_finished_export(paths, requested)
    assert find(restart=restart) == summary
    assert find(restart=restart, overwrite=True) is None


def test_find_existing_limited_export_is_finished_for_same_limit(
    paths: OutputPaths, find: Find, requested: OutputSettings
) -> None:
    """Without the limit, the export is not complete."""
    summary = write_finished_export(paths, replace(requested, max_contacts=1))
    assert find(max_contacts=1) == summary
    with pytest.raises(CheckpointError, match="max contacts"):
        find()


def test_find_existing_unfinished_export_returns_its_checkpoint(
    paths: OutputPaths, find: Find, requested: OutputSettings
) -> None:
    """The export is resumed, also with overwrite; only restart drops it."""
    checkpoint = write_unfinished_export(paths, requested)
    assert find() == checkpoint
    assert find(overwrite=True) == checkpoint
    assert find(restart=True) is None


OTHER_SETTINGS: dict[str, Any] = {
    "base_url": "https://api.eu.intercom.io",
    "endpoint": "/users",
    "api_version": "2.13",
    "per_page": 50,
    "max_contacts": 5,
}
OTHER_PART_SIZES = {"part_contacts": 5, "part_bytes": 5}


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_find_existing_finished_with_other_setting_is_refused(
    paths: OutputPaths, find: Find, requested: OutputSettings, name: str
) -> None:
    """The error names the setting that differs, and has the path of the manifest."""
    write_finished_export(paths, requested)
    other = {name: OTHER_SETTINGS[name]}
    if name == "per_page" and not paths.is_folder:  # plain lines do not depend on it
        assert find(**other) == find()
        return
    with pytest.raises(
        CheckpointError, match=f"is a finished export with another {name.replace('_', ' ')}: choose"
    ) as e:
        find(**other)
    assert e.value.path == paths.manifest
    assert find(**other, overwrite=True) is None


@pytest.mark.parametrize("name", OTHER_PART_SIZES)
def test_find_existing_finished_with_other_part_size_is_refused(
    parts: OutputPaths, plain: OutputSettings, name: str
) -> None:
    """The limits of the parts are compared as well."""
    write_finished_export(parts, plain)
    with pytest.raises(CheckpointError, match=f"is a finished export with another {name.replace('_', ' ')}: choose"):
        find_existing(parts, replace(plain, **{name: OTHER_PART_SIZES[name]}), overwrite=False, restart=False)  # type: ignore[arg-type]


def test_find_existing_finished_with_other_format_is_refused(parts: OutputPaths, plain: OutputSettings) -> None:
    """A folder of another format is recognised as an export."""
    write_finished_export(parts, plain)
    paths, requested = replace(parts, suffix=".ndjson.gz"), replace(plain, format="ndjson.gz")
    with pytest.raises(CheckpointError, match="is a finished export with another format: choose"):
        find_existing(paths, requested, overwrite=False, restart=False)


@pytest.mark.parametrize("name", [*OTHER_SETTINGS, *OTHER_PART_SIZES, "format"])
def test_find_existing_unfinished_with_other_setting_is_refused(
    paths: OutputPaths, find: Find, requested: OutputSettings, name: str
) -> None:
    """They are compared with the checkpoint's; overwrite and restart start over."""
    checkpoint = write_unfinished_export(paths, requested)
    other = {name: (OTHER_SETTINGS | OTHER_PART_SIZES | {"format": "ndjson.gz"})[name]}
    if name == "per_page" and not paths.is_folder:
        assert find(**other) == checkpoint
        return
    with pytest.raises(CheckpointError, match=f"is an unfinished export with another {name.replace('_', ' ')}:") as e:
        find(**other)
    assert e.value.path == paths.checkpoint
    assert "use --restart" in str(e.value)
    assert find(**other, overwrite=True) is None
    assert find(**other, restart=True) is None


def test_find_existing_with_many_other_settings_names_them_all(
    paths: OutputPaths, find: Find, requested: OutputSettings
) -> None:
    """One error names them all, in a fixed order."""
    write_finished_export(paths, requested)
    with pytest.raises(
        CheckpointError, match="another base url, endpoint, api version, per page, max contacts: choose"
    ):
        find(**OTHER_SETTINGS)


def test_find_existing_without_pages_starts_over_with_other_settings(
    paths: OutputPaths, find: Find, requested: OutputSettings
) -> None:
    """An export without a page loses nothing when it starts over."""
    checkpoint = write_unfinished_export(paths, requested, pages=0)
    assert find() == checkpoint
    assert find(api_version="2.13") is None
    write_finished_export(paths, requested)
    with pytest.raises(CheckpointError, match="finished export with another api version"):
        find(api_version="2.13")


def test_find_existing_with_damaged_checkpoint_is_refused(paths: OutputPaths, find: Find) -> None:
    """Its settings are unknown, so only restart or overwrite starts over."""
    make_folder(paths)
    paths.checkpoint.write_bytes(b"{}")
    with pytest.raises(CheckpointError, match="damaged or of another version") as caught:
        find()
    assert caught.value.path == paths.checkpoint
    assert find(restart=True) is None
    assert find(overwrite=True) is None


def test_find_existing_of_both_exports_returns_finished_one(
    paths: OutputPaths, find: Find, requested: OutputSettings
) -> None:
    """With overwrite, the unfinished export is resumed."""
    checkpoint = write_unfinished_export(paths, requested)
    summary = write_finished_export(paths, requested)
    assert find() == summary
    assert find(restart=True) == summary
    assert find(overwrite=True) == checkpoint
    assert find(overwrite=True, restart=True) is None


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("manifest", [False, True])
def test_find_existing_ended_export_returns_its_checkpoint(
    paths: OutputPaths, find: Find, requested: OutputSettings, overwrite: bool, manifest: bool
) -> None:
    """The file with the final name is this export, with or without its manifest."""
    checkpoint = write_unfinished_export(paths, requested, ended=True)
    if manifest:
        write_finished_export(paths, requested)
    assert find(overwrite=overwrite) == checkpoint


def test_find_existing_unnamed_part_does_not_own_the_named_file(
    paths: OutputPaths, find: Find, requested: OutputSettings
) -> None:
    """While the part waits for its name, the file with that name is another file."""
    checkpoint = write_unfinished_export(paths, requested, ended=True)
    paths.part(1).write_bytes(CONTENT)
    assert find(overwrite=True) == checkpoint
    if paths.is_folder:
        assert find() == checkpoint  # the rename of the part checks its own name
    else:
        with pytest.raises(ConfigError, match="is not a finished export"):
            find()


@pytest.mark.parametrize("manifest", [None, b"{}", b"", b"\xff", b'{"manifest_version":2}'])
def test_find_existing_file_without_valid_manifest_is_refused(
    paths: OutputPaths, find: Find, manifest: bytes | None
) -> None:
    """Another program's file is never replaced without overwrite."""
    make_folder(paths)
    paths.file(1).write_bytes(b"somebody's")
    if manifest is not None:
        paths.manifest.write_bytes(manifest)
    for restart in (False, True):
        with pytest.raises(ConfigError, match="is not a finished export: move it, or use --overwrite"):
            find(restart=restart)
    assert find(overwrite=True) is None
    assert paths.file(1).read_bytes() == b"somebody's"


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"more"])
def test_find_existing_file_of_other_length_is_refused(
    paths: OutputPaths, find: Find, requested: OutputSettings, content: bytes
) -> None:
    """A file that was changed later is not our export any more."""
    write_finished_export(paths, requested)
    paths.file(1).write_bytes(content)
    with pytest.raises(ConfigError, match="not a finished export"):
        find()


def test_find_existing_with_manifest_of_other_file_is_refused(file: OutputPaths, plain: OutputSettings) -> None:
    """A manifest that was renamed with its file describes another file."""
    other = OutputPaths(file.path.with_name("other.ndjson"), ".ndjson")
    write_finished_export(other, plain)
    other.path.rename(file.path)
    other.manifest.rename(file.manifest)
    with pytest.raises(ConfigError, match="not a finished export"):
        find_existing(file, plain, overwrite=False, restart=False)


def test_find_existing_with_missing_data_file_is_not_finished(
    paths: OutputPaths, find: Find, requested: OutputSettings
) -> None:
    """A single file starts over; a folder is refused without overwrite."""
    write_finished_export(paths, requested)
    paths.file(1).unlink()
    if paths.is_folder:
        with pytest.raises(ConfigError, match="not a finished export"):  # the parts may have been moved
            find()
    else:
        assert find() is None
    assert find(overwrite=True) is None


def test_find_existing_with_manifest_of_no_file_is_refused(
    paths: OutputPaths, find: Find, requested: OutputSettings
) -> None:
    """A manifest without files describes none of the existing files."""
    summary = replace(write_finished_export(paths, requested), files=())
    paths.manifest.write_bytes(encode_manifest(summary))
    with pytest.raises(ConfigError, match="not a finished export"):
        find()
