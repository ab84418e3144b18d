"""What an export tells while it runs: frozen dataclasses, handed to an observer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from exporter.model import Position


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """A request has ended, well or not; one that was cancelled is not told of.

    Attributes:
        method: of HTTP.
        path: below the base URL, with ``{id}`` for a contact's id and without the query.
        status: of the answer, None when there was none.
        cause: what it failed of on its way, ``network``, ``timeout`` or ``too_large``; None when there is a status.
        duration_s: seconds from when it left until the last byte of its answer.
        bytes: of the answer's body, as they travelled.
        request_id: the API's name for it, None when it gave none.
    """

    method: str
    path: str
    status: int | None
    cause: str | None
    duration_s: float
    bytes: int
    request_id: str | None


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """A request failed in a passing way and will be sent again.

    Attributes:
        cause: ``http_<status>``, ``network``, ``timeout``, ``broken_body`` or ``shortfall``.
        detail: one sentence on what happened, safe to print.
        attempt: the attempt that failed, from 1.
        wait_s: seconds until the next one.
    """

    cause: str
    detail: str
    attempt: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Our share of the API's rate-limit window is used up.

    Attributes:
        wait_s: seconds until the next window.
        window_limit: calls the API allows in a window.
    """

    wait_s: float
    window_limit: int


@dataclass(frozen=True, slots=True)
class PageWritten:
    """A page has been handed to the destination.

    Attributes:
        position: how far the output has got with it.
        total_count: contacts the API counted, None when it gave no count.
        window: calls left in the API's rate-limit window, and of how many; None until it says so.
    """

    position: Position
    total_count: int | None
    window: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """An unfinished export is resumed: what it had committed is checked and kept.

    Attributes:
        position: where it is resumed.
    """

    position: Position


@dataclass(frozen=True, slots=True)
class Committed:
    """Everything up to here is on disk, and a later run resumes from it.

    Attributes:
        position: how far that is.
    """

    position: Position


@dataclass(frozen=True, slots=True)
class VersionMismatch:
    """The API answered in another version than the one asked for.

    Attributes:
        asked: the version asked for.
        echoed: the version the API named.
    """

    requested: str
    reported: str


@dataclass(frozen=True, slots=True)
class AttributeNamesUnavailable:
    """The API does not tell this token the names of custom attributes: a table has them in one column, as JSON."""


@dataclass(frozen=True, slots=True)
class LegacyApiVersion:
    """The version asked for is one of 1.x: it lists leads alone, 10,000 of them at most.

    Attributes:
        asked: the version.
    """

    requested: str


@dataclass(frozen=True, slots=True)
class DiskLimited:
    """The file system of the output lacks operations; the export continues without them.

    Attributes:
        limits: any of ``locks``, ``folder_sync``, ``file_sync``, ``modes`` and ``free_space``.
    """

    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldsNotFound:
    """No contact of the first page has these fields, which were named for it.

    Attributes:
        fields: their paths.
    """

    fields: tuple[str, ...]


Event: TypeAlias = (
    AttributeNamesUnavailable
    | DiskLimited
    | FieldsNotFound
    | LegacyApiVersion
    | RequestFinished
    | RetryScheduled
    | RateLimited
    | PageWritten
    | Resumed
    | Committed
    | VersionMismatch
)
Observer: TypeAlias = Callable[[Event], None]

EVENT_NAMES: dict[type, str] = {
    AttributeNamesUnavailable: "attribute_names_unavailable",
    DiskLimited: "disk_limited",
    FieldsNotFound: "fields_not_found",
    PageWritten: "page",
    RequestFinished: "request",
    Resumed: "resumed",
    Committed: "checkpoint",
    RetryScheduled: "retry",
    RateLimited: "waiting",
    VersionMismatch: "version_mismatch",
    LegacyApiVersion: "legacy_api_version",
}
"""What the events are called outside of Python."""


def null_observer(_event: Event) -> None:
    """Observe nothing: the default observer."""
