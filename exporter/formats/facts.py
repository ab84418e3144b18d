"""The output formats: names, suffixes and compression. The only place that lists them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FormatFacts:
    """The properties of an output format.

    Attributes:
        name: name in options and checkpoints: the suffix of its files without the first dot.
        kind: ``ndjson``, ``csv`` or ``parquet``.
        compression: compression of its files: ``gzip``, ``zstd`` or None.
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
        """Whether contacts are rows of text below a header."""
        return self.kind == "csv"

    @property
    def is_converted(self) -> bool:
        """Whether its files are converted from a complete journal of lines."""
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
"""Every suffix that an output file may have."""

PARTS_FORMAT = "ndjson.gz"
"""The format of a folder's parts by default."""

GZIP_SUFFIX, ZSTD_SUFFIX = ".gz", ".zst"
"""The last suffix of compressed files. It names the compression. A journal is compressed with gzip."""

CONVERTED = BY_NAME["parquet"].suffix
"""The suffix of files that are converted from a journal, since a writer cannot append to them."""


def facts_of_file(name: str) -> FormatFacts | None:
    """Return the format of a file by its name; None if no format has its suffix."""
    return next((facts for suffix, facts in SUFFIXES.items() if name.endswith(suffix)), None)
