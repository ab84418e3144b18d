"""Measure each stage of an export alone, and a complete export: ``python -m benchmarks.stages``.

Each stage is timed on many pages, one after the other, so that no page is in the
processor's cache. The complete export fetches the same pages. Its time beyond the
sum of the stages is the event loop, changes of threads, and cache misses.
"""

import argparse
import asyncio
import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from rich.console import Console
from rich.table import Table
from yarl import URL

import exporter
from benchmarks.measuring import CONTACT_BYTES, scratch
from benchmarks.raw_socket import PER_PAGE
from benchmarks.recording import Recording, record
from benchmarks.served import Served, replay, serve
from exporter.compression import gzip_member
from exporter.formats.ndjson import lines
from exporter.rawjson.utf8 import first_bad_byte
from exporter.source.envelope import parse, peek_next_cursor

T = TypeVar("T")
_URL = "https://api.intercom.io/contacts"
_SAMPLE = 40
_ROUNDS = 5
_MB = 1_000_000


def alone(folder: Path, recording: Recording) -> Iterator[tuple[str, float]]:
    """Yield the stages after the socket: name and seconds per page."""
    pages = list(islice(_bodies(recording), _SAMPLE))
    records = [parse(page, _URL).records for page in pages]
    frames = [lines(several) for several in records]
    yield "find the next cursor", _each(peek_next_cursor, pages)
    yield "check UTF-8", (utf8 := _each(first_bad_byte, pages))
    yield "cut the records", _each(lambda page: parse(page, _URL), pages) - utf8
    yield "join the lines", _each(lines, records)
    with _open(folder / "written") as descriptor:
        yield "write", _each(lambda frame: os.write(descriptor, frame), frames)
    yield "hash", _each(hashlib.sha256().update, frames)
    yield "compress (gzip only)", _each(gzip_member, frames)


def _bodies(recording: Recording) -> Iterator[bytes]:
    with recording.path.open("rb") as file:
        for span in recording.spans.values():
            yield file.read(span.length)


@contextmanager
def _open(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _each(stage: Callable[[T], object], pages: list[T]) -> float:
    """Return the seconds per page in the best of some rounds."""
    return min(_round(stage, pages) for _ in range(_ROUNDS))


def _round(stage: Callable[[T], object], pages: list[T]) -> float:
    began_at = time.perf_counter()
    for page in pages:
        stage(page)
    return (time.perf_counter() - began_at) / len(pages)


async def reading(served: Served, recording: Recording) -> float:
    """Return the seconds per page for reading pages with aiohttp, without using them."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {served.token}"}, auto_decompress=False, read_bufsize=1 << 20
    ) as session:
        began_at = time.perf_counter()
        for cursor in recording.spans:
            start = f"&starting_after={quote(cursor, safe='')}" if cursor else ""
            url = URL(f"{served.base_url}/contacts?per_page={PER_PAGE}{start}", encoded=True)
            async with session.get(url) as response:
                await response.read()
        return (time.perf_counter() - began_at) / recording.pages


async def whole(served: Served, recording: Recording, output: Path) -> float:
    """Return the seconds per page of an export, from the socket to the disk, with opening and finishing."""
    async with exporter.Intercom(served.token, base_url=served.base_url) as intercom:
        began_at = time.perf_counter()
        await exporter.export(intercom, output, overwrite=True)
        return (time.perf_counter() - began_at) / recording.pages


def report(contacts: int) -> None:
    """Measure, and print the table."""
    with scratch(3 * contacts * CONTACT_BYTES) as folder:
        with serve(contacts) as sandbox:
            recording = record(sandbox, folder)
        with replay(recording) as served:
            stages = [("read (aiohttp)", min(asyncio.run(reading(served, recording)) for _ in range(_ROUNDS)))]
            stages += alone(folder, recording)
            plain = sum(seconds for name, seconds in stages if "gzip" not in name)
            sums = [("sum without gzip", plain), ("sum with gzip", plain + stages[-1][1])]
            exports = [
                (f"an export, {suffix}", min(_export(served, recording, folder / f"contacts.{suffix}")))
                for suffix in ("ndjson", "ndjson.gz")
            ]
    page_bytes = recording.json_bytes / recording.pages
    table = Table("stage", "ms a page", "MB/s of JSON")
    for group in (stages, sums, exports):
        for name, seconds in group:
            table.add_row(name, f"{seconds * 1e3:.3f}", f"{page_bytes / seconds / _MB:,.0f}")
        table.add_section()
    Console(width=80).print(f"pages of {page_bytes:,.0f} bytes, best of {_ROUNDS}", table)


def _export(served: Served, recording: Recording, output: Path) -> Iterator[float]:
    for _ in range(_ROUNDS):
        yield asyncio.run(whole(served, recording, output))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--contacts", type=int, default=60_000)
    options = parser.parse_args()
    # As an exception, so that folders in memory are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    report(options.contacts)


if __name__ == "__main__":
    main()
