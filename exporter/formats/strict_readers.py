"""Contacts and strict JSON readers: correct contacts for such readers, or count those that need it."""

from collections import Counter
from collections.abc import Sequence

from exporter.rawjson.normalization import is_irregular, normalize


class Strictness:
    """The treatment of one page's contacts: normalize them, or count those that strict readers refuse or change.

    Args:
        normalized: whether to normalize the contacts.
        every: without normalizing, the interval of the checked contacts: 1 for all of them, 0 for none.
        first: position of the first checked contact.

    Attributes:
        corrections: number of corrections by kind.
        irregular: checked contacts that need a correction.
    """

    def __init__(self, *, normalized: bool = False, every: int = 0, first: int = 0) -> None:
        self._normalized = normalized
        self._every = every
        self._first = first
        self.corrections = Counter[str]()
        self.irregular = 0

    def __bool__(self) -> bool:
        """Return whether `apply` does anything."""
        return self._normalized or self._every > 0

    def apply(self, records: Sequence[bytes]) -> Sequence[bytes]:
        """Return the contacts to write."""
        if self._normalized:
            return [normalize(record, self.corrections) for record in records]
        if self._every:
            self.irregular += sum(map(is_irregular, records[self._first :: self._every]))
        return records


NO_CHECK = Strictness()
"""No normalizing and no check."""
