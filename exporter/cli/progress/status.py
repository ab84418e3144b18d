"""The status of a command, rendered for a terminal (a line or two, the most important first) and for a log."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.text import count, duration, size

_BLOCKS = " ▏▎▍▌▋▊▉█"
_MAX_BAR_COLUMNS, _MIN_BAR_COLUMNS = 40, 8
_SEPARATOR = " · "


@dataclass(slots=True)
class ExportStatus:
    """Progress of an export.

    Attributes:
        started_at_s: when this run started, on any clock.
        contacts: written so far, by earlier runs too.
        resumed_contacts: written by earlier runs.
        total: the API's count of contacts, None where it has none.
        bytes: written so far.
        page: the latest one.
        window: calls left in the rate-limit window, and of how many; None where the API does not announce it.
        retries: requests repeated in this run.
        saved_at_s: when the latest checkpoint was written, None before that.
        pause: what requests wait for, and until when.
        ranges: with several cursors, how many ranges are finished, and of how many; None for the list.
        cursors: requests at once, and at most; None for the list.
    """

    started_at_s: float
    contacts: int = 0
    resumed_contacts: int = 0
    total: int | None = None
    bytes: int = 0
    page: int = 0
    window: tuple[int, int] | None = None
    retries: int = 0
    saved_at_s: float | None = None
    pause: tuple[str, float] = ("", 0.0)
    ranges: tuple[int, int] | None = None
    cursors: tuple[int, int] | None = None

    def rate(self, now_s: float) -> float:
        """Return the contacts per second of this run."""
        return (self.contacts - self.resumed_contacts) / max(now_s - self.started_at_s, 0.001)

    def remaining_s(self, now_s: float) -> float | None:
        """Return the seconds that are left at this rate; None if that is unknown."""
        rate = self.rate(now_s)
        return None if self.total is None or not rate else max(self.total - self.contacts, 0) / rate

    def render_lines(self, now_s: float, width: int) -> list[str]:
        """Return two lines for a terminal of a width in columns."""
        return [progress_line("contacts", self.contacts, self.total, width), _fit(self._facts(now_s), width)]

    def render_log_line(self, now_s: float) -> str:
        """Return one line for a log."""
        contacts = count(self.contacts, "contact")
        if self.total is not None:
            contacts = f"{self.contacts:,} of {count(self.total, 'contact')}"
        remaining_s = self.remaining_s(now_s)
        rest = "" if remaining_s is None else f", {duration(round(remaining_s))} left"
        ranges = "" if self.ranges is None else f", {self.ranges[0]:,} of {count(self.ranges[1], 'range')}"
        return f"{contacts}, {self.rate(now_s):,.0f}/s{rest}{ranges}"

    def _facts(self, now_s: float) -> Iterable[str]:
        """Yield the facts beside the contacts, the most important first."""
        reason, until_s = self.pause
        if until_s > now_s:
            yield f"{reason} in {duration(math.ceil(until_s - now_s))}"
        yield f"{self.rate(now_s):,.0f}/s"
        remaining_s = self.remaining_s(now_s)
        if remaining_s is not None:
            yield f"{duration(round(remaining_s))} left"
        if self.ranges is not None:
            yield f"{self.ranges[0]:,}/{self.ranges[1]:,} ranges"
        if self.cursors is not None:
            yield f"{self.cursors[0]:,}/{self.cursors[1]:,} cursors"
        yield size(self.bytes)
        if self.retries:
            yield count(self.retries, "retry")
        if self.saved_at_s is not None:
            yield f"saved {duration(round(now_s - self.saved_at_s))} ago"
        yield f"page {self.page:,}"
        if self.window is not None:
            yield f"{self.window[0]:,}/{self.window[1]:,} calls left"


@dataclass(slots=True)
class ReadStatus:
    """Progress of a command that reads a finished export.

    Attributes:
        noun: what it counts: "MB read".
        bytes_read: so far.
        bytes_total: of all files.
    """

    noun: str
    bytes_read: int = 0
    bytes_total: int = 0

    def render_lines(self, _now_s: float, width: int) -> list[str]:
        """Return one line for a terminal of a width in columns."""
        return [progress_line(self.noun, self.bytes_read // 1_000_000, self.bytes_total // 1_000_000, width)]

    def render_log_line(self, _now_s: float) -> None:
        """Return None: reading logs no progress."""


def progress_line(noun: str, done: int, total: int | None, width: int) -> str:
    """Return how many of how many are done, with a bar if it fits."""
    if not total:
        return f"{done:,} {_noun_for(noun, done)}"[:width]
    share = min(done / total, 1)
    text = f"{done:,}/{total:,} {_noun_for(noun, total)} {share:.0%}"
    columns = min(width - len(text) - 1, _MAX_BAR_COLUMNS)
    return f"{_render_bar(share, columns)} {text}" if columns >= _MIN_BAR_COLUMNS else text[:width]


def _noun_for(noun: str, number: int) -> str:
    return noun.removesuffix("s") if number == 1 and noun == "contacts" else noun


def _render_bar(share: float, width: int) -> str:
    full, eighths = divmod(int(share * width * 8), 8)
    return ("█" * full + (_BLOCKS[eighths] if eighths else "")).ljust(width, "░")


def _fit(facts: Iterable[str], width: int) -> str:
    """Join as many facts as fit into a width."""
    line = ""
    for fact in facts:
        longer = f"{line}{_SEPARATOR}{fact}" if line else fact
        if len(longer) > width:
            break
        line = longer
    return line
