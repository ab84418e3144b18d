"""The events of an export: frozen dataclasses that the export passes to its observer while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from exporter.model import Position


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """A request has finished, with success or failure. There is no event for a cancelled request.

    Attributes:
        method: HTTP method.
        path: path below the base URL, with ``{id}`` for a contact's id and without the query.
        status: HTTP status of the response, None without a response.
        cause: cause of the failure, ``network``, ``timeout`` or ``too_large``; None when there is a status.
        duration_s: seconds from sending the request to the last byte of its response.
        bytes: size of the response's body as transferred, that is, compressed.
        request_id: the API's id of the request, None if the response has none.
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
    """A request failed transiently and will be retried.

    Attributes:
        cause: ``http_<status>``, ``network``, ``timeout``, ``broken_body`` or ``shortfall``.
        detail: one sentence about the failure, safe to print.
        attempt: number of the failed attempt, from 1.
        wait_s: seconds until the next attempt.
    """

    cause: str
    detail: str
    attempt: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class RateLimited:
    """The client has used its share of the calls in the API's rate-limit window, and waits.

    Attributes:
        wait_s: seconds until the next window.
        window_limit: calls that the API allows in a window.
    """

    wait_s: float
    window_limit: int


@dataclass(frozen=True, slots=True)
class PageWritten:
    """The destination has accepted a page.

    Attributes:
        position: position of the output after this page.
        total_count: the API's count of contacts, None if the page has no count.
        window: calls left in the API's rate-limit window, and the limit of the window; None until the API reports them.
    """

    position: Position
    total_count: int | None
    window: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """An unfinished export was resumed: its committed data is checked and kept.

    Attributes:
        position: position from which the export was resumed.
    """

    position: Position


@dataclass(frozen=True, slots=True)
class Committed:
    """Everything up to this position is on disk, and a later run resumes from it.

    Attributes:
        position: committed position of the output.
    """

    position: Position


@dataclass(frozen=True, slots=True)
class VersionMismatch:
    """The API used another version than the requested one.

    Attributes:
        requested: requested version.
        reported: version that the API reported.
    """

    requested: str
    reported: str


@dataclass(frozen=True, slots=True)
class AttributeNamesUnavailable:
    """The token cannot read the names of custom attributes: a table has one column for all of them, as JSON."""


@dataclass(frozen=True, slots=True)
class LegacyApiVersion:
    """The requested version is 1.x, which lists only leads, and at most 10,000 of them.

    Attributes:
        requested: requested version.
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
    """The field selection names fields that no contact of the first page has.

    Attributes:
        fields: paths of these fields.
    """

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """The ranges of an export with several cursors are planned; an export to files has stored the plan.

    Attributes:
        by: ``second`` or ``day``, by what a date means to the API; ``+id`` where days or seconds were cut by ids.
        timezone: the workspace's time zone; None if the token cannot read it.
        ranges: number of ranges.
        contacts: number of contacts that the list counted.
        requests: requests that were sent to make the plan.
        cursors: maximum cursors at once.
        whole_days: number of days or seconds that could not be cut by ids although they hold many contacts.
    """

    by: str
    timezone: str | None
    ranges: int
    contacts: int
    requests: int
    cursors: int
    whole_days: int = 0


@dataclass(frozen=True, slots=True)
class RangeFinished:
    """All contacts of a range are written.

    Attributes:
        number: number of the range, from 1, in order of time.
        contacts: contacts in it.
        finished: number of ranges that are finished.
        ranges: number of all ranges.
    """

    number: int
    contacts: int
    finished: int
    ranges: int


@dataclass(frozen=True, slots=True)
class RangeDiscarded:
    """What was written of a range is discarded, and it is read again from its beginning.

    Attributes:
        number: number of the range, from 1, in order of time.
        reason: ``cursor`` if the API refused the range's cursor, ``counts`` if its contacts do not fit its counts.
        position: position of the output without the range.
    """

    number: int
    reason: str
    position: Position


@dataclass(frozen=True, slots=True)
class CursorsChanged:
    """The export adapts how many cursors request pages at once.

    Attributes:
        cursors: cursors at once from now on.
        maximum: most cursors at once.
    """

    cursors: int
    maximum: int


Event: TypeAlias = (
    AttributeNamesUnavailable
    | CursorsChanged
    | DiskLimited
    | FieldsNotFound
    | LegacyApiVersion
    | RequestFinished
    | RetryScheduled
    | RateLimited
    | PageWritten
    | Planned
    | RangeDiscarded
    | RangeFinished
    | Resumed
    | Committed
    | VersionMismatch
)
Observer: TypeAlias = Callable[[Event], None]

EVENT_NAMES: dict[type, str] = {
    AttributeNamesUnavailable: "attribute_names_unavailable",
    CursorsChanged: "cursors_changed",
    DiskLimited: "disk_limited",
    FieldsNotFound: "fields_not_found",
    PageWritten: "page",
    Planned: "planned",
    RangeDiscarded: "range_discarded",
    RangeFinished: "range_finished",
    RequestFinished: "request",
    Resumed: "resumed",
    Committed: "checkpoint",
    RetryScheduled: "retry",
    RateLimited: "waiting",
    VersionMismatch: "version_mismatch",
    LegacyApiVersion: "legacy_api_version",
}
"""The names of the events in JSON and logs."""


def null_observer(_event: Event) -> None:
    """Ignore the event. This is the default observer."""
