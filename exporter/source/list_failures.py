"""Decide whether too many lists of contacts fail, independent of the order in which requests end."""

from collections.abc import Iterator
from dataclasses import dataclass

_FIRST, _STRETCH = 20, 200


@dataclass(slots=True)
class _Stretch:
    """The results of consecutive lists.

    Attributes:
        size: number of lists.
        ended: number of lists that succeeded or failed.
        failed: number of lists that failed.
    """

    size: int
    ended: int = 0
    failed: int = 0


class FailureRate:
    """Counts failed lists in stretches of consecutive lists.

    A list that fails is retried first, so failures arrive late and all at
    once: a count of the latest results would depend on the timing. Here
    each list has a number before it is requested, and its number decides to
    which stretch it belongs.
    """

    def __init__(self) -> None:
        self._begun = 0
        self._start = _Stretch(_FIRST)
        self._stretches: dict[int, _Stretch] = {}  # stretches that have not ended

    def start(self, lists: int) -> Iterator[int]:
        """Return numbers for lists that are about to be requested."""
        first, self._begun = self._begun, self._begun + lists
        return iter(range(first, self._begun))

    def end(self, number: int, *, failed: bool) -> bool:
        """Count the result of one list.

        Returns:
            Whether too many fail: all of the first 20, or more than half of one stretch of 200.
        """
        index = number // _STRETCH
        stretch = self._stretches.setdefault(index, _Stretch(_STRETCH))
        for one in (stretch, self._start) if number < _FIRST else (stretch,):
            one.ended += 1
            one.failed += failed
        if stretch.ended == stretch.size:
            del self._stretches[index]
        return failed and (stretch.failed * 2 > stretch.size or self._start.failed == self._start.size)
