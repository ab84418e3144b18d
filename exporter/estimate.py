"""How many requests, seconds and bytes an export takes, or what is left of one, judged by its first page."""

import math
from dataclasses import dataclass

from exporter.formats.registry import Format
from exporter.model import Frame, Page, Position
from exporter.options import ListExpansion
from exporter.source.expansion import lists_to_fetch
from exporter.source.intercom import Intercom

NOTHING_WRITTEN = Position()
_CONVERSION_FACTOR = 2.5  # a journal, and the table that is made of it, which has the contacts once more


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an export takes, as far as its first page tells.

    Attributes:
        intercom: the workspace.
        page: the first one.
        latency_s: seconds that it took.
        expansion: which lists are completed.
        max_contacts: the limit, None for all contacts.
        done: what an unfinished export has written already.
    """

    intercom: Intercom
    page: Page
    latency_s: float
    expansion: ListExpansion
    max_contacts: int | None
    done: Position = NOTHING_WRITTEN

    @property
    def contacts(self) -> int | None:
        """How many contacts an export will have."""
        counted = self.page.total_count
        if counted is None:
            return len(self.page.records) if self.page.next_cursor is None else None
        return counted if self.max_contacts is None else min(counted, self.max_contacts)

    @property
    def pages(self) -> int | None:
        """How many pages those are; an empty workspace has one."""
        return None if self.contacts is None else max(1, -(-self.contacts // self.intercom.per_page))

    @property
    def left(self) -> int | None:
        """How many of them are still to be written."""
        return None if self.contacts is None else max(self.contacts - self.done.contacts, 0)

    @property
    def _pages_left(self) -> int:
        if self.done.reached_end or self.left is None:
            return 0
        return max(1, -(-self.left // self.intercom.per_page))

    @property
    def _lists(self) -> float:
        """How many lists are asked for, for each contact."""
        records = self.page.records
        return sum(len(lists_to_fetch(self.expansion, record)) for record in records) / len(records) if records else 0

    @property
    def requests(self) -> int | None:
        """How many requests it takes."""
        if self.left is None:
            return None
        return self._pages_left + math.ceil(self._lists * self.left) + int(self.expansion.tag_names)

    @property
    def duration_s(self) -> float | None:
        """How long it takes: one page after the other, lists beside them, and no more than the API allows."""
        if self.requests is None:
            return None
        by_pages = self._pages_left * self.latency_s
        by_lists = (self.requests - self._pages_left) / self.expansion.concurrency * self.latency_s
        allowed = self.intercom.rate_limit.calls_per_s
        return round(max(by_pages, by_lists, self.requests / allowed if allowed else 0), 1)

    def bytes_of(self, output_format: Format, sample: Frame, header: Frame) -> int | None:
        """How much room it takes, if all contacts are like those of this page."""
        if self.contacts is None or not self.page.records:
            return None
        each = len(sample.content) / len(self.page.records)
        if output_format.convert:  # of a journal that is complete the table is still to be made
            return max(int(each * self.contacts * _CONVERSION_FACTOR) - self.done.written_bytes, 0)
        return int(each * (self.left or 0)) + (0 if self.done.pages else len(header.content))
