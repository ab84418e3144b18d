"""The events of an export as records of the standard library's logging, for programs that configure it.

The records contain no personal data: no contact, no token, no cursor, and paths
only with ``{id}`` instead of a contact's id.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from exporter.observe.events import (
    AttributeNamesUnavailable,
    CursorsChanged,
    DiskLimited,
    Event,
    FieldsNotFound,
    LegacyApiVersion,
    Observer,
    Planned,
    RangeDiscarded,
    RangeFinished,
    RateLimited,
    RequestFinished,
    Resumed,
    RetryScheduled,
    VersionMismatch,
)
from exporter.text import count

logger = logging.getLogger("exporter")
"""The levels: DEBUG for requests, INFO for normal progress, WARNING for events that the user should check."""

logger.addHandler(logging.NullHandler())  # otherwise Python prints warnings to the stderr of programs without logging

_ATTRIBUTE_NAMES_UNAVAILABLE = (
    "the token cannot read the names of custom attributes: one column has all of them, as JSON "
    "(give the token the permission 'Read content data', or name an attribute: --fields custom_attributes.NAME)"
)

_LIMITS = {
    "locks": "has no locks (do not start a second export to the same output)",
    "folder_sync": "cannot sync a folder (a power cut may undo the latest renames)",
    "file_sync": "cannot sync a file (a power cut may lose the latest data)",
    "modes": "does not make files private (check who can read them)",
    "free_space": "does not report its free space (the minimum free space has no effect)",
}


def logged(observer: Observer) -> Observer:
    """Return an observer that logs each event, then passes it to another observer."""

    def observe(event: Event) -> None:
        formatter = _FORMATTERS.get(type(event))
        if formatter and logger.isEnabledFor(formatter[0]) and (line := formatter[1](event)):
            logger.log(formatter[0], "%s", line, extra={"event": _without_cursor(event)})
        if isinstance(event, Planned) and event.whole_days:
            logger.warning("%s", _uncut(event), extra={"event": event})
        observer(event)

    return observe


def _without_cursor(event: Event) -> Event:
    """Return an event without its cursor, which has any length and could echo the token."""
    if isinstance(event, Resumed):
        return replace(event, position=replace(event.position, next_cursor=None))
    return event


def _request(event: RequestFinished) -> str:
    outcome = event.cause if event.status is None else event.status
    request_id = f", request {event.request_id}" if event.request_id else ""
    return f"{event.method} {event.path} {outcome} in {event.duration_s:.3f} s, {event.bytes:,} bytes{request_id}"


def _retry(event: RetryScheduled) -> str:
    return f"{event.detail}; retrying in {event.wait_s:.1f} s (attempt {event.attempt + 1})"


def _wait(event: RateLimited) -> str:
    return f"waiting {event.wait_s:.1f} s for the API's next window (limit {event.window_limit:,})"


def _resumed(event: Resumed) -> str | None:
    return f"resuming after {count(event.position.contacts, 'contact')}" if event.position.pages else None


def _not_found(event: FieldsNotFound) -> str:
    return f"no contact of the first page has {', '.join(map(repr, event.fields))}: check the spelling"


def _old_version(event: LegacyApiVersion) -> str:
    return f"version {event.requested} of the API lists only leads, and at most 10,000 of them: 2.x lists all contacts"


def _other_version(event: VersionMismatch) -> str:
    return f"requested API version {event.requested}, but the API responded with version {event.reported}"


def _planned(event: Planned) -> str:
    ranges = f"{count(event.ranges, 'range')} by {event.by.replace('+', ' and ')}"
    return f"planned {ranges} with {count(event.requests, 'request')}: up to {count(event.cursors, 'cursor')} at once"


def _uncut(event: Planned) -> str:
    spans = count(event.whole_days, "second" if event.by.startswith("second") else "day")
    advice = "" if event.by.startswith("second") else "; with --api-version 2.17 a day can be cut by time"
    return f"{spans} with many contacts could not be cut by ids: one cursor reads each of them{advice}"


def _range_finished(event: RangeFinished) -> str:
    return f"range {event.number} is finished with {count(event.contacts, 'contact')}"


def _discarded(event: RangeDiscarded) -> str:
    reasons = {"cursor": "the API refused its cursor", "counts": "its contacts do not fit the API's counts"}
    return f"range {event.number} is read again: {reasons[event.reason]}"


def _cursors(event: CursorsChanged) -> str:
    return f"{count(event.cursors, 'cursor')} at once"


def _limited(event: DiskLimited) -> str:
    return f"the file system of the output {'; it '.join(_LIMITS[limit] for limit in event.limits)}"


_FORMATTERS: dict[type, tuple[int, Callable[[Any], str | None]]] = {  # level, and function that returns the line
    RequestFinished: (logging.DEBUG, _request),
    RateLimited: (logging.INFO, _wait),
    Resumed: (logging.INFO, _resumed),
    Planned: (logging.INFO, _planned),
    RangeDiscarded: (logging.WARNING, _discarded),
    RangeFinished: (logging.DEBUG, _range_finished),
    CursorsChanged: (logging.DEBUG, _cursors),
    RetryScheduled: (logging.WARNING, _retry),
    LegacyApiVersion: (logging.WARNING, _old_version),
    FieldsNotFound: (logging.WARNING, _not_found),
    VersionMismatch: (logging.WARNING, _other_version),
    DiskLimited: (logging.WARNING, _limited),
    AttributeNamesUnavailable: (logging.WARNING, lambda _event: _ATTRIBUTE_NAMES_UNAVAILABLE),
}
