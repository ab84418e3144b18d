"""The plan of an export with several cursors: ranges of creation dates, and the file ``_plan.json`` that holds them."""

import dataclasses
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec
import orjson

from exporter.text import count

PLAN_VERSION = 1
PlanUnit: TypeAlias = Literal["second", "day", "second+id", "day+id"]
_MAX_RANGES = 99_999
_MAX_NUMBER = 2**53
_MAX_DAY_OFFSET_S = 2 * 86_400  # the day of a boundary, in any time zone, ends at most this long after it


@dataclass(frozen=True, slots=True)
class Range:
    """The contacts that were created in a span of time.

    Up to API version 2.16 a date stands for a whole day in the workspace's time zone. Two ranges that share a
    boundary complement each other in any case: no contact is in both, and none between them.

    Attributes:
        start: UNIX seconds; None for the first range, which has no start.
        end: UNIX seconds, exclusive; None for the last range, which has no end.
        id_suffix: the last characters of the contacts' ids; empty for all contacts of the span.
        expected: number of contacts when the plan was made.
    """

    start: int | None
    end: int | None
    id_suffix: str
    expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The ranges of an export. It is made once; every run of the export follows it.

    Attributes:
        by: how the ranges are cut: ``second`` or ``day``, by what a date means to the API; with ``+id`` if
            a day or a second with many contacts is cut by the last characters of the ids.
        timezone: the workspace's time zone, None if the token cannot read it.
        ranges: in order of time.
        requests: requests that were sent to make the plan.
        field: name of the date that the ranges are cut by.
        started_at: time of the list's count before the plan, in UNIX seconds of the server's clock: contacts that
            were created before it must be in the export.
        recent_since: contacts created since then may not be found by searches yet. UNIX seconds.
        list_count: contacts that the list counted.
        search_count: contacts that the search counted.
        recent: contacts that were created in the 15 minutes before `started_at` and that the search found.
    """

    by: PlanUnit
    timezone: str | None
    ranges: tuple[Range, ...]
    requests: int
    field: str = "created_at"
    started_at: int
    recent_since: int
    list_count: int
    search_count: int
    recent: int = 0

    @property
    def has_days(self) -> bool:
        """Whether a date stands for a whole day, whose limits depend on the workspace's time zone."""
        return self.by.startswith("day")

    def is_recent_date(self, date: int) -> bool:
        """Return whether a contact was created in the 15 minutes before the start, or in the same second.

        The list's count at the start may contain it, although the search did not find it yet.
        """
        return self.recent_since <= date <= self.started_at

    def is_recent(self, one: Range) -> bool:
        """Return whether a range can hold contacts that were created shortly before the start, or after it."""
        slack_s = _MAX_DAY_OFFSET_S if self.has_days else 0
        return one.end is None or one.end + slack_s > self.recent_since

    @property
    def recent_ranges(self) -> frozenset[int]:
        """The numbers, from 1, of the ranges for which `is_recent` is true."""
        return frozenset(number for number, one in enumerate(self.ranges, 1) if self.is_recent(one))

    def __str__(self) -> str:
        return f"{count(len(self.ranges), 'range')} by {self.by.replace('+', ' and ')}"


def encode_plan(plan: Plan) -> bytes:
    """Return the content of the plan's file."""
    fields = dataclasses.asdict(plan)
    fields["ranges"] = [orjson.Fragment(orjson.dumps(one)) for one in fields["ranges"]]  # each on one line
    return orjson.dumps(
        {"plan_version": PLAN_VERSION, **fields}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )


def plan_digest(content: bytes) -> str:
    """Return the SHA-256 of a plan's file, for the checkpoint."""
    return sha256(content).hexdigest()


def decode_plan(content: bytes) -> Plan | None:
    """Return the plan in a file, None if the content is damaged or not a plan of this version."""
    try:
        version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("plan_version")
        if version is None or bytes(version) != b"%d" % PLAN_VERSION:
            return None
        plan = msgspec.json.decode(content, type=Plan)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return plan if _is_valid(plan) else None


def _is_valid(plan: Plan) -> bool:
    """Return whether the ranges follow one another without a gap, and all numbers are in range."""
    ranges = plan.ranges
    numbers = [plan.requests, plan.started_at, plan.list_count, plan.search_count, plan.recent]
    numbers += [one.expected for one in ranges]
    return (
        0 < len(ranges) <= _MAX_RANGES
        and all(0 <= number < _MAX_NUMBER for number in numbers)
        and ranges[0].start is None
        and ranges[-1].end is None
        and all(_follows(first, second) for first, second in pairwise(ranges))
    )


def _follows(first: Range, second: Range) -> bool:
    """Return whether a range begins where the one before it ends, or both are parts of one span by ids."""
    if first.id_suffix and second.id_suffix and (first.start, first.end) == (second.start, second.end):
        return first.id_suffix != second.id_suffix
    return first.end is not None and first.end == second.start
