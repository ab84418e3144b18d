"""The contacts of an export that is not finished yet, read back from its files."""

from collections.abc import Iterator
from pathlib import Path

from exporter.formats.facts import GZIP_SUFFIX
from exporter.layout.data_file import Contents
from exporter.layout.paths import Place


def read_back(place: Place, *, has_part: bool) -> Iterator[list[bytes]]:
    """Yield all contacts that are written, some at a time. Blocks. Not of CSV.

    Args:
        place: where the output is.
        has_part: whether its last part is not finished.

    Raises:
        OSError: a file cannot be read to its end.
    """
    for path, suffix in _files(place, has_part=has_part):
        contents = Contents(path, suffix)
        yield from contents.raw() if contents.is_table else _of_lines(contents)
        if contents.failure or contents.damage:
            raise OSError(contents.failure or contents.damage)


def _files(place: Place, *, has_part: bool) -> Iterator[tuple[Path, str]]:
    """Yield the files, and what the content of each is known by."""
    number = 1
    while place.file(number).exists() if place.parts else not has_part and number == 1:
        yield place.file(number), place.file(number).suffix
        number += 1
    if has_part:  # of Parquet it is a journal
        yield place.part(number), GZIP_SUFFIX if place.converts else place.file(number).suffix


def _of_lines(contents: Contents) -> Iterator[list[bytes]]:
    rest = b""
    for piece in contents.pieces():
        *lines, rest = (rest + piece).split(b"\n") if b"\n" in piece else [rest + piece]
        yield lines
