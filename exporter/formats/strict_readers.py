"""What strict JSON readers make of a page's contacts: corrected for them, or looked at."""

from collections import Counter
from collections.abc import Sequence

from exporter.rawjson.normalization import is_irregular, normalize


class Strictness:
    """Normalizes the contacts of one page, or counts those that strict readers refuse or change.

    Args:
        normalized: whether contacts are written normalized.
        every: else each contact whose position is a multiple of this is checked, none where it is 0.
        first: position of the first one that is checked.

    Attributes:
        corrections: by kind, what was corrected.
        irregular: contacts that were checked and would need a correction.
    """

    def __init__(self, *, normalized: bool = False, every: int = 0, first: int = 0) -> None:
        self._normalized = normalized
        self._every = every
        self._first = first
        self.corrections = Counter[str]()
        self.irregular = 0

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return self._normalized or self._every > 0

    def of(self, records: Sequence[bytes]) -> Sequence[bytes]:
        """Return the contacts as they are written."""
        if self._normalized:
            return [normalize(record, self.corrections) for record in records]
        if self._every:
            self.irregular += sum(map(is_irregular, records[self._first :: self._every]))
        return records


NO_CHECK = Strictness()
"""Neither normalizes nor checks."""
