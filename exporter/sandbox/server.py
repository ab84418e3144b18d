"""A fake Intercom server on 127.0.0.1: ``GET /contacts`` and related endpoints, with faults on demand."""

import asyncio
import hmac
import itertools
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import anyio.to_thread
from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.compression import gzip_fast
from exporter.errors import ConfigError, SinkError
from exporter.sandbox import arguments, index, pages, responses
from exporter.sandbox.backend import SandboxBackend
from exporter.sandbox.calendar import Calendar
from exporter.sandbox.changes import ChangeName, Mutations
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.faults import FaultPlan
from exporter.sandbox.latency import Latency
from exporter.sandbox.local_server import LocalServer
from exporter.sandbox.protocol import UNLIMITED, RateWindow, Refusal, accepts_gzip, token_of, version_of
from exporter.sandbox.schedule import ScheduleSpec
from exporter.sandbox.search_endpoint import SearchEndpoint, SearchSettings, zone_of
from exporter.validation import AsyncBlock, running_loop

# Every version of aiohttp accepts a string as key, but since 3.14 it prints a warning.
_HEADERS: Any = web.RequestKey("headers", dict[str, str]) if hasattr(web, "RequestKey") else "headers"


class Sandbox(AsyncBlock):
    """A local fake of Intercom's API, as an asynchronous context manager.

    ::

        async with Sandbox(contacts=10_000) as sandbox:
            ...  # GET {sandbox.base_url}/contacts with the bearer token sandbox.token

    The arguments are also attributes. Further attributes are ``base_url`` (while it runs), ``workspace`` (the
    current contacts), ``requests`` (number of requests for ``GET /contacts``, successful or not),
    ``search_requests`` (the same for ``POST /contacts/search``) and ``rate_limited_requests`` (number of responses
    429, without those of the fault ``http_429``).

    Args:
        contacts: number of contacts in the workspace.
        seed: random seed of the contacts; the same seed results in the same contacts.
        port: TCP port on 127.0.0.1; 0 for any free port.
        token: the required access token; None for a token from the seed, or a random one for a replayed export.
        latency_ms: milliseconds before the sandbox handles each request.
        rate_limit: calls per window of ten seconds; None for no limit in practice.
        faults: faults to inject, in the syntax of ``Fault.parse``, or a mapping of fault name to "every Nth request".
        changes: changes of the workspace while a client reads it, in the syntax of ``Change.parse``, or a
            mapping of change name to "every Nth page"; their positions in the list depend on the seed.
        gzip: whether responses are compressed for clients that accept gzip.
        hostile: whether one contact in a thousand has values that break naive parsers.
        years: years over which ``created_at`` of the contacts is spread; None for one contact each 30 seconds.
        hot_day: share of the contacts that is created on one day, from 0 to 1.
        live: whether changes happen at the time of ``clock``; otherwise at times from the seed.
        timezone: IANA name of the workspace's time zone. It is also an attribute that can be changed.
        search: how ``POST /contacts/search`` works; None for the API's behaviour.
        slow_s: seconds that the fault ``slow`` waits.
        replay: contacts to serve instead, such as a `Replay`; ``workspace`` is then empty and never changes.
        clock: function that returns UNIX time in seconds.

    Raises:
        ConfigError: an argument is invalid, or the port is in use.

    Cancellation:
        Leaving the block aborts every connection immediately, with or without a response.
    """

    def __init__(  # noqa: PLR0913 - each is one independent setting
        self,
        contacts: int = 10_000,
        *,
        seed: int = 1,
        port: int = 0,
        token: str | None = None,
        latency_ms: float = 0,
        rate_limit: int | None = None,
        faults: ScheduleSpec = (),
        changes: ScheduleSpec = (),
        gzip: bool = True,
        hostile: bool = False,
        years: float | None = None,
        hot_day: float = 0.0,
        live: bool = False,
        timezone: str = "Europe/Dublin",
        search: SearchSettings | None = None,
        slow_s: float = 3.0,
        replay: SandboxBackend | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        arguments.check_types(locals())
        calendar = Calendar(contacts, years, hot_day, lambda: zone_of(timezone), clock if live else None)
        self.workspace = Workspace(contacts if replay is None else 0, seed, hostile, calendar)
        self._backend: SandboxBackend = self.workspace if replay is None else replay
        self.contacts, self.seed, self.port = len(self._backend), seed, port
        self.latency_ms, self.slow_s = latency_ms, slow_s
        self.rate_limit, self.gzip, self.hostile, self.years, self.hot_day = rate_limit, gzip, hostile, years, hot_day
        self.token = token_of(seed if replay is None else None) if token is None else token
        self.faults = FaultPlan.of(faults)
        self.changes = Mutations(self.workspace, changes)
        self.requests = self.search_requests = self.rate_limited_requests = 0
        self._clock = clock
        arguments.check(self, replayed=replay is not None)
        self._window = RateWindow(UNLIMITED if rate_limit is None else rate_limit, clock)
        self._search = SearchEndpoint(self.workspace, search or SearchSettings(), timezone, clock)
        self.workspace.listener = self._search.search
        self._listing = pages.listings(self._backend)
        self._request_ids = itertools.count(1)
        self._server: LocalServer | None = None

    @property
    def base_url(self) -> str:
        """The base URL for clients, without a slash at the end.

        Raises:
            ConfigError: the sandbox is not running.
        """
        base_url = self._server.base_url if self._server is not None else None
        if base_url is None:
            raise ConfigError("the sandbox has a base URL only inside its async with block")
        return base_url

    @property
    def timezone(self) -> str:
        """IANA name of the workspace's time zone."""
        return self._search.timezone

    @timezone.setter
    def timezone(self, name: str) -> None:
        zone_of(name)
        self._search.timezone = name

    def change(self, name: ChangeName, position: int | None = None, to: int | None = None) -> str:
        """Change the workspace now; see ``Mutations.apply``.

        Args:
            name: insert, update, delete or merge.
            position: position in the list, from 0; None for a random one from the seed.
            to: new position of an updated contact, or position of the contact
                that survives a merge; None for a random one.

        Returns:
            The id of the inserted, updated, deleted or merged contact.

        Raises:
            IndexError: a position does not exist.
            ConfigError: the name of the change is unknown.
        """
        return self.changes.apply(name, position, to)

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise ConfigError("this sandbox is running already")
        running_loop()
        application = web.Application(middlewares=[self._middleware])
        application.router.add_get("/contacts", self._contacts, allow_head=False)
        application.router.add_post("/contacts/search", self._search_page)
        application.router.add_get("/me", self._me, allow_head=False)
        application.router.add_get("/contacts/{id}", self._contact, allow_head=False)
        application.router.add_get("/contacts/{id}/{list}", self._contact, allow_head=False)
        for path in pages.UNPAGED:
            application.router.add_get(path, self._unpaged, allow_head=False)
        application.router.add_route("*", "/{rest:.*}", self._unknown)
        await anyio.to_thread.run_sync(zone_of, self.timezone)  # it reads a file
        self._latency = Latency()  # each run of the sandbox may have an event loop of its own
        self._server = await LocalServer.start(application, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle what all requests have in common: count, authorise, wait, and set the common headers."""
        match request.method, request.path:
            case "GET", "/contacts":
                self.requests += 1
            case "POST", "/contacts/search":
                self.search_requests += 1
        number = next(self._request_ids)
        headers = {
            "Date": formatdate(self._clock(), usegmt=True),
            "X-Request-Id": f"{self._backend.id_code}-{number:012}",
            "Vary": "Accept-Encoding",
        }
        request[_HEADERS] = headers
        if request.method == "GET" and request.path == "/":  # for browsers, which have no token
            return responses.complete(HTTPStatus.OK, index.page(self._backend), responses.HTML, headers)
        try:
            await self._authorise(request, headers)
            return await handler(request)
        except (Refusal, SinkError) as error:
            refusal = error if isinstance(error, Refusal) else Refusal(500, "server_error", str(error))
            headers |= refusal.headers
            body = refusal.envelope(headers["X-Request-Id"])
            return responses.complete(refusal.status, body, responses.JSON, headers)

    async def _authorise(self, request: web.Request, headers: dict[str, str]) -> None:
        """Check token, version and rate limit, in this order, and add their response headers."""
        authorization = request.headers.get("Authorization", "")
        if not hmac.compare_digest(authorization.encode("utf-8", "surrogateescape"), f"Bearer {self.token}".encode()):
            raise Refusal(HTTPStatus.UNAUTHORIZED, "unauthorized", "Access Token Invalid")
        headers["Intercom-Version"] = version_of(request.headers)
        call = self._window.call()
        headers |= call.headers()
        if not call.allowed:
            self.rate_limited_requests += 1
            raise responses.rate_limited(call.limit)
        if self.latency_ms:
            await self._latency.wait(self.latency_ms / 1000)

    async def _contacts(self, request: web.Request) -> web.StreamResponse:
        listing, url = self._listing(request[_HEADERS]["Intercom-Version"]), f"{self.base_url}/contacts"
        position, per_page = listing.locate(request.query)
        return await self._page(request, position // per_page + 1, partial(listing.body, position, per_page, url=url))

    async def _search_page(self, request: web.Request) -> web.StreamResponse:
        version = request[_HEADERS]["Intercom-Version"]
        if version.startswith("1.") or self._backend is not self.workspace:
            return await self._unknown(request)
        search = self._search.parse(await request.read(), version)
        await self._search.search.prepare(search.search)
        return await self._page(request, search.page, partial(self._search.body, search, version))

    async def _me(self, request: web.Request) -> web.Response:
        return self._json(request, pages.me_body(self._backend, self.timezone))

    async def _page(self, request: web.Request, number: int, body: Callable[..., bytes]) -> web.StreamResponse:
        """Return a page or the fault that is due at it, and apply the changes that are due after it.

        Args:
            request: the request.
            number: number of the page, from 1.
            body: function that returns the page; with ``loop=True`` its next cursor is one that was used before.
        """
        fault = self.faults.next_fault(number)
        name = fault.name if fault else None
        if fault and name == "truncate":
            has_full_length = self.faults.injected_count(fault) % 2 == 1  # in turn with the length of the half
            encoded = self._encoded(request, await self._build_body(body))
            return await responses.truncated(request, encoded, request[_HEADERS], has_full_length=has_full_length)
        if fault and name not in {"slow", "cursor_loop"}:
            return responses.of_fault(request, fault, request[_HEADERS], self._window)
        if name == "slow":
            await asyncio.sleep(self.slow_s)
        content = await self._build_body(partial(body, loop=name == "cursor_loop"))
        self.changes.apply_after_page(number)
        return self._json(request, content)

    async def _contact(self, request: web.Request) -> web.Response:
        """Return one contact, or one of its lists."""
        url = f"{self.base_url}{request.path}"
        contact_id, name = request.match_info["id"], request.match_info.get("list")
        version = request[_HEADERS]["Intercom-Version"]

        def body() -> bytes:
            index_of_contact = pages.contact_index(self._backend, contact_id, version)
            if name is None:
                return pages.records(self._backend, index_of_contact, index_of_contact + 1, version)[0]
            return pages.nested_body(self._backend, index_of_contact, name, request.query, url)

        return self._json(request, await self._build_body(body))

    async def _unpaged(self, request: web.Request) -> web.Response:
        body = pages.UNPAGED[request.path]
        return self._json(request, await self._build_body(lambda: body(self._backend, request.query)))

    async def _unknown(self, request: web.Request) -> web.Response:
        raise Refusal(HTTPStatus.NOT_FOUND, "not_found", index.not_served(request.method, request.path))

    async def _build_body(self, body: Callable[[], bytes]) -> bytes:
        """Return a body. If it has to be read from files, a thread does so."""
        if self._backend is self.workspace:
            return body()
        return await anyio.to_thread.run_sync(body, abandon_on_cancel=True)  # the end of the block does not wait for it

    def _json(self, request: web.Request, body: bytes) -> web.Response:
        encoded, headers = self._encoded(request, body), request[_HEADERS]
        return responses.complete(HTTPStatus.OK, encoded, responses.JSON, headers)

    def _encoded(self, request: web.Request, body: bytes) -> bytes:
        """Return a body as transferred. If both sides accept gzip, compress it and set the header."""
        if not self.gzip or not accepts_gzip(request.headers.get("Accept-Encoding", "")):
            return body
        request[_HEADERS]["Content-Encoding"] = "gzip"
        return gzip_fast(body)
