"""A data file, read once: its bytes are hashed and decompressed in small chunks."""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exporter import compression
from exporter.extras import arrow, zstd
from exporter.formats.facts import CONVERTED, GZIP_SUFFIX, ZSTD_SUFFIX, facts_of_file

_BATCH = 100
_MAX_CHUNK_BYTES = 1 << 27  # our row groups have at most 32 MB plus one contact
_CHUNK_BYTES = 128 * 1024
_COMPRESSED_BYTES = 32 * 1024  # one byte of deflate becomes at most 1,032: a decompression bomb yields 34 MB at a time
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_Kind = tuple[Callable[[], Any], Callable[[], tuple[type[Exception], ...]], str]
INFLATERS: dict[str, _Kind] = {
    GZIP_SUFFIX: (lambda: compression.inflater(compression.GZIP), lambda: compression.ERRORS, "gzip"),
    ZSTD_SUFFIX: (lambda: zstd().ZstdDecompressor(), lambda: (zstd().ZstdError,), "zstd"),
}
"""By suffix: a function that creates a decompressor, a function that returns its exceptions, and the format's name."""


class DataFile:
    """A data file that is read once, from start to end, never through a symbolic link.

    Args:
        path: path of the file.
        suffix: the suffix that determines its compression; default: the suffix of `path`.

    Attributes:
        path: path of the file.
        bytes: number of bytes read so far.
        sha256: the hash of those bytes.
        failure: why the file could not be read to its end, None if it could; completes "the file …".
        is_unreadable: whether the failure, such as missing permission, says nothing about the file's content.
        corruption: what is wrong with its compression or its table, None if nothing is; completes "the file …".
    """

    def __init__(self, path: Path, suffix: str | None = None) -> None:
        self.bytes = 0
        self.sha256 = hashlib.sha256()
        self.failure: str | None = None
        self.is_unreadable = False
        self.corruption: str | None = None
        self.path = path
        self._suffix = path.suffix if suffix is None else suffix
        self._is_compressed = self._suffix in INFLATERS
        self._inflater: Any = None

    def chunks(self) -> Iterator[bytes]:
        """Yield the decompressed content in small chunks, up to the first damage; a chunk may be empty."""
        try:
            with open_regular(self.path) as file:
                while chunk := file.read(_COMPRESSED_BYTES if self._is_compressed else _CHUNK_BYTES):
                    self.bytes += len(chunk)
                    self.sha256.update(chunk)
                    yield from self._inflated(chunk) if self._is_compressed else (chunk,)
        except OSError as exc:
            self.failure, self.is_unreadable = describe_os_error(exc), is_unreadable(exc)
        if self._inflater is not None and self.corruption is None:
            self.corruption = "is truncated"

    @property
    def has_rows(self) -> bool:
        """Whether the file contains contacts as rows of CSV."""
        facts = facts_of_file(self.path.name)
        return facts is not None and facts.has_rows

    @property
    def is_table(self) -> bool:
        """Whether the file contains contacts in columns, as Parquet does, not in lines."""
        return self._suffix == CONVERTED

    def raw_records(self) -> Iterator[list[bytes]]:
        """Yield the contacts of a table in batches: the JSON of each."""
        pa, parquet = arrow()
        try:
            with open_regular(self.path) as file, parquet.ParquetFile(file, pre_buffer=False) as table:
                if not has_raw_column(table, pa.string()):
                    raise LookupError  # noqa: TRY301 - same as for a missing column
                for batch in table.iter_batches(_BATCH, columns=["raw"], use_threads=False):
                    yield [encode_line(record) for record in batch.column(0).to_pylist()]
        except (pa.ArrowException, OSError, LookupError, TypeError, UnicodeError):
            self.corruption = "is damaged, or is not a Parquet file of contacts"

    def _inflated(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the decompressed content of a chunk, which may contain parts of several members or frames."""
        new_inflater, errors, format_name = INFLATERS[self._suffix]
        remaining = chunk if self.corruption is None else b""
        try:
            while remaining:
                inflater = self._inflater or new_inflater()
                yield from inflate_chunks(inflater, remaining)
                self._inflater, remaining = (None, inflater.unused_data) if inflater.eof else (inflater, b"")
        except errors():
            self.corruption = f"is damaged, or followed by data that is not {format_name}"


def has_raw_column(table: Any, text_type: Any) -> bool:
    """Return whether the column `raw` is as we write it: plain text, in row groups that fit into memory.

    Args:
        table: an open Parquet file.
        text_type: Arrow's type of text.
    """
    if table.schema_arrow.field("raw").type != text_type:
        return False
    metadata = table.metadata
    column = next(index for index in range(metadata.num_columns) if metadata.schema.column(index).path == "raw")
    chunks = (metadata.row_group(number).column(column) for number in range(metadata.num_row_groups))
    return all(
        set(chunk.encodings) <= {"PLAIN", "RLE"} and chunk.total_uncompressed_size <= _MAX_CHUNK_BYTES
        for chunk in chunks
    )


def encode_line(record: str) -> bytes:
    """Return the UTF-8 of a contact's JSON.

    Raises:
        LookupError: the text has a line break, so it is not a contact that we wrote.
    """
    if "\n" in record:
        raise LookupError
    return record.encode()


def inflate_chunks(inflater: Any, content: bytes) -> Iterator[bytes]:
    """Yield the decompressed content in small chunks, also for a decompression bomb."""
    if hasattr(inflater, "needs_input"):  # zstd's ratio is unlimited, so we limit each call's output
        yield inflater.decompress(content, _CHUNK_BYTES)
        while not (inflater.eof or inflater.needs_input):
            yield inflater.decompress(b"", _CHUNK_BYTES)
        return
    inflated = inflater.decompress(content)
    for start in range(0, len(inflated), _CHUNK_BYTES):
        yield inflated[start : start + _CHUNK_BYTES]


def open_regular(path: Path) -> io.FileIO:
    """Open a regular file for reading, never through a symbolic link.

    Raises:
        OSError: the path is not a regular file, or cannot be read.
    """
    file = io.FileIO(path, "rb", opener=lambda name, _: os.open(name, _FLAGS))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("not a regular file")
    return file


def is_unreadable(exc: OSError) -> bool:
    """Return whether an error leaves the file's content unknown, such as missing permission or a failing disk."""
    return exc.errno not in (None, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG)


def describe_os_error(exc: OSError) -> str:
    """Describe why a file could not be read; the text completes "the file …"."""
    if isinstance(exc, FileNotFoundError):
        return "is missing"
    if exc.errno == errno.ELOOP:
        return "is a symbolic link"
    return f"cannot be read: {exc.strerror or exc}"
