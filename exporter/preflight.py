"""`check`: one look at a workspace before a long run. Nothing is written, two or three requests are sent."""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Unpack

import anyio.to_thread

from exporter.destination.free_space import free_bytes
from exporter.destination.preconditions import find_existing
from exporter.errors import CheckpointError, ConfigError, SinkError
from exporter.estimate import NOTHING_WRITTEN, Estimate
from exporter.exports import resolve_output
from exporter.formats.registry import format_for_stream
from exporter.formats.selection_checks import missing_fields
from exporter.job import encoder_of, settings_of, with_columns
from exporter.layout.checkpoint import OutputSettings
from exporter.layout.paths import OutputPaths
from exporter.model import Page, Position, Summary
from exporter.observe.events import null_observer
from exporter.options import ExportKeywords, ExportOptions
from exporter.source.intercom import Intercom, check_open
from exporter.state import shortfall
from exporter.text import count, size
from exporter.validation import MAX_PER_PAGE, check_path

_STDOUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What an export is going to be like, as far as one page can tell.

    Attributes:
        workspace: its name, None where the token may not ask.
        workspace_region: its region, in the API's words; likewise.
        base_url: the API's address.
        api_version: the version asked for.
        api_version_echoed: the version the API answered in, None when it did not say.
        contacts: how many the API counts, None when it does not.
        pages: how many that makes.
        contacts_left: how many of them an unfinished export still has to write; all, where there is none.
        requests: how many requests those take, those for lists included; roughly.
        latency_s: seconds that the first page took, connecting included.
        window_limit: calls that the API allows in ten seconds, all its users together; None when it did not say.
        estimated_duration_s: seconds that they take, by latency and rate limit; roughly.
        estimated_bytes: what they need on the disk, or write to stdout; roughly.
        free_disk_bytes: what the output's disk has left; None for stdout, and where the disk does not report it.
        warnings: what will go wrong, or differently than one may think: a sentence each.
    """

    workspace: str | None
    workspace_region: str | None
    base_url: str
    api_version: str
    api_version_echoed: str | None
    contacts: int | None
    pages: int | None
    contacts_left: int | None
    requests: int | None
    latency_s: float
    window_limit: int | None
    estimated_duration_s: float | None
    estimated_bytes: int | None
    free_disk_bytes: int | None
    warnings: tuple[str, ...]


async def check(
    intercom: Intercom, path: str | os.PathLike[str] = _STDOUT, **options: Unpack[ExportKeywords]
) -> CheckResult:
    """Look at a workspace, and at where its contacts are to go.

    The estimates are made of the first page: of how long it took, how large
    its contacts are in the output's format, and what the API announced.

    Args:
        intercom: the workspace, inside its block.
        path: the output, as for `export`.
        **options: the keywords that the export will get.

    Raises:
        ConfigError: an argument is wrong.
        SourceError: the API failed; its kind says how.

    Cancellation:
        Ends the request under way at once.
    """
    return await check_with(intercom, path, ExportOptions.of("check", ExportKeywords, options))


async def check_with(intercom: Intercom, path: str | os.PathLike[str], options: ExportOptions) -> CheckResult:
    """Do what `check` does, with its keywords in one object."""
    check_open(intercom)
    check_path(path)
    if os.fspath(path) == _STDOUT:
        paths, output_format = None, format_for_stream(options.compression, options.file_format)
    else:
        paths, output_format = await anyio.to_thread.run_sync(resolve_output, path, options)
    encoder = encoder_of(options, output_format)
    pages = intercom.pages(allow_shortfall=True)  # what it lacks becomes a warning
    began_at = time.monotonic()
    page = await anext(pages)
    look = Estimate(intercom, page, time.monotonic() - began_at, options.expansion, options.max_contacts)
    workspace = await intercom.workspace(pages.traffic)
    encoder = await with_columns(encoder, intercom, options.expansion, pages.traffic, null_observer)
    sample = await anyio.to_thread.run_sync(encoder.encode, page)
    output = _OutputState()
    if paths:
        settings = settings_of(intercom, options, output_format, has_parts=paths.is_folder)
        output = await anyio.to_thread.run_sync(_inspect_output, paths, settings)
    look = replace(look, done=output.done)
    checked = CheckResult(
        workspace=workspace.name if workspace else None,
        workspace_region=workspace.region if workspace else None,
        base_url=intercom.base_url,
        api_version=intercom.api_version,
        api_version_echoed=pages.traffic.version_echoed,
        contacts=look.contacts,
        pages=look.pages,
        contacts_left=look.left,
        requests=look.requests,
        latency_s=round(look.latency_s, 3),
        window_limit=intercom.rate_limit.limit,
        estimated_duration_s=look.duration_s,
        estimated_bytes=look.bytes_of(output_format, sample, encoder.header),
        free_disk_bytes=output.free_bytes,
        warnings=(),
    )
    warnings = (
        *_warnings(checked, look, output.warning),
        *_warnings_of_space(checked, options.min_free_bytes),
        *_warnings_of_fields(missing_fields(options.selection, sample.matched_fields) if page.records else ()),
        *(() if options.allow_shortfall else _warnings_of_shortfall(page, look)),
    )
    return replace(checked, warnings=warnings)


@dataclass(frozen=True, slots=True)
class _OutputState:
    """What the place of an output has.

    Attributes:
        free_bytes: what is free on its disk; None for stdout, and where the disk does not report it.
        warning: what is in the way, or that an export is there.
        done: how far that export is.
    """

    free_bytes: int | None = None
    warning: str | None = None
    done: Position = NOTHING_WRITTEN


def _inspect_output(paths: OutputPaths, settings: OutputSettings) -> _OutputState:
    """Inspect the place of the output."""
    folder = paths.folder if paths.folder.is_dir() else paths.folder.parent
    try:
        free = free_bytes(folder)
    except OSError as exc:
        raise ConfigError(f"the folder of {str(paths.path)!r} cannot be used: {exc.strerror}") from exc
    try:
        found = find_existing(paths, settings, overwrite=False, restart=False)
    except (ConfigError, CheckpointError, SinkError) as trouble:
        return _OutputState(free, str(trouble))
    if isinstance(found, Summary):
        done = Position(contacts=found.contacts, reached_end=True)
        sentence = f"{str(paths.path)!r} is complete already: an export will send no request"
        return _OutputState(free, sentence, done)
    if found:
        done = found.figures.position
        contacts = count(done.contacts, "contact")
        sentence = f"{str(paths.path)!r} is an unfinished export of {contacts}, which an export will resume"
        return _OutputState(free, sentence, done)
    return _OutputState(free, None if os.access(folder, os.W_OK) else f"nothing can be written in {str(folder)!r}")


def _warnings(checked: CheckResult, look: Estimate, found: str | None) -> Iterator[str]:
    """Say what will go wrong, or otherwise than one may think."""
    if found:
        yield found
    yield from _warnings_of_version(checked)
    if checked.contacts is None:
        yield "the API does not count its contacts: how long an export takes cannot be told"
    if look.intercom.per_page < MAX_PER_PAGE:
        yield f"pages of {look.intercom.per_page} take more requests than those of {MAX_PER_PAGE} would (--per-page)"
    if checked.workspace is None:
        yield "the token may not ask for the workspace's name: make sure that it is the right one"
    if checked.window_limit is None:
        yield "the API announces no rate limit: requests leave as fast as it answers"


def _warnings_of_space(checked: CheckResult, min_free_bytes: int) -> Iterator[str]:
    """Compare what is needed, and what is to stay free, with what is free."""
    needed, free = checked.estimated_bytes, checked.free_disk_bytes
    if free is None:
        if min_free_bytes:
            yield "the output has no disk, or one that does not report its free space: --min-free-disk has no effect"
        return
    if free < min_free_bytes:
        yield f"{size(free)} are free, less than the minimum of {size(min_free_bytes)} (--min-free-disk)"
    elif needed is not None and needed + min_free_bytes > free:
        floor = f" and {size(min_free_bytes)} have to stay free" if min_free_bytes else ""
        yield f"about {size(needed)} are needed{floor}, but {size(free)} are free"


def _warnings_of_fields(missing: Iterable[str]) -> Iterator[str]:
    if names := ", ".join(map(repr, missing)):
        yield f"no contact of the first page has {names}: are the names right?"


def _warnings_of_shortfall(page: Page, look: Estimate) -> Iterator[str]:
    counted, listed = page.total_count, len(page.records)
    ends = page.next_cursor is None and (look.max_contacts is None or look.max_contacts > listed)
    if ends and shortfall(counted, None, listed, look.intercom.per_page):
        yield (
            f"the list ends after {count(listed, 'contact')}, although the API counts {counted:,}: "
            "an export will fail unless --allow-shortfall is set"
        )


def _warnings_of_version(checked: CheckResult) -> Iterator[str]:
    asked, echoed = checked.api_version, checked.api_version_echoed
    if echoed not in (None, asked):
        yield f"asked for API version {asked}, the API answered in {echoed}"
    if asked.startswith("1."):
        yield f"version {asked} lists leads alone, and at most 10,000: 2.x lists all contacts"
