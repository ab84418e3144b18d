"""The output formats: their suffixes, and what is known of each. It stands here and nowhere else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FormatFacts:
    """What is known of a format.

    Attributes:
        name: as options and checkpoints spell it: the suffix of its files without the first dot.
        kind: ``ndjson``, ``csv`` or ``parquet``.
        compression: of its files as a whole: ``gzip``, ``zstd`` or None.
    """

    name: str
    kind: str
    compression: str | None = None

    @property
    def suffix(self) -> str:
        """The suffix of its files."""
        return f".{self.name}"

    @property
    def has_rows(self) -> bool:
        """Whether contacts are rows of text, and a header is their first."""
        return self.kind == "csv"

    @property
    def is_converted(self) -> bool:
        """Whether its files are made of a journal of lines once all of them are there."""
        return self.kind == "parquet"


FORMATS = (
    FormatFacts("ndjson", "ndjson"),
    FormatFacts("ndjson.gz", "ndjson", "gzip"),
    FormatFacts("ndjson.zst", "ndjson", "zstd"),
    FormatFacts("csv", "csv"),
    FormatFacts("csv.gz", "csv", "gzip"),
    FormatFacts("parquet", "parquet"),
)
BY_NAME = {facts.name: facts for facts in FORMATS}
SUFFIXES = {facts.suffix: facts for facts in FORMATS} | {
    facts.suffix.replace("ndjson", "jsonl"): facts for facts in FORMATS if facts.kind == "ndjson"
}
"""Every suffix that a file may have."""

PARTS_FORMAT = "ndjson.gz"
"""The format of a folder's parts by default."""

GZIP_SUFFIX, ZSTD_SUFFIX = ".gz", ".zst"
"""The last suffix of compressed files, which names the compression. A journal is compressed with gzip."""

CONVERTED = BY_NAME["parquet"].suffix
"""The suffix of files that cannot be appended to."""


def facts_of_file(name: str) -> FormatFacts | None:
    """Return what is known of a file by its name; None where no format has its suffix."""
    return next((facts for suffix, facts in SUFFIXES.items() if name.endswith(suffix)), None)
