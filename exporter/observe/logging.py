"""What an export tells, as records of the standard library's logging, for whoever has set that up.

Nothing personal is in them: no contact, no token, no cursor, and of a path
only its shape.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from exporter.observe.events import (
    AttributeNamesUnavailable,
    DiskLimited,
    Event,
    FieldsNotFound,
    LegacyApiVersion,
    Observer,
    RateLimited,
    RequestFinished,
    Resumed,
    RetryScheduled,
    VersionMismatch,
)
from exporter.text import count

logger = logging.getLogger("exporter")
"""Requests are told at DEBUG, what passes at INFO, what somebody should look at at WARNING."""

logger.addHandler(logging.NullHandler())  # else Python prints warnings on the stderr of hosts without logging

_UNTOLD = (
    "the API does not tell this token the names of custom attributes: they are in one column, as JSON "
    "(/data_attributes needs the permission 'Read content data'; or --fields custom_attributes.NAME gives one a column)"
)


_LIMITS = {
    "locks": "has no locks (do not start a second export to the same output)",
    "folder_sync": "cannot sync a folder (a power cut may undo the latest renames)",
    "file_sync": "cannot sync a file (a power cut may lose what was written last)",
    "modes": "does not make files private (check who can read them)",
    "free_space": "does not report its free space (the minimum cannot be kept)",
}


def logged(observer: Observer) -> Observer:
    """Return an observer that logs each event before it hands it on."""

    def observe(event: Event) -> None:
        told = _TOLD.get(type(event))
        if told and logger.isEnabledFor(told[0]) and (line := told[1](event)):
            logger.log(told[0], "%s", line, extra={"event": _without_cursor(event)})
        observer(event)

    return observe


def _without_cursor(event: Event) -> Event:
    """Leave out what is of any length, and could echo the token."""
    if isinstance(event, Resumed):
        return replace(event, position=replace(event.position, next_cursor=None))
    return event


def _request(event: RequestFinished) -> str:
    answer = event.cause if event.status is None else event.status
    named = f", request {event.request_id}" if event.request_id else ""
    return f"{event.method} {event.path} {answer} in {event.duration_s:.3f} s, {event.bytes:,} bytes{named}"


def _retry(event: RetryScheduled) -> str:
    return f"{event.detail}; attempt {event.attempt + 1} follows in {event.wait_s:.1f} s"


def _wait(event: RateLimited) -> str:
    return f"waiting {event.wait_s:.1f} s for the API's next window (limit {event.window_limit:,})"


def _going_on(event: Resumed) -> str | None:
    return f"going on after {count(event.position.contacts, 'contact')}" if event.position.pages else None


def _not_found(event: FieldsNotFound) -> str:
    return f"no contact of the first page has {', '.join(map(repr, event.fields))}: are the names right?"


def _old_version(event: LegacyApiVersion) -> str:
    return f"version {event.requested} of the API lists leads alone, and at most 10,000: 2.x lists all contacts"


def _other_version(event: VersionMismatch) -> str:
    return f"asked for API version {event.requested}, the API answered in {event.reported}"


def _limited(event: DiskLimited) -> str:
    return f"the file system of the output {'; it '.join(_LIMITS[limit] for limit in event.limits)}"


_TOLD: dict[type, tuple[int, Callable[[Any], str | None]]] = {
    RequestFinished: (logging.DEBUG, _request),
    RateLimited: (logging.INFO, _wait),
    Resumed: (logging.INFO, _going_on),
    RetryScheduled: (logging.WARNING, _retry),
    LegacyApiVersion: (logging.WARNING, _old_version),
    FieldsNotFound: (logging.WARNING, _not_found),
    VersionMismatch: (logging.WARNING, _other_version),
    DiskLimited: (logging.WARNING, _limited),
    AttributeNamesUnavailable: (logging.WARNING, lambda _event: _UNTOLD),
}
