"""`check`: a preflight check of workspace and output. It writes nothing; with several cursors it also makes a plan."""

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
from exporter.layout.paths import OutputPaths
from exporter.layout.settings import OutputSettings
from exporter.layout.summary import Summary
from exporter.model import Page, Position
from exporter.observe.events import null_observer
from exporter.options import ExportKeywords, ExportOptions
from exporter.ranges.planning import check_ranges
from exporter.source.intercom import Intercom, check_open
from exporter.state import shortfall
from exporter.text import count, size
from exporter.validation import MAX_PER_PAGE, check_path

_STDOUT = "-"


@dataclass(frozen=True, slots=True)
class PlanCheck:
    """The plan that an export with several cursors would follow now.

    Attributes:
        by: ``second`` or ``day``, by what a date means to the API; ``+id`` where days or seconds are cut by ids.
        ranges: number of ranges.
        requests: requests that were sent to make it.
        cursors: most cursors at once.
    """

    by: str
    ranges: int
    requests: int
    cursors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of a preflight check. Its estimates extrapolate from the first page.

    Attributes:
        workspace: name of the workspace; None if the token cannot read it.
        workspace_region: region of the workspace, as the API names it; None if the token cannot read it.
        base_url: base URL of the API.
        api_version: requested version of the API.
        api_version_echoed: version that the API reported; None if it did not report any.
        contacts: number of contacts in the finished export; None if the API does not count its contacts.
        pages: number of pages in the finished export; None if unknown.
        contacts_left: number of contacts that are still to be written: all of them, without an unfinished export.
        requests: estimated number of requests for these contacts, including requests for lists.
        latency_s: seconds from the request to the first page, including the time to connect.
        window_limit: calls that the API allows in ten seconds, for all its clients together; None if unknown.
        estimated_duration_s: estimated seconds that the export still takes, from latency and rate limit.
        estimated_bytes: estimated bytes that the export still writes to the disk or to stdout.
        free_disk_bytes: free space on the output's disk; None for stdout, or if the disk does not report it.
        warnings: likely problems, as one sentence each.
        estimated_duration_one_cursor_s: with several cursors, estimated seconds with one; else None.
        plan: with several cursors, the plan that an export would follow now; else None.
        search_agrees: whether list and search have the same contacts, as far as that was compared; None if it was not.
        search_differences: names of fields that differ in 15 compared contacts, ``(missing)`` for contacts that the
            search does not have, ``(spelling)`` if only bytes differ.
        saved_by_cursors_s: with one cursor, estimated seconds that 32 would save; 0 if that is unknown.
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
    estimated_duration_one_cursor_s: float | None = None
    plan: PlanCheck | None = None
    search_agrees: bool | None = None
    search_differences: tuple[str, ...] = ()
    saved_by_cursors_s: float = 0.0


async def check(
    intercom: Intercom, path: str | os.PathLike[str] = _STDOUT, **options: Unpack[ExportKeywords]
) -> CheckResult:
    """Check a workspace and an output before an export.

    The estimates extrapolate from the first page: from its latency, the size of
    its contacts in the output's format, and the reported rate limit.

    Args:
        intercom: the workspace, inside its block.
        path: the output, as for `export`.
        **options: the keywords that the export will get.

    Returns:
        The result of the check.

    Raises:
        ConfigError: an argument is invalid.
        SourceError: the API failed; the subclass names the kind of failure.

    Cancellation:
        Cancels the current request immediately.
    """
    return await check_with(intercom, path, ExportOptions.of("check", ExportKeywords, options))


async def check_with(intercom: Intercom, path: str | os.PathLike[str], options: ExportOptions) -> CheckResult:
    """Same as `check`, with its keywords in one object."""
    check_open(intercom)
    check_path(path)
    if os.fspath(path) == _STDOUT:
        paths, output_format = None, format_for_stream(options.compression, options.file_format)
    else:
        paths, output_format = await anyio.to_thread.run_sync(resolve_output, path, options)
    encoder = encoder_of(options, output_format)
    pages = intercom.pages(allow_shortfall=True)  # a warning reports a shortfall
    started_at = time.monotonic()
    page = await anext(pages)
    estimate = Estimate(intercom, page, time.monotonic() - started_at, options.expansion, options.max_contacts)
    workspace = await intercom.workspace(pages.traffic)
    encoder = await with_columns(encoder, intercom, options.expansion, pages.traffic, null_observer)
    sample = await anyio.to_thread.run_sync(encoder.encode, page)
    output = _OutputState()
    if paths:
        settings = settings_of(intercom, options, output_format, has_parts=paths.is_folder)
        output = await anyio.to_thread.run_sync(_inspect_output, paths, settings)
    estimate = replace(estimate, done=output.done)
    result = CheckResult(
        workspace=workspace.name if workspace else None,
        workspace_region=workspace.region if workspace else None,
        base_url=intercom.base_url,
        api_version=intercom.api_version,
        api_version_echoed=pages.traffic.version_echoed,
        contacts=estimate.contacts,
        pages=estimate.pages,
        contacts_left=estimate.contacts_left,
        requests=estimate.requests,
        latency_s=round(estimate.latency_s, 3),
        window_limit=intercom.rate_limit.limit,
        estimated_duration_s=estimate.duration_s,
        estimated_bytes=estimate.bytes_of(output_format, sample, encoder.header),
        free_disk_bytes=output.free_bytes,
        saved_by_cursors_s=round(estimate.saved_by_cursors_s, 1) if options.max_cursors == 1 else 0.0,
        warnings=(),
    )
    warnings = (
        *_warnings(result, estimate, output.warning),
        *_warnings_of_space(result, options.min_free_bytes),
        *_warnings_of_fields(missing_fields(options.selection, sample.matched_fields) if page.records else ()),
        *(() if options.allow_shortfall else _warnings_of_shortfall(page, estimate)),
    )
    result = replace(result, warnings=warnings)
    return await _with_ranges(intercom, result, options, page) if options.max_cursors > 1 else result


async def _with_ranges(intercom: Intercom, result: CheckResult, options: ExportOptions, page: Page) -> CheckResult:
    """Add what several cursors would do."""
    intercom.check_can_search()
    cursors = options.max_cursors
    found = await check_ranges(intercom, cursors, page)
    calls_per_s = intercom.rate_limit.calls_per_s
    several_s = found.duration_s(cursors, intercom.per_page, result.latency_s, calls_per_s)
    differ = ", ".join(found.differences)
    what_differs = f"contacts of the search differ from those of the list in: {differ}"
    return replace(
        result,
        estimated_duration_one_cursor_s=result.estimated_duration_s,
        estimated_duration_s=several_s,
        plan=PlanCheck(found.plan.by, len(found.plan.ranges), found.plan.requests, cursors),
        search_agrees=found.agrees,
        search_differences=found.differences,
        warnings=(
            *result.warnings,
            *((found.problem,) if found.problem else ()),
            *((what_differs,) if differ else ()),
        ),
    )


@dataclass(frozen=True, slots=True)
class _OutputState:
    """The state of an output before an export.

    Attributes:
        free_bytes: free space on its disk; None for stdout, or if the disk does not report it.
        warning: sentence about an obstacle or about an existing export; None without one.
        done: position that the existing export has reached.
    """

    free_bytes: int | None = None
    warning: str | None = None
    done: Position = NOTHING_WRITTEN


def _inspect_output(paths: OutputPaths, settings: OutputSettings) -> _OutputState:
    """Return the state of an output: its free space, and any existing export. Blocks."""
    folder = paths.folder if paths.folder.is_dir() else paths.folder.parent
    try:
        free = free_bytes(folder)
    except OSError as exc:
        raise ConfigError(f"the folder of {str(paths.path)!r} cannot be used: {exc.strerror}") from exc
    try:
        existing = find_existing(paths, settings, overwrite=False, restart=False)
    except (ConfigError, CheckpointError, SinkError) as error:
        return _OutputState(free, str(error))
    if isinstance(existing, Summary):
        done = Position(contacts=existing.contacts, reached_end=True)
        warning = f"{str(paths.path)!r} is already complete: exporting again sends no requests"
        return _OutputState(free, warning, done)
    if existing:
        done = existing.figures.position
        contacts = count(done.contacts, "contact")
        warning = f"{str(paths.path)!r} has an unfinished export ({contacts}) that will be resumed"
        return _OutputState(free, warning, done)
    return _OutputState(free, None if os.access(folder, os.W_OK) else f"the folder {str(folder)!r} is not writable")


def _warnings(result: CheckResult, estimate: Estimate, output_warning: str | None) -> Iterator[str]:
    """Yield the warnings about likely problems of the export."""
    if output_warning:
        yield output_warning
    yield from _warnings_of_version(result)
    if result.contacts is None:
        yield "the API does not count its contacts: the duration cannot be estimated"
    if estimate.intercom.per_page < MAX_PER_PAGE:
        yield f"pages of {estimate.intercom.per_page} need more requests than pages of {MAX_PER_PAGE} (--per-page)"
    if result.workspace is None:
        yield "the token cannot read the workspace name: check that it belongs to the right workspace"
    if result.window_limit is None:
        yield "the API reports no rate limit: requests are not throttled"


def _warnings_of_space(result: CheckResult, min_free_bytes: int) -> Iterator[str]:
    """Yield a warning if the disk has less free space than the export and the minimum need."""
    needed, free = result.estimated_bytes, result.free_disk_bytes
    if free is None:
        if min_free_bytes:
            yield "the output has no disk, or its disk does not report its free space: --min-free-disk has no effect"
        return
    if free < min_free_bytes:
        yield f"{size(free)} are free, less than the minimum of {size(min_free_bytes)} (--min-free-disk)"
    elif needed is not None and needed + min_free_bytes > free:
        minimum = f" and {size(min_free_bytes)} must stay free (--min-free-disk)" if min_free_bytes else ""
        yield f"about {size(needed)} are needed{minimum}, but only {size(free)} are free"


def _warnings_of_fields(missing: Iterable[str]) -> Iterator[str]:
    if names := ", ".join(map(repr, missing)):
        yield f"no contact of the first page has {names}: check the spelling"


def _warnings_of_shortfall(page: Page, estimate: Estimate) -> Iterator[str]:
    counted, listed = page.total_count, len(page.records)
    is_end = page.next_cursor is None and (estimate.max_contacts is None or estimate.max_contacts > listed)
    if is_end and shortfall(counted, None, listed, estimate.intercom.per_page):
        yield (
            f"the list ends after {count(listed, 'contact')}, although the API counts {counted:,}: "
            "an export will fail unless --allow-shortfall is set"
        )


def _warnings_of_version(result: CheckResult) -> Iterator[str]:
    requested, reported = result.api_version, result.api_version_echoed
    if reported not in (None, requested):
        yield f"requested API version {requested}, but the API responded with version {reported}"
    if requested.startswith("1."):
        yield f"version {requested} of the API lists only leads, and at most 10,000 of them: 2.x lists all contacts"
