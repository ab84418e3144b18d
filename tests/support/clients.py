"""Clients of the test servers, with short back-off times."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import exporter
from tests.support.responses import list_response
from tests.support.server import RawServer, send

TOKEN = "dG9rOnRlc3Q="
QUICK = exporter.RetryPolicy(request_timeout_s=20, initial_backoff_s=0.001, page_budget_s=10, max_attempts=4)


def client_of(base_url: str, retry_policy: exporter.RetryPolicy = QUICK, **settings: Any) -> exporter.Intercom:
    """Return a client of the API at an address; `settings` may name another token than `TOKEN`."""
    return exporter.Intercom(settings.pop("token", TOKEN), base_url=base_url, retry_policy=retry_policy, **settings)


@asynccontextmanager
async def client_of_list(*items: bytes, token: str = TOKEN) -> AsyncIterator[exporter.Intercom]:
    """Serve a list of one page for the length of a block, on any path; yield a client of that server."""
    async with RawServer(send(list_response(*items))) as server, client_of(server.base_url, token=token) as intercom:
        yield intercom


async def first_page(base_url: str, retry_policy: exporter.RetryPolicy = QUICK) -> exporter.Page:
    """Request one page."""
    async with client_of(base_url, retry_policy) as intercom:
        return await anext(intercom.pages())
