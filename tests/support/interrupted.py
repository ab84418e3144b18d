"""Exports of twelve pages that tests interrupt, in every kind of output."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

import exporter
from tests.support.memory import MEMORY

Served = tuple[exporter.Sandbox, exporter.Intercom]
KINDS: dict[str, dict[str, Any]] = {
    "contacts.ndjson": {},
    "contacts.ndjson.gz": {},
    "contacts.ndjson.zst": {},
    "contacts.csv": {},
    "contacts.csv.gz": {},
    "contacts.parquet": {},
    "columns/": {"part_contacts": 30, "file_format": "parquet"},
    "tables/": {"part_contacts": 30, "file_format": "csv"},
    "parts/": {"part_contacts": 30},
}
CORE = ("contacts.ndjson", "parts/", "contacts.parquet")
"""One file, files in a folder, and a file that is converted from a journal: resuming has no other cases."""
_UNINTERRUPTED: dict[str, dict[str, bytes]] = {}


@asynccontextmanager
async def serving(contacts: int = 115, per_page: int = 10, **options: Any) -> AsyncIterator[Served]:
    """Serve the same twelve pages at a new address each time, which outputs record under one name."""
    retry_policy = exporter.RetryPolicy(max_attempts=3, initial_backoff_s=0.001)
    async with exporter.Sandbox(contacts, **({"hostile": True} | options)) as sandbox:
        async with exporter.Intercom(
            sandbox.token, base_url=sandbox.base_url, per_page=per_page, retry_policy=retry_policy
        ) as intercom:
            intercom.identity = "a sandbox"
            yield sandbox, intercom


async def export(intercom: exporter.Intercom, folder: Path | str, kind: str, **settings: Any) -> exporter.Summary:
    """Export into one of the `KINDS` of output, in a folder."""
    return await exporter.export(intercom, f"{folder}/{kind}", **(KINDS[kind] | settings))


async def interrupted(
    intercom: exporter.Intercom, folder: Path | str, kind: str, pages: int, **settings: Any
) -> list[exporter.Event]:
    """Export until this many pages are written, then cancel; return the events."""
    events: list[exporter.Event] = []

    def observe(event: exporter.Event) -> None:
        events.append(event)
        if sum(isinstance(event, exporter.PageWritten) for event in events) == pages:
            scope.cancel()

    with anyio.CancelScope() as scope:
        await export(intercom, folder, kind, **({"consumers": 1, "observer": observe} | settings))
    assert scope.cancelled_caught
    return events


def data_in(folder: Path | str) -> dict[str, bytes]:
    """Read an export's data files, by name."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".json")
    return {path.name: path.read_bytes() for path in paths}


async def uninterrupted(kind: str) -> dict[str, bytes]:
    """Return the data files of an uninterrupted export."""
    if kind not in _UNINTERRUPTED:
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            async with serving() as (_, intercom):
                await export(intercom, folder, kind)
            _UNINTERRUPTED[kind] = data_in(folder)
    return _UNINTERRUPTED[kind]
