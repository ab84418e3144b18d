"""A workspace in which contacts are created and deleted all the time, by a clock of its own."""

from random import Random

from tests.support.unreliable import Contact, Unreliable


class Busy(Unreliable):
    """A workspace in which contacts are created and deleted all the time, with an index that is late.

    Args:
        seed: seed of everything random.
        every_s: seconds between two creations, and between two deletions, on average.
        new: share of the deletions that meet a contact of the last ten minutes.
        lag_s: most seconds until the index has a creation, and until it has a deletion.
    """

    def __init__(self, seed: int, every_s: tuple[float, float], new: float, lag_s: tuple[float, float]) -> None:
        super().__init__(1_500)
        self._random, self._every_s, self._new, self._lag_s = Random(seed), every_s, new, lag_s
        self._next = [self.now_s, self.now_s]
        self._indexed_at: dict[str, float] = {}
        self.deleted_at: dict[str, float] = {}
        self.listed = lambda one: one["id"] not in self.deleted_at
        self.searched = self._is_found
        self.answer = lambda *_anything: self.advance(0.25)
        self.advance(1_500)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now_s + seconds
        while min(self._next) <= end:
            which = self._next.index(min(self._next))
            self.now_s = self._next[which]
            self._next[which] += self._random.expovariate(1 / self._every_s[which])
            (self._create, self._delete)[which]()
        self.now_s = end

    def _create(self) -> None:
        one = self.contact(10**6 + len(self.contacts), int(self.now_s))
        self._indexed_at[one["id"]] = self.now_s + self._random.uniform(1, self._lag_s[0])
        self.contacts.append(one)

    def _delete(self) -> None:
        left = [one for one in self.contacts if self.listed(one)]
        new = [one for one in left if one["created_at"] > self.now_s - 600]
        one = self._random.choice(new if new and self._random.random() < self._new else left)
        self.deleted_at[one["id"]] = self.now_s + self._random.uniform(0, self._lag_s[1])

    def _is_found(self, one: Contact) -> bool:
        is_deleted = self.deleted_at.get(one["id"], self.now_s + 1) <= self.now_s
        return self._indexed_at.get(one["id"], 0) <= self.now_s and not is_deleted
