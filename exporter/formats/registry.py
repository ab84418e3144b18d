"""The output formats as data; an `Encoder` uses one of them."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, Protocol, Self

from exporter.compression import gzip_member, zstd_frame
from exporter.errors import ConfigError
from exporter.extras import arrow, zstd
from exporter.formats.csv import CsvEncoder
from exporter.formats.facts import BY_NAME, SUFFIXES, FormatFacts, facts_of_file
from exporter.validation import check_kinds


class RowEncoder(Protocol):
    """An encoder of contacts as rows of a table.

    Attributes:
        header: the first line of each file.
    """

    header: bytes

    def encode(self, records: Sequence[bytes], missing_columns: Counter[tuple[str, str]]) -> bytes:
        """Return one row for each contact. Count the custom attributes that have no column."""


@dataclass(frozen=True, slots=True)
class Format:
    """An output format.

    Attributes:
        facts: name, kind and compression.
        compress: function that compresses a page's lines to one member or frame; None for plain lines.
        convert: function that opens a writer of this format, given a file and the columns, for converting a
            complete journal; None if the format needs no journal.
        requires: function that imports the optional library of the format; None if it needs none.
        rows: function that makes the encoder of its rows, given the columns; None for lines of JSON. Its keywords:
            ``raw`` leaves formulas unescaped, ``chosen`` says that the columns are paths chosen by the user.
    """

    facts: FormatFacts
    compress: Callable[[bytes], bytes] | None = None
    requires: Callable[[], object] | None = None
    convert: Callable[[io.BufferedIOBase, Sequence[str]], Any] | None = None
    rows: Callable[..., RowEncoder] | None = None

    @property
    def suffix(self) -> str:
        """The suffix of its files."""
        return self.facts.suffix

    @property
    def has_rows(self) -> bool:
        """Whether contacts are rows of text below a header."""
        return self.facts.has_rows

    def checked(self) -> Self:
        """Return the format itself after checking that it can be written.

        Raises:
            MissingExtraError: an optional library is not installed.
        """
        if self.requires:
            self.requires()
        return self


def _parquet(file: io.BufferedIOBase, columns: Sequence[str]) -> Any:
    from exporter.formats.parquet import ParquetFile  # noqa: PLC0415 - it needs an extra

    return ParquetFile(file, columns)


NDJSON = Format(BY_NAME["ndjson"])
NDJSON_GZIP = Format(BY_NAME["ndjson.gz"], gzip_member)
NDJSON_ZSTD = Format(BY_NAME["ndjson.zst"], zstd_frame, zstd)
CSV = Format(BY_NAME["csv"], rows=CsvEncoder)
CSV_GZIP = Format(BY_NAME["csv.gz"], gzip_member, rows=CsvEncoder)
PARQUET = Format(BY_NAME["parquet"], gzip_member, arrow, convert=_parquet)
_FORMATS = {
    output_format.facts: output_format for output_format in (NDJSON, NDJSON_GZIP, NDJSON_ZSTD, CSV, CSV_GZIP, PARQUET)
}
_STREAM_KINDS = {"compression": (str, NoneType), "file_format": (str, NoneType)}
_STREAMED = {
    (facts.kind, facts.compression): output_format
    for facts, output_format in _FORMATS.items()
    if not facts.is_converted
}


def format_for_name(name: str) -> Format:
    """Return the format for the suffix of a file name.

    Raises:
        ConfigError: no format has that suffix.
    """
    facts = facts_of_file(name)
    if facts is not None and name not in SUFFIXES:
        return _FORMATS[facts].checked()
    raise ConfigError(f"the output's name must end with one of {', '.join(SUFFIXES)}: {name!r} does not")


def format_for_suffix(suffix: str) -> Format:
    """Return the format with a suffix.

    Raises:
        ConfigError: no format has that suffix.
    """
    name = suffix.removeprefix(".")
    if name in BY_NAME:
        return _FORMATS[BY_NAME[name]].checked()
    raise ConfigError(f"the format must be one of {', '.join(BY_NAME)}, not {name!r}")


def format_for_stream(compression: str | None, file_format: str | None = None) -> Format:
    """Return the format of a stream.

    Args:
        compression: None, ``"gzip"`` or, for NDJSON, ``"zstd"``.
        file_format: ``"ndjson"`` (same as None) or ``"csv"``.

    Raises:
        ConfigError: no format of a stream has this name and compression.
    """
    check_kinds({"compression": compression, "file_format": file_format}, _STREAM_KINDS)
    file_format = file_format or "ndjson"
    if file_format == "parquet":
        raise ConfigError("Parquet cannot be streamed: write to a file, such as contacts.parquet")
    if (file_format, None) not in _STREAMED:
        raise ConfigError(f"the format of a stream must be 'ndjson' or 'csv', not {file_format!r}")
    if (file_format, compression) not in _STREAMED:
        raise ConfigError(f"compression must be 'gzip', 'zstd' (only for ndjson) or None, not {compression!r}")
    return _STREAMED[file_format, compression].checked()
