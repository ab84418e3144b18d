"""Finished files read from any place on: a gzip member, a zstd frame, a piece of lines, a row group at a time."""

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exporter.archive.line_checker import MAX_LINE_BYTES
from exporter.errors import SinkError
from exporter.extras import arrow
from exporter.formats.facts import CONVERTED
from exporter.layout.data_file import INFLATERS, has_raw_column, inflate_chunks, line_of, open_regular

_READ_BYTES = 256 * 1024
_COMPRESSED_BYTES = 32 * 1024  # a byte of deflate becomes 1,032 at most: a bomb inflates 34 MB at a time
_MAX_CHUNK_BYTES = 1 << 27  # a page of ours has 64 MiB as the API sends it, and may grow by completed lists
_MAX_RECORDS = 100_000  # a page has 150, a row group 10,000


class Offset(NamedTuple):
    """Where a unit begins: in which file, counted from 0, and where in it; of Parquet the number of a row group."""

    file: int
    offset: int


def read_chunk(files: Sequence[Path], offset: Offset) -> tuple[list[bytes], Offset | None]:
    """Read the unit at a place. Blocks.

    Args:
        files: all data files.
        offset: where a unit begins.

    Returns:
        Its records, without their line ends, and where the next unit begins,
        None behind the last one.

    Raises:
        SinkError: the file is not what was written.
    """
    if offset.file >= len(files):
        return [], None
    path = files[offset.file]
    try:
        with open_regular(path) as file:
            records, following = _read(file, offset.offset, path.suffix)
    except _errors(path.suffix):
        raise SinkError(f"{str(path)!r} is damaged: verify says more", path=path) from None
    if following is not None:
        return records, Offset(offset.file, following)
    return records, Offset(offset.file + 1, 0) if offset.file + 1 < len(files) else None


def _lines(file: io.FileIO, offset: int) -> tuple[list[bytes], int | None]:
    """Read some whole lines."""
    file.seek(offset)
    pieces = [file.read(_READ_BYTES)]
    length, end = len(pieces[0]), pieces[0].rfind(b"\n") + 1
    while not end and pieces[-1]:
        pieces.append(file.read(_READ_BYTES))
        at = pieces[-1].rfind(b"\n") + 1
        end = length + at if at else 0
        length += len(pieces[-1])
        if length > MAX_LINE_BYTES:
            raise ValueError("a line that is too long")
    if length and not end:
        raise ValueError("a line without an end")
    size = os.fstat(file.fileno()).st_size
    return b"".join(pieces)[:end].split(b"\n")[:-1], offset + end if offset + end < size else None


def _member(file: io.FileIO, offset: int, begin: Callable[[], Any]) -> tuple[list[bytes], int | None]:
    """Read one member of gzip, or one frame of zstd."""
    inflater = begin()
    file.seek(offset)
    inflated = bytearray()
    read = 0
    while not inflater.eof:
        piece = file.read(_COMPRESSED_BYTES)
        if not piece:
            raise EOFError
        read += len(piece)
        for part in inflate_chunks(inflater, piece):
            inflated += part
            if len(inflated) > _MAX_CHUNK_BYTES:
                raise ValueError("more than a page")
    following = offset + read - len(inflater.unused_data)
    size = os.fstat(file.fileno()).st_size
    if inflated.count(b"\n") > _MAX_RECORDS:
        raise ValueError("more than a page")
    return bytes(inflated).split(b"\n")[:-1], following if following < size else None


def _row_group(file: io.FileIO, number: int) -> tuple[list[bytes], int | None]:
    """Read the contacts of a row group."""
    pa, parquet = arrow()
    with parquet.ParquetFile(file, pre_buffer=False) as table:
        groups = table.metadata.num_row_groups
        if not groups:
            return [], None
        if not has_raw_column(table, pa.string()) or table.metadata.row_group(number).num_rows > _MAX_RECORDS:
            raise LookupError
        column = table.read_row_group(number, columns=["raw"], use_threads=False).column(0)
        return list(map(line_of, column.to_pylist())), number + 1 if number + 1 < groups else None


def _read(file: io.FileIO, offset: int, suffix: str) -> tuple[list[bytes], int | None]:
    if suffix in INFLATERS:
        return _member(file, offset, INFLATERS[suffix][0])
    return _row_group(file, offset) if suffix == CONVERTED else _lines(file, offset)


def _errors(suffix: str) -> tuple[type[Exception], ...]:
    """What reading damaged files of a format raises."""
    always = (OSError, LookupError, ValueError, TypeError, EOFError)
    if suffix == CONVERTED:
        pa, _ = arrow()
        return (*always, pa.ArrowException)
    return (*always, *INFLATERS[suffix][1]()) if suffix in INFLATERS else always
