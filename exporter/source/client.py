"""One request on one session: authenticated, paced, judged, retried. The only place that knows aiohttp."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import anyio
import stamina
from yarl import URL

from exporter.errors import ConfigError, ContractError
from exporter.model import Waiting
from exporter.source.address import is_loopback
from exporter.source.body import LARGEST_MESSAGE_BYTES, inflate, read_beginning, read_body
from exporter.source.envelope import BrokenBody
from exporter.source.judging import printable, refusal
from exporter.source.pacing import Window, announced
from exporter.source.trial import Patience, Traffic, Transient, Trial

T = TypeVar("T")
Query = Callable[[int], Mapping[str, str]]
"""Builds a request's query, given how many 5xx it has met so far."""

_OK = 200
_MESSAGE_S = 5.0

# stamina warns of each retry. Who has set up logging sees that; on others' stderr it is noise.
logging.getLogger("stamina").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Client:
    """An authenticated session with one API.

    Args:
        base_url: the API's address, without a slash at its end.
        token: the access token.
        api_version: sent as ``Intercom-Version``.
        patience: time-outs and retries.
        window: the rate-limit window that all requests share.
    """

    def __init__(self, base_url: str, token: str, api_version: str, patience: Patience, window: Window) -> None:
        self.base_url = base_url
        self._token = token
        self._api_version = api_version
        self._patience = patience
        self._window = window
        self._clock = anyio.current_time  # the loop's, which a host may run at another pace
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None
        self._first_answer: anyio.Event | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._session is not None

    async def open(self) -> None:
        """Open the session; nothing is requested yet.

        Raises:
            ConfigError: it is open already, or the environment's proxy is unusable.
        """
        if self.is_open:
            raise ConfigError("this Intercom is open already: enter its block once")
        # Asked once: aiohttp's own trust_env asks again, in a thread, for every request.
        self._proxy = await anyio.to_thread.run_sync(_proxy_for, self.base_url)
        self._session = aiohttp.ClientSession(
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "Authorization": f"Bearer {self._token}",
                "Intercom-Version": self._api_version,
                "User-Agent": "intercom-exporter",
            },
            auto_decompress=False,
            connector=_Connector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=1 << 20,  # a page arrives in a few pieces
            timeout=_timeout(self._patience),
            middlewares=(_send_once,),
        )

    async def close(self) -> None:
        """Close the session and its connections; requests under way fail."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def fetch(self, path: str, query: Query, parse: Callable[[bytes], T], traffic: Traffic) -> T:
        """Get a resource and have it parsed, trying again for as long as that makes sense.

        Args:
            path: of the resource, below the base URL.
            query: see `Query`.
            parse: makes the result of the body. Its `BrokenBody` is a failure
                of the request like any other: a cut answer shows nowhere else.
            traffic: counts what it costs.

        Raises:
            SourceError: its kind says what to do next.

        Cancellation:
            Ends the request under way at once; nothing is kept.
        """
        trial = Trial(self._patience, traffic, self._clock)
        try:
            async for attempt in stamina.retry_context(on=trial.wait_before_next, attempts=None, timeout=None):
                with attempt:
                    answer = await self._send(path, query(trial.server_errors), trial, traffic)
                    return self._parsed(answer, parse, traffic)
        except Transient as failure:
            raise trial.verdict(failure) from failure
        raise AssertionError("retrying ends with a result or an error")

    async def _send(self, path: str, query: Mapping[str, str], trial: Trial, traffic: Traffic) -> _Answer:
        if self._session is None:
            raise ConfigError("this Intercom is closed: use it inside its 'async with' block")
        # Quoted here to the last character, since a cursor may hold + / = and newlines.
        url = URL(f"{self.base_url}{path}?{urlencode(query, quote_via=quote, safe='')}", encoded=True)
        await self._admit(traffic)
        heard_at = trial.begin()
        announcement = None
        traffic.requests += 1
        self._window.sent()
        try:
            async with self._session.get(url, allow_redirects=False, proxy=self._proxy) as response:
                heard_at = self._clock()
                announcement = announced(response.headers)
                read = read_body if response.status == _OK else _read_message
                return _Answer(response.status, response.headers, await read(response.content))
        except aiohttp.ServerTimeoutError:
            failure = Transient("timeout", f"nothing arrived for {self._patience.idle_s:g} s")
        except TimeoutError:
            failure = Transient("timeout", f"no whole answer within {self._patience.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as exc:
            failure = Transient("network", f"the connection failed ({printable(_reason(exc), self._token)})")
        finally:
            self._window.answered(announcement, heard_at)
            if self._first_answer is not None:
                self._first_answer.set()
        # Raised here, without the exception it comes from: those of aiohttp carry the request, and so the token.
        raise failure

    def _parsed(self, answer: _Answer, parse: Callable[[bytes], T], traffic: Traffic) -> T:
        encoding = answer.headers.get("Content-Encoding", "")
        if answer.status != _OK:
            body = b""
            with suppress(BrokenBody, ContractError):  # a message, if one can be had
                body = inflate(answer.body, encoding, LARGEST_MESSAGE_BYTES)
            raise refusal(answer.status, answer.headers, body, self.base_url, self._token)
        try:
            result = parse(inflate(answer.body, encoding))
        except BrokenBody as exc:
            request_id = printable(answer.headers.get("X-Request-Id", ""), self._token) or None
            detail = f"the API answered 200 with a broken page ({exc})"
            raise Transient("broken_body", detail, status=_OK, request_id=request_id) from exc
        traffic.version_echoed = printable(answer.headers.get("Intercom-Version", ""), self._token) or None
        return result

    async def _admit(self, traffic: Traffic) -> None:
        """Wait until a request may leave.

        The very first leaves alone: until its answer nobody knows how many may follow.
        """
        if self._first_answer is None:
            self._first_answer = anyio.Event()
            return
        await self._first_answer.wait()
        while (wait_s := self._window.wait_s(self._clock())) > 0:
            traffic.observer(Waiting(wait_s, self._window.limit or 0))
            traffic.rate_limit_wait_s += wait_s
            await anyio.sleep(wait_s)


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


async def _read_message(content: aiohttp.StreamReader) -> bytes:
    """Read the body of a refusal as far as it comes: the status says enough without it."""
    message = bytearray()
    with suppress(aiohttp.ClientError, OSError), anyio.move_on_after(_MESSAGE_S):
        await read_beginning(content, message)
    return bytes(message)


def _reason(exc: Exception) -> str:
    """Say why a connection failed, in words that quote nothing the server sent."""
    name = type(exc).__name__
    if isinstance(exc, aiohttp.ClientResponseError):  # no HTTP at all, or a proxy's refusal
        return f"{name} {exc.status}"
    return name if isinstance(exc, aiohttp.ClientPayloadError) else str(exc) or name


def _proxy_for(url: str) -> str | None:
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
