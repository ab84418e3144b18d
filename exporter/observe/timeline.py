"""How fast an export went, kept in a few numbers however long it takes."""

from typing import TypeVar

from exporter.model import Timeline

MAX_SLICES = 120
Number = TypeVar("Number", int, float)


class TimelineRecorder:
    """Counts what happens in slices of time, which get longer when there would be too many.

    Args:
        before: of the runs before this one.
    """

    def __init__(self, before: Timeline = Timeline()) -> None:  # noqa: B008 - it cannot be changed
        self._slice_s = before.slice_s
        self._contacts, self._retries, self._waited_s = (
            list(before.contacts),
            list(before.retries),
            list(before.waited_s),
        )
        self._began_at_s = self._ran_s = before.ran_s
        self._retries_before, self._waited_before_s = 0, 0.0

    def add(self, at_s: float, contacts: int, retries: int, waited_s: float) -> None:
        """Count a page.

        Args:
            at_s: seconds since this run began.
            contacts: on the page.
            retries: requests repeated in this run so far.
            waited_s: seconds waited for the rate limit in this run so far.
        """
        self._ran_s = self._began_at_s + max(at_s, 0.0)
        place = self._slice_index(self._ran_s)  # which may make the slices anew
        self._contacts[place] += contacts
        self.record_traffic(retries, waited_s)

    def record_traffic(self, retries: int, waited_s: float) -> None:
        """Count what was repeated and waited for since the latest page, into the slice of that page.

        Args:
            retries: requests repeated in this run so far.
            waited_s: seconds waited for the rate limit in this run so far.
        """
        if (retries, waited_s) == (self._retries_before, self._waited_before_s):
            return
        place = self._slice_index(self._ran_s)
        self._retries[place] += retries - self._retries_before
        self._waited_s[place] += waited_s - self._waited_before_s
        self._retries_before, self._waited_before_s = retries, waited_s

    def timeline(self) -> Timeline:
        """Give it as it is now."""
        return Timeline(
            self._slice_s,
            tuple(self._contacts),
            tuple(self._retries),
            tuple(round(waited, 3) for waited in self._waited_s),
            round(self._ran_s, 3),
        )

    def _slice_index(self, at_s: float) -> int:
        """Find the slice of a moment, with room made for it."""
        while (place := int(at_s / self._slice_s)) >= MAX_SLICES:
            self._slice_s *= 2
            self._contacts = _merge_pairs(self._contacts)
            self._retries = _merge_pairs(self._retries)
            self._waited_s = _merge_pairs(self._waited_s)
        missing = place + 1 - len(self._contacts)
        self._contacts += [0] * missing
        self._retries += [0] * missing
        self._waited_s += [0.0] * missing
        return place


def _merge_pairs(numbers: list[Number]) -> list[Number]:
    """Add up each two neighbours."""
    return [sum(numbers[at : at + 2]) for at in range(0, len(numbers), 2)]
