"""Lists that end early: how many contacts may be missing of those that the API counts."""

from exporter.source.envelope import BrokenBody
from exporter.text import count


class ShortList(BrokenBody):
    """The list ends although many of the contacts that the API counts have not been listed.

    Args:
        listed: contacts that the list gave.
        counted: contacts that the API counts.
        counted_first: contacts that it counted on the first page, None without a count.
    """

    cause = "shortfall"

    def __init__(self, listed: int, counted: int, counted_first: int | None) -> None:
        super().__init__(f"the list ends after {count(listed, 'contact')}, although {counts(counted, counted_first)}")

    def detail(self, status: int) -> str:
        """Return the sentence that a retry and an error report."""
        del status  # it says nothing of the list
        return str(self)


def counts(counted: int | None, counted_first: int | None) -> str:
    """Return the words for what the API counts; both counts where they differ."""
    if counted_first in (None, counted):
        return f"the API counts {counted:,}"
    return f"the API counted {counted_first:,} on the first page and {counted:,} on the last"


def shortfall(counted: int | None, counted_first: int | None, listed: int, per_page: int) -> int | None:
    """Return how many contacts a finished list lacks, None if that is not worth a doubt.

    The count moves while a list is read: as many contacts as a page holds, or
    a tenth of all, may be missing. What is added meanwhile need not be listed:
    the count of the first page is enough.

    Args:
        counted: contacts that the API counts, None if it does not.
        counted_first: contacts that it counted on the first page, None if it did not.
        listed: contacts that the list gave.
        per_page: contacts of a page.
    """
    if counted is None:
        return None
    if counted_first is not None:
        counted = min(counted, counted_first)
    missing = counted - listed
    return missing if missing > max(per_page, counted // 10) else None
