"""Reading back of the contacts that an unfinished export has written."""

from collections.abc import Iterator
from pathlib import Path

from exporter.formats.facts import GZIP_SUFFIX
from exporter.layout.data_file import DataFile
from exporter.layout.paths import OutputPaths


def read_back(paths: OutputPaths, *, has_part: bool) -> Iterator[list[bytes]]:
    """Yield all contacts that were written, in batches: the JSON of each. Blocks. Not for CSV.

    Args:
        paths: the paths of the output.
        has_part: whether the last part is unfinished.

    Raises:
        OSError: a file cannot be read to its end.
    """
    for path, suffix in _files(paths, has_part=has_part):
        data_file = DataFile(path, suffix)
        yield from data_file.raw_records() if data_file.is_table else _lines_of(data_file)
        if data_file.failure or data_file.corruption:
            raise OSError(data_file.failure or data_file.corruption)


def _files(paths: OutputPaths, *, has_part: bool) -> Iterator[tuple[Path, str]]:
    """Yield each file's path and the suffix that determines its content."""
    number = 1
    while paths.file(number).exists() if paths.is_folder else not has_part and number == 1:
        yield paths.file(number), paths.file(number).suffix
        number += 1
    if has_part:  # a part of Parquet is a journal
        yield paths.part(number), GZIP_SUFFIX if paths.is_converted else paths.file(number).suffix


def _lines_of(data_file: DataFile) -> Iterator[list[bytes]]:
    """Yield the lines of a file in batches."""
    incomplete = b""
    for chunk in data_file.chunks():
        *lines, incomplete = (incomplete + chunk).split(b"\n") if b"\n" in chunk else [incomplete + chunk]
        yield lines
