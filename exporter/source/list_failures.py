"""Whether most lists of contacts fail, whatever the order in which the requests end."""

from collections.abc import Iterator
from dataclasses import dataclass

_FIRST, _STRETCH = 20, 200


@dataclass(slots=True)
class _Stretch:
    """What is known of some lists that follow one another in the listing.

    Attributes:
        size: how many lists there are in it.
        ended: how many of them are done, whatever came of them.
        failed: how many of those could not be completed.
    """

    size: int
    ended: int = 0
    failed: int = 0


class FailureRate:
    """Counts by their place in the listing which lists fail.

    A list that fails is retried first, so failures arrive late and all at
    once: a count of the latest results would depend on the timing. Here
    each list belongs to one stretch of lists, and has its place in it before
    it is asked for.
    """

    def __init__(self) -> None:
        self._begun = 0
        self._start = _Stretch(_FIRST)
        self._stretches: dict[int, _Stretch] = {}  # those that have not ended

    def start(self, lists: int) -> Iterator[int]:
        """Return the places of lists that are about to be asked for."""
        first, self._begun = self._begun, self._begun + lists
        return iter(range(first, self._begun))

    def end(self, position: int, *, failed: bool) -> bool:
        """Count the result of one list.

        Returns:
            Whether too many fail: all of the first 20, or more than half of one stretch of 200.
        """
        number = position // _STRETCH
        stretch = self._stretches.setdefault(number, _Stretch(_STRETCH))
        for one in (stretch, self._start) if position < _FIRST else (stretch,):
            one.ended += 1
            one.failed += failed
        if stretch.ended == stretch.size:
            del self._stretches[number]
        return failed and (stretch.failed * 2 > stretch.size or self._start.failed == self._start.size)
