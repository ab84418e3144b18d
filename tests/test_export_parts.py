"""export() into a folder of parts, and what it has in common with a single file."""

import gzip
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

import exporter
from exporter.compression import gzip_member
from tests.support.exports import lines_of


def names_in(folder: Path) -> list[str]:
    """List a folder."""
    return sorted(path.name for path in folder.iterdir())


def numbered(*numbers: int, suffix: str = ".ndjson.gz") -> list[str]:
    """Name parts."""
    return [f"contacts-{number:05}{suffix}" for number in numbers]


async def test_parts_together_equal_the_export(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """Behind one another they are the single file's bytes; each stands on its own, and the manifest names them all."""
    await exporter.export(intercom, tmp_path / "contacts.ndjson.gz")
    summary = await exporter.export(intercom, f"{tmp_path}/out/", part_contacts=300)
    folder = tmp_path / "out"
    contents = [(folder / file.name).read_bytes() for file in summary.files]
    assert b"".join(contents) == (tmp_path / "contacts.ndjson.gz").read_bytes()
    assert [file.contacts for file in summary.files] == [300, 300, 300, 100]
    for number, content in enumerate(contents):
        assert gzip.decompress(content) == lines_of(sandbox.workspace.records(number * 300, (number + 1) * 300))
    assert names_in(folder) == ["_manifest.json", *numbered(1, 2, 3, 4)]
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    assert [file["name"] for file in manifest["files"]] == numbered(1, 2, 3, 4)
    assert (manifest["contacts"], manifest["part_contacts"], manifest["part_bytes"]) == (1_000, 300, 1_000_000_000)


async def test_parts_are_private(tmp_path: Path) -> None:
    """The folder and everything in it are for their owner alone, also while they are written."""
    folder = tmp_path / "out"
    async with exporter.Sandbox(1_000, faults=["http_401@4"]) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            for unfinished in (True, False):
                if unfinished:
                    with pytest.raises(exporter.CredentialsError):
                        await exporter.export(intercom, f"{folder}/", part_contacts=300)
                    assert names_in(folder) == ["_checkpoint.json", f"_{numbered(2)[0]}.part", *numbered(1)]
                else:
                    await exporter.export(intercom, f"{folder}/", part_contacts=300)
                assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
                assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("limit", "contacts"),
    [
        (1, [150] * 6 + [100]),
        (249, [150] * 6 + [100]),
        (299, [150] * 5 + [250]),
        (300, [300, 300, 300, 100]),
        (449, [300, 300, 400]),
        (1_000, [1_000]),
    ],
)
async def test_part_has_at_most_the_given_contacts(
    intercom: exporter.Intercom, tmp_path: Path, limit: int, contacts: list[int]
) -> None:
    """A part holds whole pages, at least one, and no more contacts than allowed with more than one."""
    summary = await exporter.export(intercom, f"{tmp_path}/out/", part_contacts=limit)
    assert [file.contacts for file in summary.files] == contacts


@pytest.mark.parametrize("file_format", ["ndjson", "ndjson.gz"])
async def test_part_has_at_most_the_given_bytes(intercom: exporter.Intercom, tmp_path: Path, file_format: str) -> None:
    """Bytes are those of the file, so compressed parts hold more contacts; one page may be more than is allowed."""
    settings: dict[str, Any] = {"file_format": file_format}
    whole = await exporter.export(intercom, f"{tmp_path}/whole/", **settings)
    assert [file.name for file in whole.files] == numbered(1, suffix=f".{file_format}")
    limit = whole.files[0].bytes // 2
    halves = await exporter.export(intercom, f"{tmp_path}/halves/", part_bytes=limit, **settings)
    assert len(halves.files) in (2, 3)
    assert all(file.bytes <= limit for file in halves.files)
    pages = await exporter.export(intercom, f"{tmp_path}/pages/", part_bytes=1, **settings)
    assert [file.contacts for file in pages.files] == [150] * 6 + [100]
    assert sum(file.bytes for file in pages.files) == whole.files[0].bytes


async def test_existing_folder_needs_no_slash(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """An empty folder takes the parts, keeps its mode, and what is hidden in it stays."""
    tmp_path.chmod(0o750)
    (tmp_path / ".hidden").write_bytes(b"theirs")
    await exporter.export(intercom, tmp_path)
    assert names_in(tmp_path) == [".hidden", "_manifest.json", *numbered(1)]
    assert tmp_path.stat().st_mode & 0o777 == 0o750


async def test_finished_folder_is_not_exported_again(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """The same call again sends no request; other limits are another export, unless it may be overwritten."""
    folder = tmp_path / "out"
    first = await exporter.export(intercom, f"{folder}/", part_contacts=150)
    requests = sandbox.requests
    assert await exporter.export(intercom, folder, part_contacts=150) == first
    with pytest.raises(exporter.CheckpointError, match="finished export with another part contacts"):
        await exporter.export(intercom, folder, part_contacts=151)
    with pytest.raises(exporter.CheckpointError, match="finished export with another part bytes"):
        await exporter.export(intercom, folder, part_contacts=150, part_bytes=5)
    assert sandbox.requests == requests
    again = await exporter.export(intercom, folder, part_contacts=600, overwrite=True)
    assert [file.contacts for file in again.files] == [600, 400]
    assert names_in(folder) == ["_manifest.json", *numbered(1, 2)]


async def test_another_format_replaces_all_parts(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """Overwritten in another format, nothing of the old one is left beside it."""
    await exporter.export(intercom, f"{tmp_path}/out/", part_contacts=300)
    await exporter.export(intercom, f"{tmp_path}/out/", file_format="ndjson", part_contacts=500, overwrite=True)
    assert names_in(tmp_path / "out") == ["_manifest.json", *numbered(1, 2, 3, suffix=".ndjson")]


@pytest.mark.parametrize("name", ["notes.txt", "contacts-00001.ndjson.gz", "contacts.ndjson"])
async def test_folder_with_other_files_is_refused(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path, name: str
) -> None:
    """What no export left there is refused before any request, and stays."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(exporter.ConfigError):
        await exporter.export(intercom, tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    assert sandbox.requests == 0


@pytest.mark.parametrize(("file_format", "size"), [("ndjson", 0), ("ndjson.gz", len(gzip_member(b"")))])
async def test_export_of_an_empty_workspace_has_one_empty_part(tmp_path: Path, file_format: str, size: int) -> None:
    """There is always a first part, valid in its format."""
    async with exporter.Sandbox(0) as sandbox, exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
        summary = await exporter.export(intercom, f"{tmp_path}/out/", file_format=file_format, part_contacts=1)
    content = (tmp_path / "out" / f"contacts-00001.{file_format}").read_bytes()
    assert (gzip.decompress(content) if size else content) == b""
    assert (summary.complete, summary.contacts, len(summary.files), summary.files[0].bytes) == (True, 0, 1, size)


@pytest.mark.parametrize(("most", "contacts"), [(300, [300]), (301, [300, 1]), (140, [140])])
async def test_limited_export_to_a_folder_is_finished(
    intercom: exporter.Intercom, tmp_path: Path, most: int, contacts: list[int]
) -> None:
    """max_contacts ends the last part after so many contacts, and leaves no empty one behind it."""
    summary = await exporter.export(intercom, f"{tmp_path}/out/", part_contacts=300, max_contacts=most)
    assert [file.contacts for file in summary.files] == contacts
    assert (summary.complete, summary.limited_to_contacts) == (False, most)


async def test_exports_at_the_same_time_are_independent(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """Files and folders in one folder are written at once by one client, each whole."""
    outputs = ("a.ndjson", "b.ndjson", "c.ndjson.gz", "d/", "e/")
    async with anyio.create_task_group() as tasks:
        for name in outputs:
            tasks.start_soon(exporter.export, intercom, f"{tmp_path}/{name}")
    expected = lines_of(sandbox.workspace.records(0, 1_000))
    assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "b.ndjson").read_bytes() == expected
    for packed in ("c.ndjson.gz", "d/contacts-00001.ndjson.gz", "e/contacts-00001.ndjson.gz"):
        assert gzip.decompress((tmp_path / packed).read_bytes()) == expected


@pytest.mark.slow
async def test_second_export_to_the_same_folder_is_refused(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """A second export into the same folder is refused at once; the first is not disturbed."""
    sandbox.latency_ms = 100
    started = anyio.Event()
    folder = f"{tmp_path}/out/"
    summaries: list[exporter.Summary] = []

    async def first() -> None:
        summaries.append(await exporter.export(intercom, folder, observer=lambda _event: started.set()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await started.wait()
        for overwrite, restart in ((False, False), (True, False), (False, True), (True, True)):
            with pytest.raises(exporter.SinkError, match="another export"):
                await exporter.export(intercom, folder, overwrite=overwrite, restart=restart)
    assert summaries[0].contacts == 1_000


@pytest.mark.parametrize("settings", [{"part_contacts": 100}, {"part_bytes": 100}])
async def test_parts_need_a_folder(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path, settings: dict[str, int]
) -> None:
    """A file's name with limits for parts says what was probably meant; standard output has no parts either."""
    with pytest.raises(exporter.ConfigError, match=r"end the output with a slash, as in 'contacts\.ndjson/'"):
        await exporter.export(intercom, tmp_path / "contacts.ndjson", **settings)  # type: ignore[arg-type]
    with pytest.raises(exporter.ConfigError, match="parts are for files"):
        await exporter.export(intercom, "-", **settings)  # type: ignore[arg-type]
    assert sandbox.requests == 0
    assert list(tmp_path.iterdir()) == []
