"""An aiohttp application on 127.0.0.1, which stops at once."""

import asyncio

from aiohttp import web

from exporter.errors import ConfigError

_HOST = "127.0.0.1"


class LocalServer:
    """The server of one application, while it runs.

    Args:
        runner: runner of the application, set up.
    """

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner

    @classmethod
    async def start(cls, application: web.Application, port: int) -> "LocalServer":
        """Start serving.

        Raises:
            ConfigError: the port is in use.
        """
        # The server stops with its block, without waiting for requests.
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, port).start()
        except OSError as exc:
            await runner.cleanup()
            raise ConfigError(f"the sandbox cannot listen on port {port}: {exc.strerror}") from exc
        return cls(runner)

    @property
    def base_url(self) -> str | None:
        """The base URL for clients; None once it has stopped."""
        addresses = self._runner.addresses
        return f"http://{_HOST}:{addresses[0][1]}" if addresses else None

    async def stop(self) -> None:
        """Abort every connection, with or without a response, and stop."""
        for site in list(self._runner.sites):
            await site.stop()
        # cleanup() alone does not close the connection of a client that reads nothing.
        for connection in self._runner.server.connections if self._runner.server else ():
            if isinstance(connection.transport, asyncio.Transport):
                connection.transport.abort()
        await asyncio.sleep(0)
        await self._runner.cleanup()
        await asyncio.sleep(0)
