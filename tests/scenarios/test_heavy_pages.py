"""Servers for which a page of 150 contacts is too much: they hang, reset the connection, or send half of it."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from aiohttp import web

import exporter
from exporter.sandbox import responses
from tests.support.exports import interrupted_after, lines_of

CONTACTS = 700


class Weak(exporter.Sandbox):
    """Sends no page of more than 50 contacts.

    Attributes:
        way: how it fails.
        sizes: the page sizes that it was asked for.
    """

    way = "hang"

    async def _contacts(self, request: web.Request) -> web.StreamResponse:
        per_page = int(request.query["per_page"])
        self.__dict__.setdefault("sizes", []).append(per_page)
        if per_page <= 50:
            return await super()._contacts(request)
        match self.way:
            case "hang":
                await asyncio.sleep(3600)
            case "reset":
                return responses.reset(request)
            case "status":
                return responses.failure(504, {})
        return responses.complete(200, b'{"type":"list","data":[{"id":', responses.JSON, {})


def client(sandbox: exporter.Sandbox, **options: Any) -> exporter.Intercom:
    """Make a client with a twentieth of the usual time-outs and waits."""
    retry_policy = exporter.RetryPolicy(
        request_timeout_s=1.0, idle_timeout_s=0.5, page_budget_s=4.5, initial_backoff_s=0.002
    )
    return exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy, **options)


@pytest.mark.parametrize("way", ["hang", "reset", "half", "status"])
async def test_export_from_a_server_that_cannot_send_large_pages_is_the_truth(tmp_path: Path, way: str) -> None:
    """Smaller pages are tried within the retry budget of one page, whatever the failure looks like."""
    async with Weak(CONTACTS) as sandbox, client(sandbox) as intercom:
        sandbox.way = way
        summary = await exporter.export(intercom, tmp_path / "a.ndjson")
        assert (tmp_path / "a.ndjson").read_bytes() == lines_of(sandbox.workspace.records(0, CONTACTS))
    assert (summary.complete, summary.contacts, summary.source.per_page) == (True, CONTACTS, 150)


async def test_command_killed_between_heavy_pages_resumes(tmp_path: Path, command: Any) -> None:
    """A run that is killed while a page hangs is resumed by the same command, and nothing is missing or doubled."""
    async with Weak(CONTACTS) as sandbox:
        variables = {"INTERCOM_EXPORTER_BASE_URL": sandbox.base_url, "INTERCOM_ACCESS_TOKEN": sandbox.token}
        options = ("--timeout=1", "--idle-timeout=0.5", "--max-retry-time=6", "--checkpoint-every=0", "-q")
        line = ("contacts", "-o", "a.ndjson", *options)
        process = command.start(*line, **variables)
        for _ in range(3_000):
            if len(getattr(sandbox, "sizes", ())) >= 4 or process.poll() is not None:
                break
            await anyio.sleep(0.01)
        process.kill()
        await anyio.to_thread.run_sync(process.wait)
        done = await anyio.to_thread.run_sync(lambda: command.run(*line, **variables))
        expected = lines_of(sandbox.workspace.records(0, CONTACTS))
    assert process.returncode == -signal.SIGKILL
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "a.ndjson").read_bytes() == expected


async def interrupted(intercom: exporter.Intercom, path: str) -> None:
    """Export two pages."""
    with interrupted_after(2) as observer:
        await exporter.export(intercom, path, observer=observer, consumers=1)


@pytest.mark.parametrize("name", ["a.ndjson", "a.csv", "a.parquet"])
async def test_export_resumed_with_another_page_size_is_the_same_file(tmp_path: Path, name: str) -> None:
    """Where the bytes do not depend on the page size an unfinished export goes on with another one, the latest."""
    async with exporter.Sandbox(CONTACTS) as sandbox:
        async with client(sandbox) as intercom, client(sandbox, per_page=20) as smaller:
            await exporter.export(intercom, tmp_path / f"whole-{name}")
            await interrupted(intercom, f"{tmp_path}/{name}")
            summary = await exporter.export(smaller, tmp_path / name)
            again = await exporter.export(intercom, tmp_path / name)
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    manifest = json.loads((tmp_path / f"{name}.manifest.json").read_bytes())
    assert summary.source.per_page == manifest["source"]["per_page"] == 20
    assert (summary.runs, summary.pages) == (2, 2 + 20)
    assert again == summary


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a.ndjson.gz", "each page is compressed"), ("a.csv.gz", "each page is compressed"), ("a/", "a part holds whole")],
)
async def test_export_resumed_with_another_page_size_is_refused_where_it_changes_bytes(
    tmp_path: Path, name: str, reason: str
) -> None:
    """The message says why; the same page size still resumes."""
    async with exporter.Sandbox(CONTACTS) as sandbox:
        async with client(sandbox) as intercom, client(sandbox, per_page=20) as smaller:
            await interrupted(intercom, f"{tmp_path}/{name}")
            with pytest.raises(exporter.CheckpointError, match=f"another per page: .*{reason}"):
                await exporter.export(smaller, f"{tmp_path}/{name}")
            assert (await exporter.export(intercom, f"{tmp_path}/{name}")).complete
