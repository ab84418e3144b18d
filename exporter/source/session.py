"""`Connection`: an HTTP session with the API, its headers and time-outs, and one exchange of request and response.

The access token is a header of each request to the API. It is never a default
header of the session: aiohttp would also send that to a proxy, in clear text.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anyio
from yarl import URL

from exporter.source.body import read_body, read_prefix
from exporter.source.certificates import trusted_authorities
from exporter.source.connection_errors import ProxyError, Route, failure_of, may_speak_tls, speaks_tls
from exporter.source.http_parser import ResponseReader
from exporter.source.proxy import parse_proxy, proxy_for
from exporter.source.rate_limit import RateLimiter, parse_rate_limit
from exporter.source.retry import RetryPolicy, Transient

_AGENT = {"User-Agent": "intercom-exporter"}
_MESSAGE_S = 5.0
_HANDSHAKE_S = 1.0
_SUCCESSES = range(200, 300)


@dataclass(frozen=True, slots=True)
class Response:
    """One response, with its body still encoded."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    encoding: str = field(default="", repr=False)
    request_id: str | None = None


def detect_proxy(base_url: str) -> tuple[Route, ssl.SSLContext | bool]:
    """Return how requests reach the API, and the certificate authorities to trust, from the environment.

    It blocks the thread.

    Raises:
        ConfigError: the environment names a proxy or certificates that cannot be used.
    """
    parts = urlsplit(base_url)
    # Once: aiohttp's own trust_env reads the environment again, in a thread, for every request.
    address = proxy_for(base_url)
    route = Route(parts.netloc, parts.scheme == "https", parse_proxy(address) if address else None)
    needs_tls = route.tls or (route.proxy is not None and route.proxy.url.startswith("https:"))
    return route, (needs_tls and trusted_authorities()) or True


class Connection:
    """An authenticated session with one API; it belongs to the running event loop.

    Args:
        headers: sent to the API with each request, and never to a proxy.
        retry_policy: time-outs.
        route: how requests reach the API.
        authorities: certificate authorities to trust, True for the system's.
        rate_limiter: counts each request, and receives the limits that its response reports.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        retry_policy: RetryPolicy,
        route: Route,
        authorities: ssl.SSLContext | bool,
        rate_limiter: RateLimiter,
    ) -> None:
        self.route = route
        self._retry_policy = retry_policy
        self._rate_limiter = rate_limiter
        self._clock = asyncio.get_running_loop().time
        self._tried_tls = False
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            **_AGENT,
            **headers,
        }
        self._proxy_headers = dict(_AGENT)
        if route.proxy and route.proxy.authorization:
            # Without a tunnel the proxy reads the headers of the request itself.
            for_proxy = self._proxy_headers if route.tls else self._headers
            for_proxy["Proxy-Authorization"] = route.proxy.authorization
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=_Connector(limit=0, resolver=aiohttp.ThreadedResolver(), ssl=authorities),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=1 << 20,  # a page arrives in a few pieces
            timeout=_timeout(retry_policy, retry_policy.request_timeout_s),
            middlewares=(_no_transparent_retry,),
        )

    async def close(self) -> None:
        """Close the connections; requests in flight fail."""
        await self._session.close()

    async def exchange(self, url: URL, json: bytes | None = None, limit_s: float | None = None) -> Response:
        """Send a request and read its response.

        Args:
            url: below the base URL.
            json: body of a POST; None for a GET.
            limit_s: seconds that it may take; None for the time-out of all requests.

        Raises:
            Transient, SourceError: no complete response arrived.
        """
        proxy, doubtful = self.route.proxy, False
        limits, head_at_s = None, self._clock()
        self._rate_limiter.on_request()
        try:
            async with self._session.request(
                "GET" if json is None else "POST",
                url,
                data=json,
                headers=self._headers if json is None else {**self._headers, "Content-Type": "application/json"},
                allow_redirects=False,
                timeout=_timeout(self._retry_policy, limit_s or self._retry_policy.request_timeout_s),
                proxy=proxy.url if proxy else None,
                proxy_headers=self._proxy_headers if proxy else None,
            ) as received:
                self.route.worked = True
                limits, head_at_s = parse_rate_limit(received.headers), self._clock()
                read = read_body if received.status in _SUCCESSES else _read_message
                encoding = ", ".join(received.headers.getall("Content-Encoding", ()))
                return Response(received.status, received.headers, await read(received.content), encoding)
        except TimeoutError as exc:
            failure: Exception = self._timed_out(exc, limit_s)
        except (aiohttp.ClientError, OSError) as exc:
            failure = failure_of(exc, self.route)
            doubtful = may_speak_tls(exc, self.route)
        finally:
            self._rate_limiter.on_response(limits, head_at_s)
        if doubtful and await self._finds_tls(url):
            failure = speaks_tls(self.route)
        # Raised here without a cause: aiohttp's exceptions hold the request, and so the token.
        raise failure

    async def _finds_tls(self, url: URL) -> bool:
        """Try a TLS handshake with the server, once per connection object; it sends no request."""
        tried, self._tried_tls = self._tried_tls, True
        if tried or url.host is None:
            return False
        settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        settings.check_hostname, settings.verify_mode = False, ssl.CERT_NONE
        with suppress(OSError), anyio.move_on_after(_HANDSHAKE_S):
            _reader, writer = await asyncio.open_connection(url.host, url.port, ssl=settings)
            writer.transport.abort()
            return True
        return False

    def _timed_out(self, error: TimeoutError, limit_s: float | None) -> Transient:
        idle_s, detour = self._retry_policy.idle_timeout_s, self.route.detour
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return Transient("timeout", f"no connection to {self.route.host}{detour} within {idle_s:g} s")
        if isinstance(error, aiohttp.ServerTimeoutError):
            return Transient("timeout", f"nothing arrived{detour} for {idle_s:g} s")
        return Transient(
            "timeout", f"no complete response within {limit_s or self._retry_policy.request_timeout_s:.3g} s{detour}"
        )


def _timeout(policy: RetryPolicy, total_s: float) -> aiohttp.ClientTimeout:
    """Limit a request as a whole, against slow bodies, and its silences if that limit is shorter."""
    idle_s = policy.idle_timeout_s if policy.idle_timeout_s < total_s else None
    return aiohttp.ClientTimeout(total=total_s, connect=idle_s, sock_connect=idle_s, sock_read=idle_s)


class _Connector(aiohttp.TCPConnector):
    """Reuses no connection that has received bytes without a request: they would be the next response.

    aiohttp checks only whether the connection is still open.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory = partial(ResponseReader, self._loop)  # type: ignore[assignment]

    async def connect(self, req: aiohttp.ClientRequest, *arguments: Any, **named: Any) -> Any:
        """Connect; raise `ProxyError` for failures between us and a proxy."""
        try:
            return await super().connect(req, *arguments, **named)
        except (aiohttp.ClientConnectorError, TimeoutError):  # these name the host
            raise
        except (aiohttp.ClientError, OSError) as exc:
            if req.proxy is None:
                raise
            raise ProxyError from exc

    async def _get(self, *arguments: Any) -> Any:
        while connection := await super()._get(*arguments):
            if connection.protocol is not None and not connection.protocol.should_close:
                break
            connection.close()
        return connection


async def _no_transparent_retry(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again by itself when a kept connection turns out to be closed.

    That request would not be counted, limited or reported.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise aiohttp.ClientConnectionError from exc


async def _read_message(content: aiohttp.StreamReader) -> bytes:
    """Read as much of a refusal's body as arrives: the status is enough without it."""
    message = bytearray()
    with suppress(aiohttp.ClientError, OSError), anyio.move_on_after(_MESSAGE_S):
        await read_prefix(content, message)
    return bytes(message)
