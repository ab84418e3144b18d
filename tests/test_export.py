"""export(): a workspace into a file."""

import asyncio
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

import exporter
from tests.support.exports import lines_of


@pytest.mark.slow
async def test_export_to_a_file_has_the_bytes_of_every_contact(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """Each line is what the API sent, in its order."""
    await exporter.export(intercom, tmp_path / "contacts.ndjson")
    assert (tmp_path / "contacts.ndjson").read_bytes() == lines_of(sandbox.workspace.records(0, 1_000))


async def test_gzip_holds_the_same_with_a_member_a_page(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """The compressed file decompresses to the plain one, and has as many members as there are pages."""
    summary = await exporter.export(intercom, tmp_path / "contacts.ndjson.gz")
    content = (tmp_path / "contacts.ndjson.gz").read_bytes()
    assert gzip.decompress(content) == lines_of(sandbox.workspace.records(0, 1_000))
    assert content.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") >= summary.pages == 7


async def test_export_returns_the_summary_in_the_manifest(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """The manifest beside the file holds the returned figures, and its hash is right."""
    path = tmp_path / "contacts.ndjson"
    summary = await exporter.export(intercom, path)
    manifest = json.loads((tmp_path / "contacts.ndjson.manifest.json").read_bytes())
    content = path.read_bytes()
    assert manifest["manifest_version"] == 1
    assert manifest["tool"] == f"intercom-exporter {exporter.__version__}"
    assert manifest["source"] == {
        "base_url": intercom.base_url,
        "endpoint": "/contacts",
        "api_version": "2.14",
        "api_version_echoed": "2.14",
        "per_page": 150,
    }
    assert manifest["files"] == [
        {
            "name": "contacts.ndjson",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "contacts": 1_000,
            "uncompressed_bytes": len(content),
        }
    ]
    for name in ("complete", "runs", "pages", "contacts", "total_count_first", "total_count_last", "requests"):
        assert manifest[name] == getattr(summary, name)
    assert (summary.complete, summary.runs, summary.pages, summary.contacts) == (True, 1, 7, 1_000)
    assert (summary.total_count_first, summary.total_count_last, summary.requests) == (1_000, 1_000, 7)
    assert "limited_to_contacts" not in manifest


async def test_files_are_private_and_nothing_else_is_left(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """Afterwards there are the file and its manifest, both for their owner alone."""
    await exporter.export(intercom, tmp_path / "contacts.ndjson.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "contacts.ndjson.gz",
        "contacts.ndjson.gz.manifest.json",
    ]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


async def test_finished_export_is_not_repeated(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """The same call again returns the same summary and sends no request."""
    first = await exporter.export(intercom, tmp_path / "contacts.ndjson")
    requests = sandbox.requests
    assert await exporter.export(intercom, tmp_path / "contacts.ndjson") == first
    assert sandbox.requests == requests


async def test_overwrite_exports_anew(intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path) -> None:
    """With overwrite a finished export is made again."""
    await exporter.export(intercom, tmp_path / "contacts.ndjson")
    await exporter.export(intercom, tmp_path / "contacts.ndjson", overwrite=True)
    assert sandbox.requests == 14


async def test_finished_export_with_other_settings_is_refused(sandbox: exporter.Sandbox, tmp_path: Path) -> None:
    """A finished export with another page size is refused where the bytes depend on it, and named with what differs."""
    plain, packed = tmp_path / "contacts.ndjson", tmp_path / "contacts.ndjson.gz"
    async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
        written = [await exporter.export(intercom, path) for path in (plain, packed)]
    async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=50) as intercom:
        assert await exporter.export(intercom, plain) == written[0]
        with pytest.raises(exporter.CheckpointError, match="per page"):
            await exporter.export(intercom, packed)


@pytest.mark.parametrize("most", [1, 149, 150, 151, 300, 999])
async def test_limited_export_is_finished(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path, most: int
) -> None:
    """max_contacts ends the file after so many contacts and says so, without a request too many."""
    summary = await exporter.export(intercom, tmp_path / "contacts.ndjson", max_contacts=most)
    assert (tmp_path / "contacts.ndjson").read_bytes() == lines_of(sandbox.workspace.records(0, most))
    assert (summary.complete, summary.limited_to_contacts, summary.contacts) == (False, most, most)
    assert sandbox.requests == -(-most // 150)


async def test_export_with_unreached_limit_is_complete(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """An export that reaches the end within its limit is complete."""
    for most in (1_000, 1_001):
        summary = await exporter.export(intercom, tmp_path / f"{most}.ndjson", max_contacts=most)
        assert (summary.complete, summary.limited_to_contacts, summary.contacts) == (True, most, 1_000)


async def test_finished_limited_export_is_not_complete(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """Without the limit, a limited export is not taken for the whole one."""
    await exporter.export(intercom, tmp_path / "contacts.ndjson", max_contacts=10)
    with pytest.raises(exporter.CheckpointError, match="max contacts"):
        await exporter.export(intercom, tmp_path / "contacts.ndjson")
    summary = await exporter.export(intercom, tmp_path / "contacts.ndjson", overwrite=True)
    assert summary.complete


@pytest.mark.parametrize(("name", "content"), [("c.ndjson", b""), ("c.ndjson.gz", gzip.compress(b"", mtime=0))])
async def test_export_of_an_empty_workspace_is_an_empty_file(tmp_path: Path, name: str, content: bytes) -> None:
    """No contacts make an empty file, or one empty gzip member."""
    async with (
        exporter.Sandbox(0) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom,
    ):
        summary = await exporter.export(intercom, tmp_path / name)
    written = (tmp_path / name).read_bytes()
    assert (gzip.decompress(written) if content else written) == b""
    assert bool(written) == bool(content)
    assert summary.complete
    assert summary.files[0].bytes == len(written)


async def test_export_leaves_foreign_files_unchanged(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """A file that is no export of ours is refused before any request, unless it may be overwritten."""
    path = tmp_path / "contacts.ndjson"
    path.write_text("mine")
    with pytest.raises(exporter.ConfigError, match="--overwrite"):
        await exporter.export(intercom, path)
    assert path.read_text() == "mine"
    await exporter.export(intercom, path, overwrite=True)
    assert path.read_bytes().startswith(b'{"')


async def test_failed_export_leaves_only_the_part(tmp_path: Path) -> None:
    """An export that fails leaves a part and its checkpoint, no file under the final name, and the next one goes on."""
    async with exporter.Sandbox(1_000, faults=["http_503@4x3"]) as sandbox:
        retry_policy = exporter.RetryPolicy(max_attempts=3, initial_backoff_s=0.001)
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom:
            with pytest.raises(exporter.RetriesExhausted) as failure:
                await exporter.export(intercom, tmp_path / "contacts.ndjson")
            assert (failure.value.status, failure.value.attempts) == (503, 3)
            assert sorted(path.name for path in tmp_path.iterdir()) == [
                "contacts.ndjson.checkpoint.json",
                "contacts.ndjson.part",
            ]
            assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
            summary = await exporter.export(intercom, tmp_path / "contacts.ndjson")
    assert (summary.contacts, summary.complete, summary.runs) == (1_000, True, 2)
    assert len((tmp_path / "contacts.ndjson").read_bytes().splitlines()) == 1_000


async def test_overwriting_keeps_the_old_file_until_the_end(tmp_path: Path) -> None:
    """A failed overwrite leaves the finished export as it was."""
    async with exporter.Sandbox(1_000, faults=["http_401@4x9"]) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            await exporter.export(intercom, tmp_path / "contacts.ndjson", max_contacts=10)
            with pytest.raises(exporter.CredentialsError):
                await exporter.export(intercom, tmp_path / "contacts.ndjson", overwrite=True)
    assert len((tmp_path / "contacts.ndjson").read_bytes().splitlines()) == 10


async def test_cancelling_keeps_whole_pages(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """A cancelled export leaves a part that ends with a whole page, and no task."""
    events: list[exporter.Event] = []
    before = asyncio.all_tasks()
    with anyio.CancelScope() as scope:

        def observer(event: exporter.Event) -> None:
            events.append(event)
            if sum(isinstance(one, exporter.PageWritten) for one in events) == 3:
                scope.cancel()

        await exporter.export(intercom, tmp_path / "contacts.ndjson", observer=observer)
    assert scope.cancelled_caught
    part = (tmp_path / "contacts.ndjson.part").read_bytes()
    pages = part.count(b"\n") / 150
    assert pages in (3, 4)  # a write that had begun was finished
    assert part == lines_of(sandbox.workspace.records(0, int(pages) * 150))
    assert asyncio.all_tasks() - before <= _server_tasks()


async def test_manifest_without_its_file_is_not_a_finished_export(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """A foreign file of the same length as a dead export's is not taken for it."""
    path = tmp_path / "contacts.ndjson"
    await exporter.export(intercom, path)
    (tmp_path / "contacts.ndjson.manifest.json").rename(tmp_path / "contacts.ndjson.manifest.json.tmp")
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(exporter.ConfigError):
        await exporter.export(intercom, path)


async def test_pages_received_before_a_failure_are_written(tmp_path: Path) -> None:
    """Pages already received when the source fails reach the output, whole."""
    async with exporter.Sandbox(1_000, faults=["http_403@5"]) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            with pytest.raises(exporter.CredentialsError):
                await exporter.export(intercom, tmp_path / "contacts.ndjson.gz")
    part = gzip.decompress((tmp_path / "contacts.ndjson.gz.part").read_bytes())
    assert part == lines_of(sandbox.workspace.records(0, 600))


@pytest.mark.parametrize("name", ["a" * 250 + ".ndjson", "b\udcff.ndjson", "c\0.ndjson"])
async def test_names_that_no_manifest_could_hold_are_refused(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path, name: str
) -> None:
    """A name that would fail only at the end is refused at the beginning."""
    with pytest.raises(exporter.ConfigError, match="name"):
        await exporter.export(intercom, tmp_path / name)
    assert sandbox.requests == 0


async def test_export_with_a_closed_client_writes_nothing(sandbox: exporter.Sandbox, tmp_path: Path) -> None:
    """Outside the client's block nothing begins."""
    intercom = exporter.Intercom(sandbox.token, base_url=sandbox.base_url)
    with pytest.raises(exporter.ConfigError, match="block"):
        await exporter.export(intercom, tmp_path / "contacts.ndjson")
    with pytest.raises(exporter.ConfigError, match="block"):
        async with exporter.stream(intercom):
            pass
    assert list(tmp_path.iterdir()) == []


async def test_several_exports_share_one_client(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path
) -> None:
    """One Intercom serves several exports at once, each whole."""
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(exporter.export, intercom, tmp_path / f"{number}.ndjson")
    expected = lines_of(sandbox.workspace.records(0, 1_000))
    assert all((tmp_path / f"{number}.ndjson").read_bytes() == expected for number in range(5))


async def test_room_is_left_on_the_disk(intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path) -> None:
    """Where less is free than is to be left, nothing is requested; where there is more, nothing is different."""
    path = tmp_path / "contacts.ndjson"
    with pytest.raises(exporter.SinkError, match="less than the minimum of 1,000,000,000,000,000,000"):
        await exporter.export(intercom, path, min_free_bytes=10**18)
    assert sandbox.requests == 0
    assert (await exporter.export(intercom, path, min_free_bytes=1)).complete


async def test_export_accepts_a_format_equal_to_the_suffix(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """A format that agrees with the file's suffix says nothing new."""
    summary = await exporter.export(intercom, tmp_path / "contacts.ndjson.gz", file_format="ndjson.gz", max_contacts=1)
    assert summary.files[0].name == "contacts.ndjson.gz"


async def test_second_export_to_the_same_output_is_refused(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """A second export into the same file is refused at once; the first is not disturbed."""
    refused: list[exporter.SinkError] = []

    async def second() -> None:
        with pytest.raises(exporter.SinkError, match="another export") as failure:
            await exporter.export(intercom, tmp_path / "contacts.ndjson")
        refused.append(failure.value)

    started = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            lambda: exporter.export(intercom, tmp_path / "contacts.ndjson", observer=lambda _event: started.set())
        )
        await started.wait()
        await second()
    assert refused
    assert len((tmp_path / "contacts.ndjson").read_bytes().splitlines()) == 1_000


async def test_export_failure_in_a_task_group_keeps_its_class(tmp_path: Path) -> None:
    """Inside somebody's task group one error arrives, not a group of a group."""
    async with (
        exporter.Sandbox(10) as sandbox,
        exporter.Intercom("wrong", base_url=sandbox.base_url) as intercom,
    ):
        with pytest.raises(ExceptionGroup) as failures:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(exporter.export(intercom, tmp_path / "contacts.ndjson"))
        assert [type(failure) for failure in failures.value.exceptions] == [exporter.CredentialsError]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("contacts.json", {}),
        ("contacts", {}),
        (".ndjson", {}),
        ("contacts.ndjson", {"consumers": 0}),
        ("contacts.ndjson", {"queue_pages": 0}),
        ("contacts.ndjson", {"max_contacts": 0}),
        ("contacts.ndjson", {"max_contacts": True}),
        ("missing/contacts.ndjson", {}),
        ("-", {"compression": "bzip2"}),
        ("contacts.ndjson", {"compression": "gzip"}),
        ("contacts.ndjson", {"checkpoint_every_s": -1}),
        ("contacts.ndjson", {"min_free_bytes": -1}),
        ("contacts.ndjson", {"file_format": "ndjson.gz"}),
        ("contacts.ndjson", {"file_format": "csv"}),
        ("contacts.ndjson", {"part_contacts": 100}),
        ("contacts.ndjson", {"part_bytes": 100}),
        ("parts/", {"part_contacts": 0}),
        ("parts/", {"part_bytes": 1.5}),
        ("parts/", {"file_format": "xml"}),
        ("parts/", {"max_contacts": 0}),
        ("missing/parts/", {}),
        ("", {}),
    ],
)
async def test_bad_arguments_are_refused_before_any_request(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox, tmp_path: Path, name: str, settings: dict[str, Any]
) -> None:
    """Wrong arguments are a ConfigError; nothing is requested, nothing written."""
    path = f"{tmp_path}/{name}" if name.strip("-") else name
    with pytest.raises(exporter.ConfigError):
        await exporter.export(intercom, path, **settings)
    assert sandbox.requests == 0
    assert list(tmp_path.iterdir()) == []


def _server_tasks() -> set[asyncio.Task[object]]:
    """Tasks of the sandbox's connections, which are the test's own."""
    return {task for task in asyncio.all_tasks() if "RequestHandler" in repr(task.get_coro())}
