"""Finished files read from any place on: a gzip member, a zstd frame, a piece of lines, a row group at a time."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exporter import fastzlib
from exporter.arrow import arrow
from exporter.errors import SinkError
from exporter.fastzstd import zstd
from exporter.sink.contents import is_ours, open_plainly

_PIECE_BYTES = 256 * 1024
_COMPRESSED_BYTES = 32 * 1024  # a byte of deflate becomes 1,032 at most: a bomb inflates 34 MB at a time
_LARGEST_UNIT_BYTES = 1 << 28  # a page of ours has 64 MiB as the API sends it, and may grow by completed lists


class Place(NamedTuple):
    """Where a unit begins: in which file, counted from 0, and where in it; of Parquet the number of a row group."""

    file: int
    offset: int


def unit_at(files: Sequence[Path], place: Place) -> tuple[list[bytes], Place | None]:
    """Read the unit at a place. Blocks.

    Args:
        files: all data files.
        place: where a unit begins.

    Returns:
        Its records, without their line ends, and where the next unit begins,
        None behind the last one.

    Raises:
        SinkError: the file is not what was written.
    """
    if place.file >= len(files):
        return [], None
    path = files[place.file]
    read = _READERS.get(path.suffix, _lines)
    try:
        with open_plainly(path) as file:
            records, following = read(file, place.offset)
    except _errors(path.suffix):
        raise SinkError(f"{str(path)!r} is damaged: verify says more", path=path) from None
    if following is not None:
        return records, Place(place.file, following)
    return records, Place(place.file + 1, 0) if place.file + 1 < len(files) else None


def _lines(file: io.FileIO, offset: int) -> tuple[list[bytes], int | None]:
    """Read some whole lines."""
    file.seek(offset)
    content = file.read(_PIECE_BYTES)
    while (end := content.rfind(b"\n") + 1) == 0 and len(content) < _LARGEST_UNIT_BYTES:
        more = file.read(_PIECE_BYTES)
        if not more:
            break
        content += more
    if content and not end:
        raise ValueError("a line without an end")
    size = os.fstat(file.fileno()).st_size
    return content[:end].split(b"\n")[:-1], offset + end if offset + end < size else None


def _member(file: io.FileIO, offset: int) -> tuple[list[bytes], int | None]:
    """Read one member of gzip, or one frame of zstd."""
    inflater: Any = zstd().ZstdDecompressor() if _is_zstd(file) else fastzlib.inflater(fastzlib.GZIP)
    file.seek(offset)
    inflated = bytearray()
    read = 0
    while not inflater.eof:
        piece = file.read(_COMPRESSED_BYTES)
        if not piece:
            raise EOFError
        read += len(piece)
        inflated += inflater.decompress(piece)
        if len(inflated) > _LARGEST_UNIT_BYTES:
            raise ValueError("more than a page")
    following = offset + read - len(inflater.unused_data)
    size = os.fstat(file.fileno()).st_size
    return bytes(inflated).split(b"\n")[:-1], following if following < size else None


def _is_zstd(file: io.FileIO) -> bool:
    file.seek(0)
    return file.read(2) == b"\x28\xb5"


def _row_group(file: io.FileIO, number: int) -> tuple[list[bytes], int | None]:
    """Read the contacts of a row group."""
    pa, parquet = arrow()
    with parquet.ParquetFile(file, pre_buffer=False) as table:
        groups = table.metadata.num_row_groups
        if not groups:
            return [], None
        if not is_ours(table, pa.string()):
            raise LookupError
        column = table.read_row_group(number, columns=["raw"], use_threads=False).column(0)
        return [record.encode() for record in column.to_pylist()], number + 1 if number + 1 < groups else None


_READERS = {".gz": _member, ".zst": _member, ".parquet": _row_group}


def _errors(suffix: str) -> tuple[type[Exception], ...]:
    """What reading damaged files of a format raises."""
    always = (OSError, LookupError, ValueError, TypeError, EOFError)
    if suffix == ".parquet":
        pa, _ = arrow()
        return (*always, pa.ArrowException)
    return (*always, zstd().ZstdError) if suffix == ".zst" else (*always, *fastzlib.ERRORS)
