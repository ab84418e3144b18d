"""Estimate the requests, seconds and bytes of an export, or of the rest of an unfinished one, from the first page."""

import math
from dataclasses import dataclass

from exporter.formats.registry import Format
from exporter.model import Frame, Page, Position
from exporter.options import AUTO_CURSORS, ListExpansion
from exporter.source.expansion import lists_to_fetch
from exporter.source.intercom import Intercom

NOTHING_WRITTEN = Position()
_CONVERSION_FACTOR = 2.5  # disk space of the journal and of the Parquet file, in sizes of the journal


WORTH_SAVING_S = 600.0
"""Several cursors are named where they would save more seconds than that."""


def saved_by_cursors_s(pages: int, latency_s: float, calls_per_s: float | None) -> float:
    """Return the seconds that several cursors would save, with about a tenth more requests.

    Args:
        pages: pages of the list that are left.
        latency_s: seconds of one page.
        calls_per_s: requests per second that may leave; None if the API reports no limit.
    """
    at_once_s = 1.1 * pages * latency_s / AUTO_CURSORS
    limited_s = 1.1 * pages / calls_per_s if calls_per_s else 0.0
    return max(pages * latency_s - max(at_once_s, limited_s), 0.0)


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate of an export, extrapolated from the first page.

    Attributes:
        intercom: the workspace.
        page: the first page.
        latency_s: seconds from the request to the first page.
        expansion: the lists that are fetched in full.
        max_contacts: maximum contacts of the export; None for all contacts.
        done: position that an unfinished export has reached.
    """

    intercom: Intercom
    page: Page
    latency_s: float
    expansion: ListExpansion
    max_contacts: int | None
    done: Position = NOTHING_WRITTEN

    @property
    def contacts(self) -> int | None:
        """The number of contacts in the finished export; None if unknown."""
        total_count = self.page.total_count
        if total_count is None:
            return len(self.page.records) if self.page.next_cursor is None else None
        return total_count if self.max_contacts is None else min(total_count, self.max_contacts)

    @property
    def pages(self) -> int | None:
        """The number of pages in the finished export; an empty workspace has one page. None if unknown."""
        return None if self.contacts is None else max(1, -(-self.contacts // self.intercom.per_page))

    @property
    def contacts_left(self) -> int | None:
        """The number of contacts that are not yet written; None if unknown."""
        return None if self.contacts is None else max(self.contacts - self.done.contacts, 0)

    @property
    def _pages_left(self) -> int:
        if self.done.reached_end or self.contacts_left is None:
            return 0
        return max(1, -(-self.contacts_left // self.intercom.per_page))

    @property
    def _lists_per_contact(self) -> float:
        """The average number of list requests per contact."""
        records = self.page.records
        return sum(len(lists_to_fetch(self.expansion, record)) for record in records) / len(records) if records else 0

    @property
    def requests(self) -> int | None:
        """The number of requests that are still to be sent; None if unknown."""
        if self.contacts_left is None:
            return None
        for_lists = math.ceil(self._lists_per_contact * self.contacts_left)
        return self._pages_left + for_lists + int(self.expansion.tag_names)

    @property
    def duration_s(self) -> float | None:
        """The seconds that the export still takes: pages in sequence, lists concurrently, within the rate limit."""
        if self.requests is None:
            return None
        pages_s = self._pages_left * self.latency_s
        lists_s = (self.requests - self._pages_left) / self.expansion.concurrency * self.latency_s
        calls_per_s = self.intercom.rate_limit.calls_per_s
        return round(max(pages_s, lists_s, self.requests / calls_per_s if calls_per_s else 0), 1)

    @property
    def saved_by_cursors_s(self) -> float:
        """The seconds that several cursors would save; 0 if that is unknown, or if they cannot be used."""
        if self.duration_s is None or self.max_contacts is not None or self.done.pages:
            return 0.0
        if self.intercom.api_version.startswith("1."):
            return 0.0
        return saved_by_cursors_s(self._pages_left, self.latency_s, self.intercom.rate_limit.calls_per_s)

    def bytes_of(self, output_format: Format, sample: Frame, header: Frame) -> int | None:
        """Return the bytes that the export still needs, if all contacts are like those of the page; None if unknown.

        Args:
            output_format: the output format.
            sample: the page, encoded.
            header: the header of the output's files.
        """
        if self.contacts is None or not self.page.records:
            return None
        bytes_per_contact = len(sample.content) / len(self.page.records)
        if output_format.convert:  # even a complete journal still has to be converted
            return max(int(bytes_per_contact * self.contacts * _CONVERSION_FACTOR) - self.done.written_bytes, 0)
        return int(bytes_per_contact * (self.contacts_left or 0)) + (0 if self.done.pages else len(header.content))
