"""A workspace whose list and search can be made to disagree in any way, served over HTTP."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

import exporter
from exporter.sandbox.local_server import LocalServer
from tests.support.clients import TOKEN, client_of
from tests.support.searches import is_match

UTC = ZoneInfo("UTC")
START_S, STEP_S = 1_600_000_000, 3_600
Contact = dict[str, Any]
Answer = Callable[[str, dict[str, Any], dict[str, Any]], "web.Response | None"]


class Unreliable:
    """Contacts, and what the list and the search have of them.

    Args:
        contacts: their number, one created each hour.
        precision: ``day`` or ``second``.

    Attributes:
        contacts: the contacts, in order of creation.
        searched: returns whether the search has a contact.
        listed: returns whether the list has a contact.
        timezone: as ``GET /me`` gives it; None refuses the request.
        answer: called with the path, the parameters and the page of each request for contacts; it can change the
            page, or return another response.
        now_s: the server's clock.
    """

    def __init__(self, contacts: int, precision: str = "second") -> None:
        self.contacts = [self.contact(number, START_S + number * STEP_S) for number in range(contacts)]
        self.precision = precision
        self.searched: Callable[[Contact], bool] = lambda _contact: True
        self.listed: Callable[[Contact], bool] = lambda _contact: True
        self.timezone: Any = "UTC"
        self.answer: Answer = lambda _path, _parameters, _page: None
        self.now_s: float = START_S + (contacts + 100) * STEP_S

    @staticmethod
    def contact(number: int, created_at: int) -> Contact:
        """Return a contact."""
        identity = hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()[:24]
        return {"type": "contact", "id": identity, "created_at": created_at}

    async def list_contacts(self, request: web.Request) -> web.Response:
        """Serve ``GET /contacts``."""
        found = [one for one in self.contacts if self.listed(one)]
        parameters = dict(request.query)
        first, per_page = int(parameters.get("starting_after", 0)), int(parameters["per_page"])
        following = str(first + per_page) if len(found) > first + per_page else None
        return self._page(request, parameters, (found[first:], len(found)), following)

    async def search(self, request: web.Request) -> web.Response:
        """Serve ``POST /contacts/search``."""
        body = await request.json()
        query = body["query"]
        found = [one for one in self.contacts if self.searched(one) and is_match(one, query, UTC, self.precision)]
        found.sort(key=lambda one: (one["created_at"], one["id"]))
        descending = body["sort"]["order"] == "descending"
        parameters, total = {**body["pagination"], "query": query}, len(found)
        found = found[::-1] if descending else found
        if cursor := parameters.get("starting_after"):
            place = tuple(json.loads(base64.b64decode(cursor)))
            found = [one for one in found if (_place(one) < place) == descending and _place(one) != place]
        per_page, following = int(parameters["per_page"]), None
        if len(found) > per_page:
            following = base64.b64encode(json.dumps(_place(found[per_page - 1])).encode()).decode()
        return self._page(request, parameters, (found, total), following)

    async def me(self, _request: web.Request) -> web.Response:
        """Serve ``GET /me``."""
        if self.timezone is None:
            return web.json_response({"errors": [{"code": "unauthorized"}]}, status=403)
        return web.json_response({"type": "admin", "app": {"name": "W", "timezone": self.timezone}})

    def _page(
        self,
        request: web.Request,
        parameters: dict[str, Any],
        contacts: tuple[Sequence[Contact], int],
        following: str | None,
    ) -> web.Response:
        found, total = contacts
        pages: dict[str, Any] = {"type": "pages"}
        if following is not None:
            pages["next"] = {"page": 2, "starting_after": following}
        page = {"type": "list", "data": [*found[: int(parameters["per_page"])]], "total_count": total, "pages": pages}
        headers = {"Date": formatdate(self.now_s, usegmt=True)}
        return self.answer(request.path, parameters, page) or web.json_response(page, headers=headers)

    @asynccontextmanager
    async def serving(self, **settings: Any) -> AsyncIterator[exporter.Intercom]:
        """Serve for the length of a block; yield a client with pages of 50."""
        application = web.Application()
        application.router.add_get("/contacts", self.list_contacts)
        application.router.add_post("/contacts/search", self.search)
        application.router.add_get("/me", self.me)
        server = await LocalServer.start(application, 0)
        try:
            async with client_of(server.base_url or "", token=TOKEN, per_page=50, **settings) as intercom:
                intercom.identity = "unreliable"
                yield intercom
        finally:
            await server.stop()


def _place(contact: Contact) -> tuple[int, str]:
    return contact["created_at"], contact.get("id", "")


def refusal(status: int) -> web.Response:
    """Return a refusal."""
    return web.json_response({"errors": [{"code": "refused"}]}, status=status)
