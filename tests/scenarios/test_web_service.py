"""The documented web service, run as it stands there."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import exporter

PAGE = Path(exporter.__file__).parent.parent / "docs" / "library.md"


def readme_application() -> Callable[[exporter.Intercom], web.Application]:
    """Take the service out of the documentation."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    code = next(block for block in blocks if "web.StreamResponse" in block)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, "library.md", "exec"), names)
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


async def test_a_browser_gets_a_whole_compressed_export(
    sandbox: exporter.Sandbox, lines_of: Callable[[list[bytes]], bytes]
) -> None:
    """The download is the export."""
    async with service(sandbox) as address, aiohttp.ClientSession() as browser:
        async with browser.get(address) as response:
            assert response.headers["Content-Disposition"] == 'attachment; filename="contacts.ndjson.gz"'
            content = await response.read()
    assert gzip.decompress(content) == lines_of(sandbox.workspace.records(0, 1_000))


async def test_several_browsers_at_once(sandbox: exporter.Sandbox) -> None:
    """Downloads do not disturb one another."""

    async def download(address: str) -> bytes:
        async with aiohttp.ClientSession() as browser, browser.get(address) as response:
            return await response.read()

    async with service(sandbox) as address:
        contents = await asyncio.gather(*(download(address) for _ in range(5)))
    assert len(set(contents)) == 1


async def test_a_browser_that_disconnects_stops_the_requests() -> None:
    """When the browser goes away, the requests to the API end."""
    async with exporter.Sandbox(1_000_000) as sandbox, service(sandbox) as address:
        async with aiohttp.ClientSession() as browser, browser.get(address) as response:
            await response.content.read(100_000)
            response.close()
        before = -1
        for _ in range(200):
            if sandbox.requests == before:
                break
            before = sandbox.requests
            await asyncio.sleep(0.25)
        assert sandbox.requests == before < 10_000


async def test_a_failing_api_breaks_the_download_off() -> None:
    """A download that could not be finished does not look complete."""
    async with (
        exporter.Sandbox(1_000, faults=["http_403@4x99"]) as sandbox,
        service(sandbox) as address,
        aiohttp.ClientSession() as browser,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            async with browser.get(address) as response:
                await response.read()
