"""What a verification finds, in sentences: however much is wrong, few of a kind."""

from collections import Counter

from exporter.text import one_line

_MAX_PER_KIND = 10


class Findings:
    """Sentences about differences, of each kind the first ten.

    Attributes:
        unreadable: how many are about what cannot be read, and so about nothing that differs.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()
        self.unreadable = 0

    def add(self, sentence: str, kind: str | None = None, limit: int = _MAX_PER_KIND) -> None:
        """Take a sentence.

        Args:
            sentence: what differs.
            kind: what many like it are called, to complete "and so many more …"; None where there is only one.
            limit: how many of a kind are kept.
        """
        kind = sentence if kind is None else kind
        self._counts[kind] += 1
        if self._counts[kind] <= limit:
            self._kinds.setdefault(kind, []).append(one_line(sentence))

    @property
    def are_unreadable(self) -> bool:
        """Whether there are some, and all of them are about what cannot be read."""
        return 0 < self.unreadable == self._counts.total()

    def sentences(self, limit: int | None = None) -> tuple[str, ...]:
        """Give the sentences, those of a kind together.

        Args:
            limit: how many; one more says how many are left out. None for all.
        """
        found: list[str] = []
        for kind, sentences in self._kinds.items():
            found += sentences
            if self._counts[kind] > len(sentences):
                found.append(one_line(f"and {self._counts[kind] - len(sentences)} more {kind}"))
        if limit is None or len(found) <= limit:
            return tuple(found)
        return (*found[:limit], f"and {self._counts.total() - limit} more that follow from it")
