"""The contacts of an export that is not finished yet, read back from its files."""

from collections.abc import Iterator
from pathlib import Path

from exporter.formats.facts import GZIP_SUFFIX
from exporter.layout.data_file import DataFile
from exporter.layout.paths import OutputPaths


def read_back(paths: OutputPaths, *, has_part: bool) -> Iterator[list[bytes]]:
    """Yield all contacts that are written, some at a time. Blocks. Not of CSV.

    Args:
        paths: where the output is.
        has_part: whether its last part is not finished.

    Raises:
        OSError: a file cannot be read to its end.
    """
    for path, suffix in _files(paths, has_part=has_part):
        contents = DataFile(path, suffix)
        yield from contents.raw_records() if contents.is_table else _of_lines(contents)
        if contents.failure or contents.corruption:
            raise OSError(contents.failure or contents.corruption)


def _files(paths: OutputPaths, *, has_part: bool) -> Iterator[tuple[Path, str]]:
    """Yield the files, and what the content of each is known by."""
    number = 1
    while paths.file(number).exists() if paths.is_folder else not has_part and number == 1:
        yield paths.file(number), paths.file(number).suffix
        number += 1
    if has_part:  # of Parquet it is a journal
        yield paths.part(number), GZIP_SUFFIX if paths.is_converted else paths.file(number).suffix


def _of_lines(contents: DataFile) -> Iterator[list[bytes]]:
    rest = b""
    for piece in contents.chunks():
        *lines, rest = (rest + piece).split(b"\n") if b"\n" in piece else [rest + piece]
        yield lines
