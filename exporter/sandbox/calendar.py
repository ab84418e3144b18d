"""When the contacts of a synthetic workspace are created."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, tzinfo
from functools import cached_property
from typing import Literal, TypeAlias

from exporter.sandbox.templates import STEP_S

EPOCH = 1_420_070_400
"""Approximate ``created_at`` of the first contact: 2015-01-01T00:00:00Z."""

DateField: TypeAlias = Literal["created_at", "updated_at"]
"""The dates of a contact by which a search can sort."""

YEAR_S = 365 * 86_400
_SHORTEST_DAY_S = 23 * 3600 - STEP_S  # the clocks may go forward
_MASK = 2**64 - 1
# Odd numbers near 2^64 divided by the golden ratio and by similar numbers. The low 64 bits of a serial number times
# such a number, divided by 2^64, look random from 0 to 1, and are evenly distributed over serial numbers.
_SPREAD, _CHOICE, _WITHIN_DAY = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93
_SHARE = 2.0**-64


@dataclass
class Calendar:
    """The times at which contacts are created and updated.

    Args:
        contacts: number of contacts at the beginning.
        years: years over which they are spread, in no order; None for one contact each 30 seconds, in the order
            of the list.
        hot_day: share of them that is created on one day, from 0 to 1.
        zone: function that returns the time zone of that day.
        now: function that returns the time of a change; None for times after all others, from the number of the
            change.
    """

    contacts: int
    years: float | None = None
    hot_day: float = 0.0
    zone: Callable[[], tzinfo] = lambda: UTC
    now: Callable[[], float] | None = None
    _changed_at: dict[int, int] = field(default_factory=dict)

    def created_at(self, serial: int) -> int:
        """Return when a contact is created; a template adds less than 30 seconds."""
        return self.created_at_all((serial,))[0]

    def created_at_all(self, serials: Sequence[int]) -> list[int]:
        """Return when many contacts are created: much faster than one at a time."""
        end, years = self.contacts, self.years
        if years is None:
            stamps = [EPOCH + one * STEP_S if one < end else self._inserted_at(one) for one in serials]
        else:
            stamps = [
                EPOCH + int((one * _SPREAD & _MASK) * _SHARE * years * YEAR_S) if one < end else self._inserted_at(one)
                for one in serials
            ]
        if not self.hot_day:
            return stamps
        start, hot_day = self._hot_day_start, self.hot_day
        return [
            start + int((one * _WITHIN_DAY & _MASK) * _SHARE * _SHORTEST_DAY_S)
            if one < end and (one * _CHOICE & _MASK) * _SHARE < hot_day
            else stamp
            for one, stamp in zip(serials, stamps, strict=True)
        ]

    def _inserted_at(self, change: int) -> int:
        """Return the date of an inserted contact, early enough that a template does not make it a future one."""
        return self.changed_at(change) - (0 if self.now is None else STEP_S)

    def changed_at(self, change: int) -> int:
        """Return when a contact is inserted or updated, by the serial number of the change."""
        if self.now is not None:
            return self._changed_at.setdefault(change, int(self.now()))
        return EPOCH + self._span_s + change * STEP_S

    @cached_property
    def _hot_day_start(self) -> int:
        zone = self.zone()
        middle = datetime.fromtimestamp(EPOCH + (self._span_s or self.contacts * STEP_S) // 2, zone)
        return int(datetime.combine(middle.date(), time(), zone).timestamp())

    @property
    def _span_s(self) -> int:
        return 0 if self.years is None else int(self.years * YEAR_S)
