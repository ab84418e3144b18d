"""A web service that streams a workspace, once: ``python -m benchmarks.web_stream BASE_URL``.

It prints the URL of its download, serves it once, and ends. The exit code is 1 if
the download was not complete.
"""

import asyncio
import os
import sys

from aiohttp import web

import exporter


def _application(intercom: exporter.Intercom, served: asyncio.Future[None]) -> web.Application:
    async def download(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        try:
            async with exporter.stream(intercom) as chunks:
                await response.prepare(request)
                async for chunk in chunks:
                    await response.write(chunk)
            await response.write_eof()
        except BaseException as failure:
            served.set_exception(failure)
            raise
        served.set_result(None)
        return response

    application = web.Application()
    application.router.add_get("/contacts.ndjson", download)
    return application


async def _serve(base_url: str) -> None:
    served = asyncio.get_running_loop().create_future()
    async with exporter.Intercom(os.environ["INTERCOM_ACCESS_TOKEN"], base_url=base_url) as intercom:
        runner = web.AppRunner(_application(intercom, served), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            print(f"http://127.0.0.1:{runner.addresses[0][1]}/contacts.ndjson", flush=True)
            await served
        finally:
            await runner.cleanup()


def main() -> None:
    """Serve one download."""
    asyncio.run(_serve(sys.argv[1]))


if __name__ == "__main__":
    main()
