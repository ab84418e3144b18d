"""A fake Intercom server on 127.0.0.1: ``GET /contacts`` and related endpoints, with faults on demand."""

import asyncio
import hmac
import itertools
import time
from collections.abc import Callable
from email.utils import formatdate
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
from exporter.sandbox.changes import ChangeName, Mutations
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.faults import Fault, FaultPlan
from exporter.sandbox.protocol import SINCE_2_16, UNLIMITED, RateWindow, Refusal, accepts_gzip, token_of, version_of
from exporter.sandbox.schedule import ScheduleSpec
from exporter.validation import AsyncBlock, running_loop

_HOST = "127.0.0.1"
# Every version of aiohttp accepts a string as key, but since 3.14 it prints a warning.
_HEADERS: Any = web.RequestKey("headers", dict[str, str]) if hasattr(web, "RequestKey") else "headers"


class Sandbox(AsyncBlock):
    """A local fake of Intercom's API, as an asynchronous context manager.

    ::

        async with Sandbox(contacts=10_000) as sandbox:
            ...  # GET {sandbox.base_url}/contacts with the bearer token sandbox.token

    The arguments are also attributes. Further attributes are ``base_url`` (while it runs),
    ``workspace`` (the current contacts), ``requests`` (number of requests for ``GET /contacts``,
    successful or not) and ``rate_limited_requests`` (number of responses 429 of the rate limit,
    without those of the fault ``http_429``).

    Args:
        contacts: number of contacts in the workspace.
        seed: random seed of the contacts; the same seed results in the same contacts.
        port: TCP port on 127.0.0.1; 0 for any free port.
        token: the required access token; None for a token from the seed, or a
            random token for a replayed export.
        latency_ms: milliseconds before the sandbox handles each request.
        rate_limit: calls per window of ten seconds; None for no limit in practice.
        faults: faults to inject, in the syntax of ``Fault.parse``, or a mapping
            of fault name to "every Nth request".
        changes: changes of the workspace while a client reads it, in the syntax
            of ``Change.parse``, or a mapping of change name to "every Nth
            page"; their positions in the list depend on the seed.
        gzip: whether responses are compressed for clients that accept gzip.
        hostile: whether one contact in a thousand has values that break naive parsers.
        slow_s: seconds that the fault ``slow`` waits.
        replay: source of contacts to serve instead of synthetic ones, such as a
            `Replay`; ``workspace`` is then empty and never changes.
        clock: function that returns UNIX time in seconds, for the rate limit and the date of responses.

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
        slow_s: float = 3.0,
        replay: SandboxBackend | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        arguments.check_types(locals())
        self.workspace = Workspace(contacts if replay is None else 0, seed, hostile)
        self._backend: SandboxBackend = self.workspace if replay is None else replay
        self.contacts, self.seed, self.port = len(self._backend), seed, port
        self.latency_ms, self.slow_s = latency_ms, slow_s
        self.rate_limit, self.gzip, self.hostile = rate_limit, gzip, hostile
        self.token = token_of(seed if replay is None else None) if token is None else token
        self.faults = FaultPlan.of(faults)
        self.changes = Mutations(self.workspace, changes)
        self.requests = self.rate_limited_requests = 0
        self._clock = clock
        arguments.check(self, replayed=replay is not None)
        self._window = RateWindow(UNLIMITED if rate_limit is None else rate_limit, clock)
        source = self._backend
        self._listings = pages.Listing(source), pages.OldListing(source), pages.Listing(source, "2.16")
        self._request_ids = itertools.count(1)
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """The base URL for clients, without a slash at the end.

        Raises:
            ConfigError: the sandbox is not running.
        """
        if self._runner is None or not self._runner.addresses:
            raise ConfigError("the sandbox has a base URL only inside its async with block")
        return f"http://{_HOST}:{self._runner.addresses[0][1]}"

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
        if self._runner is not None:
            raise ConfigError("this sandbox is running already")
        running_loop()
        application = web.Application(middlewares=[self._middleware])
        application.router.add_get("/contacts", self._contacts, allow_head=False)
        application.router.add_get("/contacts/{id}", self._contact, allow_head=False)
        application.router.add_get("/contacts/{id}/{list}", self._contact, allow_head=False)
        for path in pages.UNPAGED:
            application.router.add_get(path, self._unpaged, allow_head=False)
        application.router.add_route("*", "/{rest:.*}", self._unknown)
        # The server stops with its block, without waiting for requests.
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, self.port).start()
        except OSError as exc:
            await runner.cleanup()
            raise ConfigError(f"the sandbox cannot listen on port {self.port}: {exc.strerror}") from exc
        self._runner = runner
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        # cleanup() alone does not close the connection of a client that reads nothing.
        for connection in runner.server.connections if runner.server else ():
            if isinstance(connection.transport, asyncio.Transport):
                connection.transport.abort()
        await asyncio.sleep(0)
        await runner.cleanup()
        await asyncio.sleep(0)

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle what all requests have in common: count, authorise, wait, and set the common headers."""
        if request.method == "GET" and request.path == "/contacts":
            self.requests += 1
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
            await asyncio.sleep(self.latency_ms / 1000)

    async def _contacts(self, request: web.Request) -> web.StreamResponse:
        position, per_page = self._listing(request).locate(request.query)
        fault = self.faults.next_fault(position // per_page + 1)
        if fault is None:
            return await self._page(request, position, per_page)
        if fault.name == "truncate":
            body = await self._build_body(lambda: self._listing(request).body(position, per_page))
            return await self._truncate(request, body, fault)
        if fault.name == "slow":
            await asyncio.sleep(self.slow_s)
        if fault.name in {"slow", "cursor_loop"}:
            return await self._page(request, position, per_page, loop=fault.name == "cursor_loop")
        return self._fault_response(request, fault)

    def _listing(self, request: web.Request) -> pages.Listing | pages.OldListing:
        version = request[_HEADERS]["Intercom-Version"]
        return self._listings[2 if version in SINCE_2_16 else version.startswith("1.")]

    async def _page(self, request: web.Request, position: int, per_page: int, *, loop: bool = False) -> web.Response:
        """Return a page, and apply the changes that are due after it."""
        listing, url = self._listing(request), f"{self.base_url}/contacts"
        body = await self._build_body(lambda: listing.body(position, per_page, loop=loop, url=url))
        self.changes.apply_after_page(position // per_page + 1)
        return self._json(request, body)

    async def _truncate(self, request: web.Request, body: bytes, fault: Fault) -> web.StreamResponse:
        """Return half of a page: in turn with the length of the complete page, and with the length of the half."""
        encoded, headers = self._encoded(request, body), request[_HEADERS]
        if self.faults.injected_count(fault) % 2:
            return await responses.truncated(request, encoded, headers)
        return responses.complete(HTTPStatus.OK, responses.half(encoded), responses.JSON, headers)

    def _fault_response(self, request: web.Request, fault: Fault) -> web.Response:
        """Return the response of a fault."""
        headers = request[_HEADERS]
        match fault.name, fault.status:
            case "reset", _:
                return responses.reset(request)
            case "empty_200", _:
                return responses.complete(HTTPStatus.OK, b"", responses.JSON, headers)
            case _, HTTPStatus.TOO_MANY_REQUESTS:
                raise responses.rate_limited(self._window.limit, self._window.exhausted_headers())
            case _, int(status):
                return responses.failure(status, headers)
            case _:
                return responses.maintenance(headers)

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
