"""Sandboxes in the process of a test, and clients with their token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

import exporter


@asynccontextmanager
async def serving(
    contacts: int = 115, per_page: int = 10, **options: Any
) -> AsyncIterator[tuple[exporter.Sandbox, exporter.Intercom]]:
    """Serve contacts, hostile ones too, at a new address each time, which outputs record under one name."""
    retry_policy = exporter.RetryPolicy(max_attempts=3, initial_backoff_s=0.001)
    settings: dict[str, Any] = {"per_page": per_page, "reserve_percent": 0, "retry_policy": retry_policy}
    async with exporter.Sandbox(contacts, **({"hostile": True} | options)) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, **settings) as intercom:
            intercom.identity = "a sandbox"
            yield sandbox, intercom


@asynccontextmanager
async def session_of(
    contacts: int = 100, *, keeps_alive: bool = True, **options: Any
) -> AsyncIterator[tuple[exporter.Sandbox, aiohttp.ClientSession]]:
    """Serve contacts, hostile ones too; yield the sandbox and a plain HTTP session with its token.

    Args:
        contacts: number of contacts.
        keeps_alive: reuse connections; if one is closed, aiohttp then repeats the request by itself.
        options: options of the sandbox.
    """
    async with exporter.Sandbox(contacts, **({"hostile": True} | options)) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.token}"}
        connector = aiohttp.TCPConnector(force_close=not keeps_alive)
        async with aiohttp.ClientSession(sandbox.base_url, headers=headers, connector=connector) as session:
            yield sandbox, session
