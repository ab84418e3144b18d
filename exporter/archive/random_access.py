"""Reading of finished files from any offset: one gzip member, zstd frame, block of lines or row group at a time."""

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exporter.archive.line_checker import MAX_LINE_BYTES
from exporter.errors import SinkError
from exporter.extras import arrow
from exporter.formats.facts import CONVERTED
from exporter.layout.data_file import INFLATERS, encode_line, has_raw_column, inflate_chunks, open_regular

_READ_BYTES = 256 * 1024
_COMPRESSED_BYTES = 32 * 1024  # one byte of deflate becomes at most 1,032: a decompression bomb yields 34 MB at a time
_MAX_CHUNK_BYTES = 1 << 27  # a page has at most 64 MiB as the API sends it; expanded lists add to that
_MAX_RECORDS = 100_000  # our pages have at most 150 contacts, our row groups at most 10,000


class Offset(NamedTuple):
    """The start of a chunk in an export.

    Attributes:
        file: index of the file, counted from 0.
        offset: position in the file in bytes; for Parquet the number of the row group.
    """

    file: int
    offset: int


def read_chunk(files: Sequence[Path], offset: Offset) -> tuple[list[bytes], Offset | None]:
    """Read the chunk at an offset. Blocks.

    Args:
        files: all data files of the export.
        offset: the start of a chunk.

    Returns:
        The records of the chunk, without line breaks, and the start of the next
        chunk, None after the last one.

    Raises:
        SinkError: the file is damaged or cannot be read.
    """
    if offset.file >= len(files):
        return [], None
    path = files[offset.file]
    try:
        with open_regular(path) as file:
            records, next_offset = _read(file, offset.offset, path.suffix)
    except _errors(path.suffix):
        raise SinkError(f"{str(path)!r} is damaged: run verify for details", path=path) from None
    if next_offset is not None:
        return records, Offset(offset.file, next_offset)
    return records, Offset(offset.file + 1, 0) if offset.file + 1 < len(files) else None


def _lines(file: io.FileIO, offset: int) -> tuple[list[bytes], int | None]:
    """Read a block of complete lines."""
    file.seek(offset)
    blocks = [file.read(_READ_BYTES)]
    length, end = len(blocks[0]), blocks[0].rfind(b"\n") + 1
    while not end and blocks[-1]:
        blocks.append(file.read(_READ_BYTES))
        end_in_block = blocks[-1].rfind(b"\n") + 1
        end = length + end_in_block if end_in_block else 0
        length += len(blocks[-1])
        if length > MAX_LINE_BYTES:
            raise ValueError("the line is too long")
    if length and not end:
        raise ValueError("the last line has no line break")
    size = os.fstat(file.fileno()).st_size
    return b"".join(blocks)[:end].split(b"\n")[:-1], offset + end if offset + end < size else None


def _member(file: io.FileIO, offset: int, new_inflater: Callable[[], Any]) -> tuple[list[bytes], int | None]:
    """Read one gzip member or one zstd frame."""
    inflater = new_inflater()
    file.seek(offset)
    inflated = bytearray()
    read = 0
    while not inflater.eof:
        compressed = file.read(_COMPRESSED_BYTES)
        if not compressed:
            raise EOFError
        read += len(compressed)
        for content in inflate_chunks(inflater, compressed):
            inflated += content
            if len(inflated) > _MAX_CHUNK_BYTES:
                raise ValueError("larger than any page")
    next_offset = offset + read - len(inflater.unused_data)
    size = os.fstat(file.fileno()).st_size
    if inflated.count(b"\n") > _MAX_RECORDS:
        raise ValueError("more contacts than any page")
    return bytes(inflated).split(b"\n")[:-1], next_offset if next_offset < size else None


def _row_group(file: io.FileIO, number: int) -> tuple[list[bytes], int | None]:
    """Read the contacts of one row group."""
    pa, parquet = arrow()
    with parquet.ParquetFile(file, pre_buffer=False) as table:
        groups = table.metadata.num_row_groups
        if not groups:
            return [], None
        if not has_raw_column(table, pa.string()) or table.metadata.row_group(number).num_rows > _MAX_RECORDS:
            raise LookupError
        column = table.read_row_group(number, columns=["raw"], use_threads=False).column(0)
        return list(map(encode_line, column.to_pylist())), number + 1 if number + 1 < groups else None


def _read(file: io.FileIO, offset: int, suffix: str) -> tuple[list[bytes], int | None]:
    if suffix in INFLATERS:
        return _member(file, offset, INFLATERS[suffix][0])
    return _row_group(file, offset) if suffix == CONVERTED else _lines(file, offset)


def _errors(suffix: str) -> tuple[type[Exception], ...]:
    """Return the exceptions that reading a damaged file of a format can raise."""
    common = (OSError, LookupError, ValueError, TypeError, EOFError)
    if suffix == CONVERTED:
        pa, _ = arrow()
        return (*common, pa.ArrowException)
    return (*common, *INFLATERS[suffix][1]()) if suffix in INFLATERS else common
