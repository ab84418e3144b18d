"""The speed of an export over time, in a limited number of slices for any duration."""

from typing import TypeVar

from exporter.model import Timeline

MAX_SLICES = 120
Number = TypeVar("Number", int, float)


class TimelineRecorder:
    """A recorder of contacts, retries and waits per slice of time. Slices double in length to keep their number small.

    Args:
        earlier: timeline of the earlier runs.
    """

    def __init__(self, earlier: Timeline = Timeline()) -> None:  # noqa: B008 - it is immutable
        self._slice_s = earlier.slice_s
        self._contacts, self._retries, self._waited_s = (
            list(earlier.contacts),
            list(earlier.retries),
            list(earlier.waited_s),
        )
        self._started_at_s = self._ran_s = earlier.ran_s
        self._recorded_retries, self._recorded_wait_s = 0, 0.0

    def add(self, at_s: float, contacts: int, retries: int, waited_s: float) -> None:
        """Record a page.

        Args:
            at_s: seconds since the start of this run.
            contacts: contacts on the page.
            retries: retries in this run so far.
            waited_s: seconds waited for the rate limit in this run so far.
        """
        self._ran_s = self._started_at_s + max(at_s, 0.0)
        index = self._slice_index(self._ran_s)  # this call may replace the list of slices
        self._contacts[index] += contacts
        self.record_traffic(retries, waited_s)

    def record_traffic(self, retries: int, waited_s: float) -> None:
        """Record the retries and waits since the latest page, in the slice of that page.

        Args:
            retries: retries in this run so far.
            waited_s: seconds waited for the rate limit in this run so far.
        """
        if (retries, waited_s) == (self._recorded_retries, self._recorded_wait_s):
            return
        index = self._slice_index(self._ran_s)
        self._retries[index] += retries - self._recorded_retries
        self._waited_s[index] += waited_s - self._recorded_wait_s
        self._recorded_retries, self._recorded_wait_s = retries, waited_s

    def timeline(self) -> Timeline:
        """Return the current timeline."""
        return Timeline(
            self._slice_s,
            tuple(self._contacts),
            tuple(self._retries),
            tuple(round(waited, 3) for waited in self._waited_s),
            round(self._ran_s, 3),
        )

    def _slice_index(self, at_s: float) -> int:
        """Return the index of the slice at a time, after extending the lists up to that slice."""
        while (index := int(at_s / self._slice_s)) >= MAX_SLICES:
            self._slice_s *= 2
            self._contacts = _merge_pairs(self._contacts)
            self._retries = _merge_pairs(self._retries)
            self._waited_s = _merge_pairs(self._waited_s)
        missing = index + 1 - len(self._contacts)
        self._contacts += [0] * missing
        self._retries += [0] * missing
        self._waited_s += [0.0] * missing
        return index


def _merge_pairs(numbers: list[Number]) -> list[Number]:
    """Return the sums of adjacent pairs."""
    return [sum(numbers[first : first + 2]) for first in range(0, len(numbers), 2)]
