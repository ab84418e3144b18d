"""What stands where an output is to go decides before anything is requested or written."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from exporter import CheckpointError, ConfigError, FileSummary, Position, SourceSummary, Summary
from exporter.destination.preconditions import find_existing, make_folder
from exporter.layout.atomic import replace_durably, write_temporary
from exporter.layout.checkpoint import Checkpoint, JobProgress, OutputSettings, save_checkpoint
from exporter.layout.manifest import encode_manifest
from exporter.layout.paths import OutputPaths
from tests.fixtures.summaries import SUMMARY

CONTENT = b'{"id":"1"}\n'
Look = Callable[..., Summary | Checkpoint | None]


@pytest.fixture
def asked(paths: OutputPaths, plain: OutputSettings) -> OutputSettings:
    """Give the settings that are asked for; a folder always has a limit."""
    return replace(plain, part_bytes=1_000) if paths.is_folder else plain


@pytest.fixture
def look(paths: OutputPaths, asked: OutputSettings) -> Look:
    """Look at what is there."""

    def start(*, overwrite: bool = False, restart: bool = False, **others: Any) -> Summary | Checkpoint | None:
        return find_existing(paths, replace(asked, **others), overwrite=overwrite, restart=restart)

    return start


def finish(paths: OutputPaths, made_with: OutputSettings) -> Summary:
    """Leave a finished export."""
    make_folder(paths)
    paths.file(1).write_bytes(CONTENT)
    summary = replace(
        SUMMARY,
        complete=made_with.max_contacts is None,
        limited_to_contacts=made_with.max_contacts,
        source=SourceSummary(made_with.base_url, made_with.endpoint, made_with.api_version, "2.14", made_with.per_page),
        part_contacts=made_with.part_contacts,
        part_bytes=made_with.part_bytes,
        files=(FileSummary(paths.file(1).name, len(CONTENT), "ab" * 32, 1, len(CONTENT)),),
    )
    replace_durably(write_temporary(paths.manifest, encode_manifest(summary)), paths.manifest)
    return summary


def leave(paths: OutputPaths, made_with: OutputSettings, pages: int = 1, *, ended: bool = False) -> Checkpoint:
    """Leave an unfinished export; one that has ended lacks nothing but its manifest."""
    make_folder(paths)
    written = FileSummary(paths.file(1).name, len(CONTENT), "ab" * 32, 1, len(CONTENT)) if pages else None
    cursor = "c1" if pages and not ended else None
    size = len(CONTENT) if pages else 0
    checkpoint = Checkpoint(
        settings=made_with,
        figures=JobProgress(position=Position(cursor, pages, pages, size, size, reached_end=ended)),
        files=(written,) if ended and written else (),
        part=None if ended else written,
    )
    (paths.file(1) if ended else paths.part(1)).write_bytes(CONTENT * pages)
    save_checkpoint(paths.checkpoint, checkpoint)
    return checkpoint


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_an_empty_place_is_work_to_do(paths: OutputPaths, look: Look, overwrite: bool, restart: bool) -> None:
    """Nothing there, or a part without a checkpoint, is begun; looking writes nothing."""
    assert look(overwrite=overwrite, restart=restart) is None
    assert not paths.part(1).exists()
    make_folder(paths)
    paths.part(1).write_bytes(b"begun")
    assert look(overwrite=overwrite, restart=restart) is None
    assert list(paths.folder.iterdir()) == [paths.part(1)]


@pytest.mark.parametrize("restart", [False, True])
def test_a_finished_export_with_these_settings_is_told(
    paths: OutputPaths, look: Look, asked: OutputSettings, restart: bool
) -> None:
    """Its figures come back, unless it is to be overwritten; it is not what restart drops."""
    summary = finish(paths, asked)
    assert look(restart=restart) == summary
    assert look(restart=restart, overwrite=True) is None


def test_a_finished_limited_export_is_told(paths: OutputPaths, look: Look, asked: OutputSettings) -> None:
    """With the same limit an export that a limit cut is finished; without it, it is not the whole."""
    summary = finish(paths, replace(asked, max_contacts=1))
    assert look(max_contacts=1) == summary
    with pytest.raises(CheckpointError, match="max contacts"):
        look()


def test_an_unfinished_export_with_these_settings_is_told(
    paths: OutputPaths, look: Look, asked: OutputSettings
) -> None:
    """It goes on, also where a finished one may be overwritten; only restart drops it."""
    checkpoint = leave(paths, asked)
    assert look() == checkpoint
    assert look(overwrite=True) == checkpoint
    assert look(restart=True) is None


OTHERS: dict[str, Any] = {
    "base_url": "https://api.eu.intercom.io",
    "endpoint": "/users",
    "api_version": "2.13",
    "per_page": 50,
    "max_contacts": 5,
}
PART_OTHERS = {"part_contacts": 5, "part_bytes": 5}


@pytest.mark.parametrize("name", OTHERS)
def test_other_settings_than_a_finished_exports_are_named(
    paths: OutputPaths, look: Look, asked: OutputSettings, name: str
) -> None:
    """Settings that would change the output are compared; the error says which differs, and where the manifest is."""
    finish(paths, asked)
    other = {name: OTHERS[name]}
    if name == "per_page" and not paths.is_folder:  # plain lines do not depend on it
        assert look(**other) == look()
        return
    with pytest.raises(
        CheckpointError, match=f"is a finished export with another {name.replace('_', ' ')}: choose"
    ) as e:
        look(**other)
    assert e.value.path == paths.manifest
    assert look(**other, overwrite=True) is None


@pytest.mark.parametrize("name", PART_OTHERS)
def test_other_sizes_than_the_finished_parts_are_named(parts: OutputPaths, plain: OutputSettings, name: str) -> None:
    """How large parts may get is compared as well."""
    finish(parts, plain)
    with pytest.raises(CheckpointError, match=f"is a finished export with another {name.replace('_', ' ')}: choose"):
        find_existing(parts, replace(plain, **{name: PART_OTHERS[name]}), overwrite=False, restart=False)  # type: ignore[arg-type]


def test_another_format_than_the_finished_parts_is_named(parts: OutputPaths, plain: OutputSettings) -> None:
    """A folder of one format is not taken for somebody else's when another one is asked for."""
    finish(parts, plain)
    paths, asked = replace(parts, suffix=".ndjson.gz"), replace(plain, format="ndjson.gz")
    with pytest.raises(CheckpointError, match="is a finished export with another format: choose"):
        find_existing(paths, asked, overwrite=False, restart=False)


@pytest.mark.parametrize("name", [*OTHERS, *PART_OTHERS, "format"])
def test_other_settings_than_an_unfinished_exports_are_named(
    paths: OutputPaths, look: Look, asked: OutputSettings, name: str
) -> None:
    """They are compared with the checkpoint's; both ways out start over."""
    checkpoint = leave(paths, asked)
    other = {name: (OTHERS | PART_OTHERS | {"format": "ndjson.gz"})[name]}
    if name == "per_page" and not paths.is_folder:
        assert look(**other) == checkpoint
        return
    with pytest.raises(CheckpointError, match=f"is an unfinished export with another {name.replace('_', ' ')}:") as e:
        look(**other)
    assert e.value.path == paths.checkpoint
    assert "use --restart" in str(e.value)
    assert look(**other, overwrite=True) is None
    assert look(**other, restart=True) is None


def test_all_settings_that_differ_are_named(paths: OutputPaths, look: Look, asked: OutputSettings) -> None:
    """One error names them all, in one order."""
    finish(paths, asked)
    with pytest.raises(
        CheckpointError, match="another base url, endpoint, api version, per page, max contacts: choose"
    ):
        look(**OTHERS)


def test_an_export_without_a_page_begins_anew_with_other_settings(
    paths: OutputPaths, look: Look, asked: OutputSettings
) -> None:
    """Nothing is lost with it, so nobody is asked."""
    checkpoint = leave(paths, asked, pages=0)
    assert look() == checkpoint
    assert look(api_version="2.13") is None
    finish(paths, asked)
    with pytest.raises(CheckpointError, match="finished export with another api version"):
        look(api_version="2.13")


def test_a_damaged_checkpoint_is_refused(paths: OutputPaths, look: Look) -> None:
    """What it said is unknown: only being told to start over helps."""
    make_folder(paths)
    paths.checkpoint.write_bytes(b"{}")
    with pytest.raises(CheckpointError, match="damaged or of another version") as caught:
        look()
    assert caught.value.path == paths.checkpoint
    assert look(restart=True) is None
    assert look(overwrite=True) is None


def test_a_finished_export_stays_beside_the_one_that_shall_replace_it(
    paths: OutputPaths, look: Look, asked: OutputSettings
) -> None:
    """Without overwrite a finished export is finished; with it, the unfinished one goes on."""
    checkpoint = leave(paths, asked)
    summary = finish(paths, asked)
    assert look() == summary
    assert look(restart=True) == summary
    assert look(overwrite=True) == checkpoint
    assert look(overwrite=True, restart=True) is None


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("manifest", [False, True])
def test_an_export_that_lacks_only_its_manifest_is_gone_on_with(
    paths: OutputPaths, look: Look, asked: OutputSettings, overwrite: bool, manifest: bool
) -> None:
    """What stands under the name is this very export, whatever its manifest's state."""
    checkpoint = leave(paths, asked, ended=True)
    if manifest:
        finish(paths, asked)
    assert look(overwrite=overwrite) == checkpoint


def test_an_export_that_lacks_its_name_does_not_pass_for_the_file_there(
    paths: OutputPaths, look: Look, asked: OutputSettings
) -> None:
    """While the part waits for its name, what has that name is another file."""
    checkpoint = leave(paths, asked, ended=True)
    paths.part(1).write_bytes(CONTENT)
    assert look(overwrite=True) == checkpoint
    if paths.is_folder:
        assert look() == checkpoint  # its own name is checked when it is given
    else:
        with pytest.raises(ConfigError, match="is not a finished export"):
            look()


@pytest.mark.parametrize("manifest", [None, b"{}", b"", b"\xff", b'{"manifest_version":2}'])
def test_data_that_nothing_vouches_for_is_refused(paths: OutputPaths, look: Look, manifest: bytes | None) -> None:
    """Somebody's file is never replaced unasked."""
    make_folder(paths)
    paths.file(1).write_bytes(b"somebody's")
    if manifest is not None:
        paths.manifest.write_bytes(manifest)
    for restart in (False, True):
        with pytest.raises(ConfigError, match="is not a finished export: move it, or use --overwrite"):
            look(restart=restart)
    assert look(overwrite=True) is None
    assert paths.file(1).read_bytes() == b"somebody's"


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"more"])
def test_a_file_of_another_length_than_the_manifest_says_is_refused(
    paths: OutputPaths, look: Look, asked: OutputSettings, content: bytes
) -> None:
    """A file that was changed since is not ours any more."""
    finish(paths, asked)
    paths.file(1).write_bytes(content)
    with pytest.raises(ConfigError, match="not a finished export"):
        look()


def test_a_manifest_of_another_file_does_not_vouch(file: OutputPaths, plain: OutputSettings) -> None:
    """A manifest that was copied along under another name speaks of another file."""
    other = OutputPaths(file.path.with_name("other.ndjson"), ".ndjson")
    finish(other, plain)
    other.path.rename(file.path)
    other.manifest.rename(file.manifest)
    with pytest.raises(ConfigError, match="not a finished export"):
        find_existing(file, plain, overwrite=False, restart=False)


def test_a_manifest_without_its_file_is_work_to_do(paths: OutputPaths, look: Look, asked: OutputSettings) -> None:
    """Where the file was taken away, the export starts over."""
    finish(paths, asked)
    paths.file(1).unlink()
    if paths.is_folder:
        with pytest.raises(ConfigError, match="not a finished export"):  # parts may have been moved: better ask
            look()
    else:
        assert look() is None
    assert look(overwrite=True) is None


def test_a_manifest_that_names_no_file_vouches_for_none(paths: OutputPaths, look: Look, asked: OutputSettings) -> None:
    """A manifest without files says nothing about what stands there."""
    summary = replace(finish(paths, asked), files=())
    paths.manifest.write_bytes(encode_manifest(summary))
    with pytest.raises(ConfigError, match="not a finished export"):
        look()
