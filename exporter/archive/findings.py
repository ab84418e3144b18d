"""The findings of a verification as sentences, with a limited number of each kind."""

from collections import Counter

from exporter.text import one_line

_MAX_PER_KIND = 10


class Findings:
    """Sentences about differences; only the first ten of each kind are kept.

    Attributes:
        unreadable: number of sentences about files that cannot be read; those files may not differ at all.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()
        self.unreadable = 0

    def add(self, sentence: str, kind: str | None = None, limit: int = _MAX_PER_KIND) -> None:
        """Add a sentence.

        Args:
            sentence: description of a difference.
            kind: plural noun for sentences of this kind, to complete "and 5 more …"; None if there can be only one.
            limit: maximum number of sentences that are kept for this kind.
        """
        kind = sentence if kind is None else kind
        self._counts[kind] += 1
        if self._counts[kind] <= limit:
            self._kinds.setdefault(kind, []).append(one_line(sentence))

    @property
    def are_unreadable(self) -> bool:
        """Whether there are findings, and all of them are about files that cannot be read."""
        return 0 < self.unreadable == self._counts.total()

    def sentences(self, limit: int | None = None) -> tuple[str, ...]:
        """Return the sentences, grouped by kind.

        Args:
            limit: maximum number of sentences, None for all; one more sentence counts the omitted ones.
        """
        lines: list[str] = []
        for kind, sentences in self._kinds.items():
            lines += sentences
            if self._counts[kind] > len(sentences):
                lines.append(one_line(f"and {self._counts[kind] - len(sentences)} more {kind}"))
        if limit is None or len(lines) <= limit:
            return tuple(lines)
        return (*lines[:limit], f"and {self._counts.total() - limit} more that follow from the damage")
