"""What goes wrong in a sandbox, and when: pure decisions, performed by the server."""

import re
from dataclasses import dataclass, field

from exporter.errors import ConfigError
from exporter.sandbox import schedule

NAMES = (
    *("http_500", "http_503", "http_429"),
    *("reset", "truncate", "empty_200", "html_200"),
    *("slow", "cursor_loop"),
)
"""The faults there are; any other ``http_4xx`` or ``http_5xx`` number works too."""

_STATUS = re.compile(r"http_([45]\d\d)", re.ASCII)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, and when.

    Either ``every`` is set (each request whose number it divides, counted from
    1) or ``page`` is (the first ``times`` requests for that page; None for all).
    """

    name: str
    every: int | None = None
    page: int | None = None
    times: int | None = 1

    @property
    def status(self) -> int | None:
        """HTTP status of an ``http_NNN`` fault, None for the others."""
        match = _STATUS.fullmatch(self.name)
        return int(match[1]) if match else None

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read one fault as the command line spells it.

        Args:
            text: ``NAME=EVERY`` each EVERYth request, ``NAME@PAGE`` the first
                request for that page, ``NAME@PAGExTIMES`` the first TIMES
                requests for it. ``cursor_loop@PAGE`` holds for every request
                of that page: a loop that heals is none.

        Raises:
            ConfigError: it is spelled otherwise, the name is unknown, or a
                number is zero.
        """
        found = schedule.parse(text)
        if found is None or (found[0] not in NAMES and not _STATUS.fullmatch(found[0])):
            raise ConfigError(
                f"faults has {text!r}, which cannot be read: {schedule.SYNTAX_HELP}; "
                f"names: {', '.join(NAMES)}, or http_ and any status from 400 to 599",
                "faults",
            )
        name, numbers = found
        if name == "cursor_loop" and "times" not in numbers:
            return cls(name, numbers.get("every"), numbers.get("page"), None)
        return cls(name, **numbers)


@dataclass
class FaultPlan:
    """The faults of one sandbox and how often each has struck."""

    faults: tuple[Fault, ...] = ()
    requests: int = 0
    """Requests decided on so far."""
    _injected: dict[Fault, int] = field(default_factory=dict)

    @classmethod
    def of(cls, faults: schedule.ScheduleSpec) -> "FaultPlan":
        """Build a plan from spelled faults, or from a mapping of name to EVERY.

        Raises:
            ConfigError: one of them cannot be read.
        """
        read = map(Fault.parse, schedule.as_list(faults))
        # A fault for one page is more precise than one for every Nth request: it goes first.
        return cls(tuple(sorted(read, key=lambda fault: fault.page is None)))

    def next_fault(self, page: int) -> Fault | None:
        """Count one request for a page; return the fault that strikes it, if any.

        Only the first one that applies strikes; the others keep their turns.
        """
        self.requests += 1
        for fault in self.faults:
            if self._due(fault, page):
                self._injected[fault] = self.injected_count(fault) + 1
                return fault
        return None

    def injected_count(self, fault: Fault) -> int:
        """Count how often a fault has struck."""
        return self._injected.get(fault, 0)

    def _due(self, fault: Fault, page: int) -> bool:
        if fault.every is not None:
            return self.requests % fault.every == 0
        return fault.page == page and (fault.times is None or self.injected_count(fault) < fault.times)
