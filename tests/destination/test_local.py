"""An output from its first frame to its manifest: the order of the steps, and the resulting files."""

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter import ConfigError, FileSummary, SinkError
from exporter.destination.local import Output
from exporter.destination.part import Part
from exporter.layout.checkpoint import Checkpoint, load_checkpoint
from exporter.layout.manifest import decode_manifest
from exporter.layout.paths import OutputPaths
from exporter.layout.settings import OutputSettings
from exporter.options import ExportOptions

Opened = Callable[..., AbstractContextManager[Any]]


def file_names(paths: OutputPaths) -> list[str]:
    """Return the names in the output's folder."""
    return sorted(path.name for path in paths.folder.iterdir())


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record syncs, renames and removals in their order."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    done: list[str] = []

    def watch(owner: Any, call: str, describe: Callable[..., str]) -> None:
        real = getattr(owner, call)

        def watched(*arguments: Any, **options: Any) -> Any:
            done.append(describe(*arguments))
            return real(*arguments, **options)

        monkeypatch.setattr(owner, call, watched)

    watch(os, "fsync", lambda descriptor: f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
    watch(Path, "replace", lambda _source, target: f"rename {target.name}")
    watch(Path, "unlink", lambda path, **_: f"remove {path.name}")
    return done


def test_commit_syncs_data_before_the_checkpoint(opened: Opened, file: OutputPaths, order: list[str]) -> None:
    """A commit syncs the data, then writes the complete checkpoint, then renames it."""
    with opened(file) as export:
        export.append(b"content")
        order.clear()
        export.commit()
    assert order == [
        "sync contacts.ndjson.part",
        "sync contacts.ndjson.checkpoint.json.tmp",
        "rename contacts.ndjson.checkpoint.json",
        f"sync {file.folder.name}",
    ]


def test_open_syncs_part_name_before_any_checkpoint(opened: Opened, paths: OutputPaths, order: list[str]) -> None:
    """A new file could lose its name, so its folder is synced, and a new folder's parent, too."""
    with opened(paths) as export:
        steps_at_open = order.copy()
        export.append(b"content")
        export.commit()
    assert steps_at_open[-1] == f"sync {paths.folder.name}"
    assert steps_at_open.index(f"remove {paths.checkpoint.name}") < len(steps_at_open) - 1
    assert (f"sync {paths.path.parent.name}" in steps_at_open) or not paths.is_folder


def test_finish_syncs_each_step_before_the_next(opened: Opened, file: OutputPaths, order: list[str]) -> None:
    """This order makes a crash harmless: data, checkpoint, name, manifest."""
    folder = f"sync {file.folder.name}"
    with opened(file) as export:
        export.append(b"content")
        order.clear()
        export.finish()
    assert order == [
        "sync contacts.ndjson.part",
        *("sync contacts.ndjson.checkpoint.json.tmp", "rename contacts.ndjson.checkpoint.json", folder),
        *("remove contacts.ndjson.manifest.json", folder),
        *("rename contacts.ndjson", folder),
        *("sync contacts.ndjson.manifest.json.tmp", "rename contacts.ndjson.manifest.json", folder),
        *("remove contacts.ndjson.checkpoint.json", folder),
    ]


def test_full_part_is_in_checkpoint_before_its_rename(
    opened: Opened, plain: OutputSettings, parts: OutputPaths, order: list[str]
) -> None:
    """Each part is finished like a single file; the manifest of all parts comes last."""
    checkpoint = ["sync _checkpoint.json.tmp", "rename _checkpoint.json", "sync out"]
    with opened(parts, replace(plain, part_contacts=1)) as export:
        export.append(b"one")
        order.clear()
        export.append(b"two")
        export.finish()
    assert order == [
        *("sync _contacts-00001.ndjson.part", *checkpoint, "rename contacts-00001.ndjson", "sync out"),
        "sync out",  # the next part's name
        *("sync _contacts-00002.ndjson.part", *checkpoint, "rename contacts-00002.ndjson", "sync out"),
        *("sync _manifest.json.tmp", "rename _manifest.json", "sync out"),
        *("remove _checkpoint.json", "sync out"),
    ]


@pytest.mark.parametrize("restart", [False, True])
def test_replaced_export_is_removed_in_a_resumable_order(
    opened: Opened, plain: OutputSettings, parts: OutputPaths, order: list[str], restart: bool
) -> None:
    """The old manifest is removed before its files, and the old checkpoint after them."""
    with opened(parts, replace(plain, part_contacts=1)) as export:
        for content in (b"one", b"two", b"three"):
            export.append(content)
        if not restart:
            export.finish()
    order.clear()
    with opened(parts, replace(plain, part_contacts=1), overwrite=not restart, restart=restart):
        pass
    last = "_contacts-00003.ndjson.part" if restart else "contacts-00003.ndjson"
    assert order == [
        f"sync {parts.path.parent.name}",  # the folder's own name
        "sync out",  # what another process may have left unsynced
        *("remove manifest.json", "remove _manifest.json", "sync out"),
        *(f"remove {last}", "remove contacts-00002.ndjson", "remove contacts-00001.ndjson"),
        *("remove checkpoint.json", "remove _checkpoint.json"),
        *("remove _plan.json", "remove _keys.part", "sync out"),
        "sync out",  # the first part's name
        "remove _contacts-00001.ndjson.part",  # a start without a checkpoint leaves no empty part
    ]


def test_restart_removes_checkpoint_before_it_empties_the_part(
    opened: Opened, plain: OutputSettings, file: OutputPaths, order: list[str]
) -> None:
    """The old part of a single file stays while a checkpoint lists it."""
    with opened(file) as export:
        export.append(b"old")
        export.commit()
    order.clear()
    seen: list[tuple[list[str], bytes]] = []

    class Watched(Output):
        def _current_part(self) -> Part:
            seen.append(([*order], file.part(1).read_bytes()))
            return super()._current_part()

    output = Watched(file, plain, ExportOptions(restart=True))
    assert list(output.open()) == []
    output.close()
    sync = f"sync {file.folder.name}"
    assert seen == [([sync, "remove contacts.ndjson.checkpoint.json", sync], b"old")]
    assert file.part(1).read_bytes() == b""


def test_commit_leaves_a_part_and_its_checkpoint(opened: Opened, plain: OutputSettings, file: OutputPaths) -> None:
    """The checkpoint has the settings, the figures, and the part's length and hash."""
    with opened(file) as export:
        assert export.output.resumed is None
        export.append(b"a" * 500)
        export.append(b"b" * 500, contacts=2)
        export.commit()
        figures = export.figures
    content = b"a" * 500 + b"b" * 500
    assert file.part(1).read_bytes() == content
    sha256 = hashlib.sha256(content).hexdigest()
    assert load_checkpoint(file.checkpoint) == Checkpoint(
        settings=plain, figures=figures, part=FileSummary("contacts.ndjson", 1_000, sha256, 3, 2_000)
    )
    assert file_names(file) == ["contacts.ndjson.checkpoint.json", "contacts.ndjson.part"]
    assert {path.stat().st_mode & 0o777 for path in file.folder.iterdir()} == {0o600}


def test_finish_of_file_gives_final_name_and_manifest(opened: Opened, file: OutputPaths) -> None:
    """The figures are those of the written bytes, and the manifest holds them."""
    with opened(file) as export:
        for number in range(3):
            export.append(b"%d" % number * 1_000, contacts=number)
            assert file.part(1).stat().st_size == 1_000 * (number + 1)
        export.commit()
        assert not file.file(1).exists()
        summary = export.finish()
    content = b"0" * 1_000 + b"1" * 1_000 + b"2" * 1_000
    assert file.file(1).read_bytes() == content
    assert summary.files == (FileSummary("contacts.ndjson", 3_000, hashlib.sha256(content).hexdigest(), 3, 6_000),)
    assert decode_manifest(file.manifest.read_bytes()) == summary
    assert file_names(file) == ["contacts.ndjson", "contacts.ndjson.manifest.json"]
    assert {path.stat().st_mode & 0o777 for path in file.folder.iterdir()} == {0o600}


def test_full_parts_get_their_names_one_by_one(opened: Opened, plain: OutputSettings, parts: OutputPaths) -> None:
    """A full part gets its name at once; only the owner can read the folder and its files."""
    before = os.umask(0)
    try:
        with opened(parts, replace(plain, part_contacts=2)) as export:
            for number in range(1, 6):
                export.append(b"%d" % number)
            assert file_names(parts) == [
                "_checkpoint.json",
                "_contacts-00003.ndjson.part",
                "contacts-00001.ndjson",
                "contacts-00002.ndjson",
            ]
            summary = export.finish()
    finally:
        os.umask(before)
    assert [(file.name, file.bytes, file.contacts) for file in summary.files] == [
        ("contacts-00001.ndjson", 2, 2),
        ("contacts-00002.ndjson", 2, 2),
        ("contacts-00003.ndjson", 1, 1),
    ]
    assert [parts.file(number).read_bytes() for number in (1, 2, 3)] == [b"12", b"34", b"5"]
    assert file_names(parts) == ["_manifest.json", *(file.name for file in summary.files)]
    assert decode_manifest(parts.manifest.read_bytes()) == summary
    assert parts.path.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in parts.path.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("limits", "contents"),
    [
        ({"part_contacts": 3}, [b"aabb", b"cccc"]),
        ({"part_contacts": 1}, [b"aa", b"bb", b"cccc"]),
        ({"part_bytes": 4}, [b"aabb", b"cccc"]),
        ({"part_bytes": 1}, [b"aa", b"bb", b"cccc"]),
        ({"part_bytes": 6, "part_contacts": 2}, [b"aabb", b"cccc"]),
        ({"part_bytes": 8, "part_contacts": 4}, [b"aabbcccc"]),
    ],
)
def test_part_holds_complete_pages_and_at_least_one(
    opened: Opened, plain: OutputSettings, parts: OutputPaths, limits: dict[str, int], contents: list[bytes]
) -> None:
    """The limit that is reached first starts the next part, before the page that would exceed it."""
    with opened(parts, replace(plain, **limits)) as export:  # type: ignore[arg-type]
        export.append(b"aa", contacts=1)
        export.append(b"bb", contacts=1)
        export.append(b"cccc", contacts=2)
        files = export.finish().files
    assert [parts.file(number + 1).read_bytes() for number in range(len(files))] == contents


def test_output_without_frames_is_one_empty_file(opened: Opened, file: OutputPaths, parts: OutputPaths) -> None:
    """A finished export always has a file."""
    for paths in (file, parts):
        with opened(paths) as export:
            export.commit()
            summary = export.finish()
        assert paths.file(1).read_bytes() == b""
        assert [(file.name, file.bytes) for file in summary.files] == [(paths.file(1).name, 0)]
        assert not paths.checkpoint.exists()


def test_commit_with_failed_sync_keeps_the_previous_checkpoint(
    opened: Opened, file: OutputPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No checkpoint lists data that could not be synced."""

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with opened(file) as export:
        export.append(b"good")
        export.commit()
        committed = load_checkpoint(file.checkpoint)
        export.append(b"lost")
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match="Input/output"):
                export.commit()
    assert load_checkpoint(file.checkpoint) == committed
    with opened(file):
        assert file.part(1).read_bytes() == b"good"


def test_finish_with_file_created_during_export_is_refused(opened: Opened, file: OutputPaths) -> None:
    """A file that another program creates stays, unless the caller sets overwrite."""
    with opened(file) as export:
        export.append(b"new")
        file.file(1).write_bytes(b"precious")
        with pytest.raises(SinkError, match="was created while the export ran: move it, or use --overwrite") as caught:
            export.finish()
    assert caught.value.path == file.file(1)
    assert file.file(1).read_bytes() == b"precious"
    with opened(file, overwrite=True) as export:
        export.finish()
    assert file.file(1).read_bytes() == b"new"


@pytest.mark.parametrize("overwrite", [False, True])
def test_finish_with_part_created_during_export_is_refused(opened: Opened, parts: OutputPaths, overwrite: bool) -> None:
    """Old parts are removed at the start, so a file that appears later is another program's."""
    with opened(parts, overwrite=overwrite) as export:
        export.append(b"new")
        parts.file(1).write_bytes(b"precious")
        with pytest.raises(SinkError, match="was created while the export ran"):
            export.finish()
    assert parts.file(1).read_bytes() == b"precious"
    assert parts.part(1).read_bytes() == b"new"


@pytest.mark.parametrize("value", [-1, 1.5, True, "1", None])
def test_export_options_with_invalid_min_free_bytes_are_refused(value: Any) -> None:
    """The constructor checks the number of bytes."""
    with pytest.raises(ConfigError, match="min_free_bytes must be a whole number from 0"):
        ExportOptions(min_free_bytes=value)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), 10**9, True, "1", None])
def test_export_options_with_invalid_checkpoint_interval_are_refused(value: Any) -> None:
    """The error names the option; zero seconds are valid."""
    with pytest.raises(ConfigError, match=r"checkpoint_every_s must be a number from 0 to 100,000,000"):
        ExportOptions(checkpoint_every_s=value)
    assert ExportOptions(checkpoint_every_s=0).checkpoint_every_s == 0
