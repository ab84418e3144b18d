"""The error for a list that ends although the API counts many more contacts."""

from exporter.source.envelope import MalformedBody
from exporter.state import counts
from exporter.text import count


class ShortList(MalformedBody):
    """The list ends although the API counts many more contacts.

    Args:
        listed: contacts in the list.
        counted: contacts that the API counts on the last page.
        counted_first: contacts that it counted on the first page, None without a count.
    """

    cause = "shortfall"

    def __init__(self, listed: int, counted: int, counted_first: int | None) -> None:
        super().__init__(f"the list ends after {count(listed, 'contact')}, although {counts(counted, counted_first)}")

    def detail(self, status: int) -> str:
        """Return the sentence that a retry and an error report."""
        del status  # a short list has a successful status
        return str(self)
