"""Lists that end early: how many contacts may be missing of those that the API counts."""

from exporter.source.envelope import MalformedBody
from exporter.state import counts
from exporter.text import count


class ShortList(MalformedBody):
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
