"""`check`: one look at a workspace before a long run. Nothing is written, two or three requests are sent."""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import anyio.to_thread

from exporter.encode.formats import Format, format_of_stream
from exporter.encode.shape import AS_SENT, Shape
from exporter.errors import CheckpointError, ConfigError, SinkError
from exporter.events import ignore
from exporter.exporting import Parts, destination
from exporter.flow import Flow
from exporter.model import Frame, Page, Summary
from exporter.running import Run
from exporter.sink.place import Place
from exporter.sink.target import inspect
from exporter.source.expansion import NO_EXPANSION, Expansion
from exporter.source.intercom import MOST_PER_PAGE, Intercom, check_open

_STDOUT = "-"
_CONVERTED = 2.5  # a journal, and the table that is made of it, which has the contacts once more


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What an export is going to be like, as far as one page can tell.

    Attributes:
        workspace: its name, None where the token may not ask.
        workspace_region: its region, in the API's words; likewise.
        base_url: the API's address.
        api_version: the version asked for.
        api_version_echoed: the version the API answered in, None when it did not say.
        contacts: how many the API counts, None when it does not.
        pages: how many that makes.
        requests: how many requests an export takes, those for lists included; roughly.
        latency_s: seconds that the first page took, connecting included.
        window_limit: calls that the API allows in ten seconds, all its users together; None when it did not say.
        estimated_duration_s: seconds that an export takes, by latency and rate limit; roughly.
        estimated_bytes: what it needs on the disk, or writes to stdout; roughly.
        free_disk_bytes: what the output's disk has left; None for stdout.
        warnings: what will go wrong, or differently than one may think: a sentence each.
    """

    workspace: str | None
    workspace_region: str | None
    base_url: str
    api_version: str
    api_version_echoed: str | None
    contacts: int | None
    pages: int | None
    requests: int | None
    latency_s: float
    window_limit: int | None
    estimated_duration_s: float | None
    estimated_bytes: int | None
    free_disk_bytes: int | None
    warnings: tuple[str, ...]


async def check(  # noqa: PLR0913 - a contract; each is one independent setting
    intercom: Intercom,
    path: str | os.PathLike[str] = _STDOUT,
    *,
    compression: str | None = None,
    file_format: str | None = None,
    part_contacts: int | None = None,
    part_bytes: int | None = None,
    max_contacts: int | None = None,
    shape: Shape = AS_SENT,
    expansion: Expansion = NO_EXPANSION,
    csv_raw: bool = False,
) -> Checked:
    """Look at a workspace, and at where its contacts are to go.

    The estimates are made of the first page: of how long it took, how large
    its contacts are in the output's format, and what the API announced.

    Args:
        intercom: the workspace, inside its block.
        path: the output, as for `export`.
        compression: of standard output.
        file_format: of standard output, or of parts.
        part_contacts: most contacts in a part.
        part_bytes: most bytes in a part.
        max_contacts: the limit, None for all contacts.
        shape: what is to be written of each contact.
        expansion: which lists are to be completed.
        csv_raw: whether formulas in CSV stay.

    Raises:
        ConfigError: an argument is wrong.
        SourceError: the API failed; its kind says how.

    Cancellation:
        Ends the request under way at once.
    """
    check_open(intercom)
    parts = Parts(part_contacts, part_bytes)
    if os.fspath(path) == _STDOUT:
        place, form = None, format_of_stream(compression, file_format)
    else:
        place, form = await anyio.to_thread.run_sync(destination, path, file_format, parts)
    run = Run(intercom, Flow(form, max_contacts=max_contacts, shape=shape), ignore, expansion, csv_raw=csv_raw)
    pages = intercom.pages()
    began_at = time.monotonic()
    page = await anext(pages)
    look = _Look(intercom, page, time.monotonic() - began_at, expansion, max_contacts)
    workspace = await intercom.workspace(pages.traffic)
    opening = await run.prepare()
    sample = await anyio.to_thread.run_sync(run.encode, page)
    free, found = await anyio.to_thread.run_sync(_look_at, place, run, parts) if place else (None, None)
    checked = Checked(
        workspace=workspace.name if workspace else None,
        workspace_region=workspace.region if workspace else None,
        base_url=intercom.base_url,
        api_version=intercom.api_version,
        api_version_echoed=pages.traffic.version_echoed,
        contacts=look.contacts,
        pages=look.pages,
        requests=look.requests,
        latency_s=round(look.latency_s, 3),
        window_limit=intercom.window_limit,
        estimated_duration_s=look.duration_s,
        estimated_bytes=look.bytes_of(form, sample, opening),
        free_disk_bytes=free,
        warnings=(),
    )
    return replace(checked, warnings=tuple(_warnings(checked, look, found)))


@dataclass(frozen=True, slots=True)
class _Look:
    """What the first page tells."""

    intercom: Intercom
    page: Page
    latency_s: float
    expansion: Expansion
    max_contacts: int | None

    @property
    def contacts(self) -> int | None:
        """How many contacts an export will have."""
        counted = self.page.total_count
        if counted is None:
            return len(self.page.records) if self.page.next_cursor is None else None
        return counted if self.max_contacts is None else min(counted, self.max_contacts)

    @property
    def pages(self) -> int | None:
        """How many pages those are; an empty workspace has one."""
        return None if self.contacts is None else max(1, -(-self.contacts // self.intercom.per_page))

    @property
    def _lists(self) -> float:
        """How many lists are asked for, for each contact."""
        records = self.page.records
        return sum(len(self.expansion.wanted(record)) for record in records) / len(records) if records else 0

    @property
    def requests(self) -> int | None:
        """How many requests it takes."""
        if self.pages is None or self.contacts is None:
            return None
        return self.pages + math.ceil(self._lists * self.contacts) + int(self.expansion.tag_names)

    @property
    def duration_s(self) -> float | None:
        """How long it takes: one page after the other, lists beside them, and no more than the API allows."""
        if self.pages is None or self.requests is None:
            return None
        by_pages = self.pages * self.latency_s
        by_lists = (self.requests - self.pages) / self.expansion.concurrency * self.latency_s
        allowed = self.intercom.calls_per_s
        return round(max(by_pages, by_lists, self.requests / allowed if allowed else 0), 1)

    def bytes_of(self, form: Format, sample: Frame, opening: Frame) -> int | None:
        """How much room it takes, if all contacts are like those of this page."""
        if self.contacts is None or not self.page.records:
            return None
        size = len(sample.content) / len(self.page.records) * self.contacts + len(opening.content)
        return int(size * (_CONVERTED if form.convert else 1))


def _look_at(place: Place, run: Run, parts: Parts) -> tuple[int, str | None]:
    """Look at the place of the output: what is free on its disk, and what is in the way or to be gone on with."""
    folder = place.folder if place.folder.is_dir() else place.folder.parent
    try:
        disk = os.statvfs(folder)
    except OSError as exc:
        raise ConfigError(f"the folder of {str(place.path)!r} cannot be used: {exc.strerror}") from exc
    free = disk.f_bavail * disk.f_frsize
    try:
        found = inspect(place, run.settings_of(place, parts.contacts, parts.bytes), overwrite=False, restart=False)
    except (ConfigError, CheckpointError, SinkError) as trouble:
        return free, str(trouble)
    if isinstance(found, Summary):
        return free, f"{str(place.path)!r} is complete already: an export will say so, and request nothing"
    if found:
        done = found.figures.position.contacts
        return (
            free,
            f"{str(place.path)!r} is an unfinished export of {done:,} contacts, which an export will go on with",
        )
    return free, None if os.access(folder, os.W_OK) else f"nothing can be written in {str(folder)!r}"


def _warnings(checked: Checked, look: _Look, found: str | None) -> Iterator[str]:
    """Say what will go wrong, or otherwise than one may think."""
    if found:
        yield found
    yield from _warnings_of_version(checked)
    if checked.contacts is None:
        yield "the API does not count its contacts: how long an export takes cannot be told"
    if look.intercom.per_page < MOST_PER_PAGE:
        yield f"pages of {look.intercom.per_page} take more requests than those of {MOST_PER_PAGE} would (--per-page)"
    if checked.workspace is None:
        yield "the token may not ask for the workspace's name: make sure that it is the right one"
    if checked.window_limit is None:
        yield "the API announces no rate limit: requests leave as fast as it answers"
    size, free = checked.estimated_bytes, checked.free_disk_bytes
    if size is not None and free is not None and size > free:
        yield f"about {size:,} bytes are needed, and {free:,} are free"


def _warnings_of_version(checked: Checked) -> Iterator[str]:
    asked, echoed = checked.api_version, checked.api_version_echoed
    if echoed not in (None, asked):
        yield f"asked for API version {asked}, the API answered in {echoed}"
    if asked.startswith("1."):
        yield f"version {asked} lists leads alone, and at most 10,000: 2.x lists all contacts"
