"""What a verification finds, in sentences: however much is wrong, few of a kind."""

from collections import Counter

from exporter.errors import one_line

_MOST_OF_A_KIND = 10


class Findings:
    """Sentences about differences, of each kind the first ten."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, sentence: str, kind: str | None = None, most: int = _MOST_OF_A_KIND) -> None:
        """Take a sentence.

        Args:
            sentence: what differs.
            kind: what many like it are called, to complete "and so many more …"; None where there is only one.
            most: how many of a kind are kept.
        """
        kind = sentence if kind is None else kind
        self._counts[kind] += 1
        if self._counts[kind] <= most:
            self._kinds.setdefault(kind, []).append(one_line(sentence))

    def sentences(self) -> tuple[str, ...]:
        """Give the sentences, those of a kind together."""
        found: list[str] = []
        for kind, sentences in self._kinds.items():
            found += sentences
            if self._counts[kind] > len(sentences):
                found.append(one_line(f"and {self._counts[kind] - len(sentences)} more {kind}"))
        return tuple(found)
