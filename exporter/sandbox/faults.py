"""The faults of a sandbox and their schedule: pure decisions, which the server executes."""

import re
from dataclasses import dataclass, field

from exporter.errors import ConfigError
from exporter.sandbox import schedule

NAMES = (
    *("http_500", "http_503", "http_429"),
    *("reset", "truncate", "empty_200", "html_200"),
    *("slow", "cursor_loop"),
)
"""The names of faults. In addition, every ``http_`` and a status from 400 to 599 is a fault."""

_STATUS = re.compile(r"http_([45]\d\d)", re.ASCII)


@dataclass(frozen=True)
class Fault:
    """A scheduled fault.

    Either ``every`` is set: the fault affects every Nth request. Or ``page`` is
    set: the fault affects the first ``times`` requests for that page, or all of
    them if ``times`` is None.
    """

    name: str
    every: int | None = None
    page: int | None = None
    times: int | None = 1

    @property
    def status(self) -> int | None:
        """The HTTP status of an ``http_NNN`` fault, None for other faults."""
        match = _STATUS.fullmatch(self.name)
        return int(match[1]) if match else None

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Parse one fault in the syntax of the command line.

        Args:
            text: ``NAME=EVERY`` for every Nth request, ``NAME@PAGE`` for the
                first request for that page, ``NAME@PAGExTIMES`` for the first
                requests for that page. ``cursor_loop@PAGE`` affects every
                request for that page: a loop that ends is no loop.

        Raises:
            ConfigError: the syntax is invalid, the name is unknown, or a number
                is zero.
        """
        parsed = schedule.parse(text)
        if parsed is None or (parsed[0] not in NAMES and not _STATUS.fullmatch(parsed[0])):
            raise ConfigError(
                f"faults contains the invalid fault {text!r}: {schedule.SYNTAX_HELP}; "
                f"names: {', '.join(NAMES)}, or http_ and any status from 400 to 599",
                "faults",
            )
        name, numbers = parsed
        if name == "cursor_loop" and "times" not in numbers:
            return cls(name, numbers.get("every"), numbers.get("page"), None)
        return cls(name, **numbers)


@dataclass
class FaultPlan:
    """The faults of one sandbox, and how often each of them was injected."""

    faults: tuple[Fault, ...] = ()
    requests: int = 0
    """Number of requests for pages so far."""
    _injected: dict[Fault, int] = field(default_factory=dict)

    @classmethod
    def of(cls, faults: schedule.ScheduleSpec) -> "FaultPlan":
        """Return a plan of faults in the syntax of ``Fault.parse``, or of a mapping of name to "every Nth request".

        Raises:
            ConfigError: a fault is invalid.
        """
        parsed = map(Fault.parse, schedule.as_list(faults))
        # A fault for one page is more specific than one for every Nth request: it has priority.
        return cls(tuple(sorted(parsed, key=lambda fault: fault.page is None)))

    def next_fault(self, page: int) -> Fault | None:
        """Count one request for a page, and return its fault, None for no fault.

        If several faults are due, only the first is injected and counted.
        """
        self.requests += 1
        for fault in self.faults:
            if self._is_due(fault, page):
                self._injected[fault] = self.injected_count(fault) + 1
                return fault
        return None

    def injected_count(self, fault: Fault) -> int:
        """Return how often a fault was injected."""
        return self._injected.get(fault, 0)

    def _is_due(self, fault: Fault, page: int) -> bool:
        if fault.every is not None:
            return self.requests % fault.every == 0
        return fault.page == page and (fault.times is None or self.injected_count(fault) < fault.times)
