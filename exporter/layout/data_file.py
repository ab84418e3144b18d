"""A finished file, read once: its bytes hashed, and inflated in small pieces."""

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
_MAX_CHUNK_BYTES = 1 << 27  # a row group has 32 MB and one contact at most
_CHUNK_BYTES = 128 * 1024
_COMPRESSED_BYTES = 32 * 1024  # a byte of deflate becomes 1,032 at most: a bomb inflates 34 MB at a time
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_Kind = tuple[Callable[[], Any], Callable[[], tuple[type[Exception], ...]], str]
INFLATERS: dict[str, _Kind] = {
    GZIP_SUFFIX: (lambda: compression.inflater(compression.GZIP), lambda: compression.ERRORS, "gzip"),
    ZSTD_SUFFIX: (lambda: zstd().ZstdDecompressor(), lambda: (zstd().ZstdError,), "zstd"),
}
"""By suffix: what begins to inflate, what it raises, and what it is called."""


class DataFile:
    """A data file, read once from its beginning to its end, never through a link.

    Args:
        path: its name.
        suffix: what its compression is known by; that of its name if not given.

    Attributes:
        path: as given.
        bytes: read so far.
        sha256: of those.
        failure: why it could not be read to its end, None if it could; completes "the file …".
        is_unreadable: whether that says nothing about what it holds.
        damage: what is wrong with its compression, None if nothing is; the same.
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
        """Give its content, inflated, in small pieces and as far as that can be had; a piece may be empty."""
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
        """Whether it has contacts in rows of CSV."""
        facts = facts_of_file(self.path.name)
        return facts is not None and facts.has_rows

    @property
    def is_table(self) -> bool:
        """Whether it has contacts in columns, not in lines."""
        return self._suffix == CONVERTED

    def raw_records(self) -> Iterator[list[bytes]]:
        """Yield the contacts of a table, some at a time."""
        pa, parquet = arrow()
        try:
            with open_regular(self.path) as file, parquet.ParquetFile(file, pre_buffer=False) as table:
                if not has_raw_column(table, pa.string()):
                    raise LookupError  # noqa: TRY301 - not what is looked for, like a missing column
                for batch in table.iter_batches(_BATCH, columns=["raw"], use_threads=False):
                    yield [line_of(text) for text in batch.column(0).to_pylist()]
        except (pa.ArrowException, OSError, LookupError, TypeError, UnicodeError):
            self.corruption = "is damaged, or no Parquet with contacts"

    def _inflated(self, chunk: bytes) -> Iterator[bytes]:
        """Inflate a piece of one member or frame after the other."""
        begin, errors, what = INFLATERS[self._suffix]
        rest = chunk if self.corruption is None else b""
        try:
            while rest:
                inflater = self._inflater or begin()
                yield from inflate_chunks(inflater, rest)
                self._inflater, rest = (None, inflater.unused_data) if inflater.eof else (inflater, b"")
        except errors():
            self.corruption = f"is damaged, or followed by something that is not {what}"


def has_raw_column(table: Any, text: Any) -> bool:
    """Whether the contacts in a table are such as we write: text, plain, and not more of it than fits in memory."""
    if table.schema_arrow.field("raw").type != text:
        return False
    metadata = table.metadata
    column = next(at for at in range(metadata.num_columns) if metadata.schema.column(at).path == "raw")
    chunks = (metadata.row_group(number).column(column) for number in range(metadata.num_row_groups))
    return all(
        set(chunk.encodings) <= {"PLAIN", "RLE"} and chunk.total_uncompressed_size <= _MAX_CHUNK_BYTES
        for chunk in chunks
    )


def line_of(record: str) -> bytes:
    """Give a contact, which is text on one line."""
    if "\n" in record:
        raise LookupError
    return record.encode()


def inflate_chunks(inflater: Any, content: bytes) -> Iterator[bytes]:
    """Give what a piece inflates to, in pieces that are small, though a bomb be large."""
    if hasattr(inflater, "needs_input"):  # zstd has no bound of its own
        yield inflater.decompress(content, _CHUNK_BYTES)
        while not (inflater.eof or inflater.needs_input):
            yield inflater.decompress(b"", _CHUNK_BYTES)
        return
    inflated = inflater.decompress(content)
    for at in range(0, len(inflated), _CHUNK_BYTES):
        yield inflated[at : at + _CHUNK_BYTES]


def open_regular(path: Path) -> io.FileIO:
    """Open a regular file for reading, never through a link.

    Raises:
        OSError: it is something else, or cannot be read.
    """
    file = io.FileIO(path, "rb", opener=lambda name, _: os.open(name, _FLAGS))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("not a regular file")
    return file


def is_unreadable(exc: OSError) -> bool:
    """Return whether a file may well be what it should be, but cannot be read: permissions, a failing disk."""
    return exc.errno not in (None, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG)


def describe_os_error(exc: OSError) -> str:
    """Say why a file could not be read; completes "the file …"."""
    if isinstance(exc, FileNotFoundError):
        return "is missing"
    if exc.errno == errno.ELOOP:
        return "is a symbolic link"
    return f"cannot be read: {exc.strerror or exc}"
