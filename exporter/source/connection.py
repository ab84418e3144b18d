"""How the API is connected to: the session's headers and time-outs, which connections are kept, and the proxy.

Only this module and `client` know aiohttp.
"""

from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from exporter.errors import ConfigError
from exporter.source.address import is_loopback
from exporter.source.trial import Patience


def open_session(token: str, api_version: str, patience: Patience) -> aiohttp.ClientSession:
    """Open an authenticated session; nothing is connected yet."""
    return aiohttp.ClientSession(
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Authorization": f"Bearer {token}",
            "Intercom-Version": api_version,
            "User-Agent": "intercom-exporter",
        },
        auto_decompress=False,
        connector=_Connector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=1 << 20,  # a page arrives in a few pieces
        timeout=_timeout(patience),
        middlewares=(_send_once,),
    )


def _timeout(patience: Patience) -> aiohttp.ClientTimeout:
    """Bound a request as a whole, against drips, and its silences; where that is shorter."""
    idle_s = patience.idle_s if patience.idle_s < patience.timeout_s else None
    return aiohttp.ClientTimeout(total=patience.timeout_s, sock_connect=idle_s, sock_read=idle_s)


class _Connector(aiohttp.TCPConnector):
    """Keeps no connection on which something has arrived that nobody asked for: it would answer the next request.

    aiohttp itself looks only whether it is still open.
    """

    async def _get(self, *arguments: Any) -> Any:
        while connection := await super()._get(*arguments):
            if connection.protocol is not None and not connection.protocol.should_close:
                break
            connection.close()
        return connection


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again by itself when a kept connection turns out to be closed.

    That request would be neither counted nor paced nor told of.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise aiohttp.ClientConnectionError(str(exc)) from exc


def proxy_for(url: str) -> str | None:
    """Find the proxy that the environment names for an address, by the usual variables.

    Raises:
        ConfigError: it is not one that HTTP goes through.
    """
    parts = urlsplit(url)
    if not parts.hostname or is_loopback(parts.hostname) or proxy_bypass(parts.hostname):
        return None
    proxy = getproxies().get(parts.scheme)
    if proxy is not None:
        try:
            usable = urlsplit(proxy).scheme in ("http", "https") and bool(urlsplit(proxy).hostname)
        except ValueError:
            usable = False
        if not usable:  # not quoted: it may hold a password
            raise ConfigError(
                f"the proxy that the environment names for {parts.scheme} must look like http://host:port"
            )
    return proxy
