"""What is shown of a run on a terminal: a line or two, as wide as there is room, the most important first."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exporter.text import count, duration, size

_BLOCKS = " ▏▎▍▌▋▊▉█"
_WIDEST_BAR, _NARROWEST_BAR = 40, 8
_BETWEEN = " · "


@dataclass(slots=True)
class Status:
    """How far an export is.

    Attributes:
        began_at_s: when this run began, on any clock.
        contacts: written so far, by earlier runs too.
        contacts_before: by earlier runs.
        total: how many there are, None where the API does not count.
        bytes: written so far.
        page: the latest one.
        window: calls left in the rate-limit window, and of how many; None where it is not announced.
        retries: requests repeated in this run.
        saved_at_s: when the latest checkpoint was written, None before that.
        pause: what requests wait for, and until when; it is over then.
    """

    began_at_s: float
    contacts: int = 0
    contacts_before: int = 0
    total: int | None = None
    bytes: int = 0
    page: int = 0
    window: tuple[int, int] | None = None
    retries: int = 0
    saved_at_s: float | None = None
    pause: tuple[str, float] = ("", 0.0)

    def rate(self, now_s: float) -> float:
        """Contacts a second, in this run."""
        return (self.contacts - self.contacts_before) / max(now_s - self.began_at_s, 0.001)

    def left_s(self, now_s: float) -> float | None:
        """Seconds that are left at this rate; None where nobody knows."""
        rate = self.rate(now_s)
        return None if self.total is None or not rate else max(self.total - self.contacts, 0) / rate


def lines(status: Status, now_s: float, width: int) -> list[str]:
    """Lay out what is shown.

    Args:
        status: how far it is.
        now_s: the time, on the status's clock.
        width: columns of the terminal.
    """
    return [progress_line("contacts", status.contacts, status.total, width), _fitting(_facts(status, now_s), width)]


def sentence(status: Status, now_s: float) -> str:
    """Say it in one line for a log."""
    contacts = count(status.contacts, "contact")
    if status.total is not None:
        contacts = f"{status.contacts:,} of {count(status.total, 'contact')}"
    left = status.left_s(now_s)
    rest = "" if left is None else f", {duration(round(left))} left"
    return f"{contacts}, {status.rate(now_s):,.0f}/s{rest}"


def progress_line(what: str, done: int, total: int | None, width: int) -> str:
    """Show how many of how many are done, with a bar where there is room for one."""
    if not total:
        return f"{done:,} {_named(what, done)}"[:width]
    share = min(done / total, 1)
    text = f"{done:,}/{total:,} {_named(what, total)} {share:.0%}"
    room = min(width - len(text) - 1, _WIDEST_BAR)
    return f"{_bar(share, room)} {text}" if room >= _NARROWEST_BAR else text[:width]


def _named(what: str, number: int) -> str:
    return what.removesuffix("s") if number == 1 and what == "contacts" else what


def _bar(share: float, width: int) -> str:
    eighths = int(share * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_BLOCKS[rest] if rest else "")).ljust(width, "░")


def _facts(status: Status, now_s: float) -> Iterable[str]:
    """Give the facts beside the contacts, the most important first."""
    what, until_s = status.pause
    if until_s > now_s:
        yield f"{what} in {duration(math.ceil(until_s - now_s))}"
    left = status.left_s(now_s)
    yield f"{status.rate(now_s):,.0f}/s"
    if left is not None:
        yield f"{duration(round(left))} left"
    yield size(status.bytes)
    if status.retries:
        yield count(status.retries, "retry")
    if status.saved_at_s is not None:
        yield f"saved {duration(round(now_s - status.saved_at_s))} ago"
    yield f"page {status.page:,}"
    if status.window is not None:
        yield f"{status.window[0]:,}/{status.window[1]:,} calls left"


def _fitting(facts: Iterable[str], width: int) -> str:
    """Join as many facts as there is room for."""
    line = ""
    for fact in facts:
        longer = f"{line}{_BETWEEN}{fact}" if line else fact
        if len(longer) > width:
            break
        line = longer
    return line


Draw = Callable[[int], list[str]]
"""Gives the lines to be shown, for a width."""
