"""The documented web services, run as they stand there."""

import asyncio
import gzip
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import exporter
from tests.support.exports import lines_of

PAGE = Path(exporter.__file__).parent.parent / "docs" / "library.md"


def documented(name: str) -> str:
    """Return the code of the documented service that uses a name."""
    blocks: list[str] = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return next(block for block in blocks if name in block)


def readme_application() -> Callable[[exporter.Intercom], web.Application]:
    """Take the service out of the documentation."""
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(documented("web.StreamResponse"), "library.md", "exec"), names)
    application: Callable[[exporter.Intercom], web.Application] = names["application"]
    return application


@asynccontextmanager
async def service(sandbox: exporter.Sandbox) -> AsyncIterator[str]:
    """Run the documented service against a sandbox; give the download's address."""
    async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=50) as intercom:
        runner = web.AppRunner(readme_application()(intercom))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/contacts.ndjson.gz"
        finally:
            await runner.cleanup()


async def test_browser_downloads_a_complete_compressed_export(sandbox: exporter.Sandbox) -> None:
    """The download is the export."""
    async with service(sandbox) as address, aiohttp.ClientSession() as browser:
        async with browser.get(address) as response:
            assert response.headers["Content-Disposition"] == 'attachment; filename="contacts.ndjson.gz"'
            content = await response.read()
    assert gzip.decompress(content) == lines_of(sandbox.workspace.records(0, 1_000))


@pytest.mark.slow
async def test_several_browsers_at_once(sandbox: exporter.Sandbox) -> None:
    """Downloads do not disturb one another."""
    async with service(sandbox) as address:
        contents = await asyncio.gather(*(download(address) for _ in range(5)))
    assert len(set(contents)) == 1


@contextmanager
def fastapi_service(sandbox: exporter.Sandbox, folder: Path) -> Iterator[str]:
    """Run the documented FastAPI service in a process of its own; yield the download's address."""
    code = documented("StreamingResponse").replace('region="eu"', f'base_url="{sandbox.base_url}"')
    (folder / "service.py").write_text(code, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listening, (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "service:app", f"--fd={listening.fileno()}"],
            pass_fds=[listening.fileno()],
            cwd=folder,
            env={**os.environ, "INTERCOM_ACCESS_TOKEN": sandbox.token},
            stdout=log,
            stderr=log,
        )
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/contacts.ndjson.gz"
        finally:
            process.terminate()
            process.wait(30)


async def download(address: str) -> bytes:
    """Fetch the whole download with a new client."""
    async with aiohttp.ClientSession() as browser, browser.get(address) as response:
        assert response.headers["Content-Disposition"] == 'attachment; filename="contacts.ndjson.gz"'
        return await response.read()


@pytest.mark.slow
async def test_fastapi_streams_every_contact(tmp_path: Path) -> None:
    """Five clients at once each receive the complete compressed export of 20,000 contacts."""
    async with exporter.Sandbox(20_000) as sandbox:
        with fastapi_service(sandbox, tmp_path) as address:
            contents = await asyncio.gather(*(download(address) for _ in range(5)))
        assert len(set(contents)) == 1
        assert gzip.decompress(contents[0]) == lines_of(sandbox.workspace.records(0, 20_000))
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


@pytest.mark.slow
async def test_fastapi_client_that_disconnects_stops_the_requests(tmp_path: Path) -> None:
    """When the client goes away in the middle, the requests to the API end, and the service goes on to serve."""
    async with exporter.Sandbox(1_000_000) as sandbox:
        with fastapi_service(sandbox, tmp_path) as address:
            async with aiohttp.ClientSession() as browser, browser.get(address) as response:
                await response.content.read(100_000)
                response.close()
            assert await settled(sandbox) < 5_000
            async with aiohttp.ClientSession() as browser, browser.get(address) as response:
                assert (await response.content.readexactly(100_000)).startswith(b"\x1f\x8b")
                response.close()
            assert await settled(sandbox) < 5_000
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


@pytest.mark.slow
async def test_fastapi_with_a_failing_api_breaks_the_download_off(tmp_path: Path) -> None:
    """A download that could not be finished does not look complete."""
    async with exporter.Sandbox(1_000, faults=["http_403@4x99"]) as sandbox:
        with fastapi_service(sandbox, tmp_path) as address, pytest.raises(aiohttp.ClientPayloadError):
            await download(address)


async def settled(sandbox: exporter.Sandbox) -> int:
    """Wait until no more requests arrive; return how many there were."""
    before = -1
    for _ in range(200):
        if sandbox.requests == before:
            break
        before = sandbox.requests
        await asyncio.sleep(0.25)
    assert sandbox.requests == before
    return before


async def test_disconnected_browser_stops_the_requests() -> None:
    """When the browser goes away, the requests to the API end."""
    async with exporter.Sandbox(1_000_000) as sandbox, service(sandbox) as address:
        async with aiohttp.ClientSession() as browser, browser.get(address) as response:
            await response.content.read(100_000)
            response.close()
        assert await settled(sandbox) < 10_000


async def test_failing_api_truncates_the_download() -> None:
    """A download that could not be finished does not look complete."""
    async with (
        exporter.Sandbox(1_000, faults=["http_403@4x99"]) as sandbox,
        service(sandbox) as address,
        aiohttp.ClientSession() as browser,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            async with browser.get(address) as response:
                await response.read()
