"""The rows of the table, as data."""

import gzip
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.raw_socket import CONTACT

_CHUNK_BYTES = 1 << 20
_TO_STDOUT = (sys.executable, "-m", "exporter", "contacts", "--base-url", "{base_url}")
_TO_FILE = (*_TO_STDOUT, "--output", "{output}")
_RAW_SOCKET = (sys.executable, "-m", "benchmarks.raw_socket", "{base_url}")


@dataclass(frozen=True)
class Outcome:
    """What a row left behind.

    Attributes:
        output: the file it was told to write.
        stdout: what it printed, or what its reader did.
    """

    output: Path
    stdout: str


@dataclass(frozen=True)
class Row:
    """A program that fetches every contact.

    Attributes:
        name: what ``--only`` calls it.
        does: one line about it.
        command: how it is started; ``{base_url}`` and ``{output}`` are filled in.
        count: counts the contacts it delivered, once its time has been taken.
        output: name of the file it writes, if it writes one.
        reader: command at the other end of its stdout, if that is a pipe.
    """

    name: str
    does: str
    command: tuple[str, ...]
    count: Callable[[Outcome], int]
    output: str = "contacts.ndjson"
    reader: tuple[str, ...] = ()


def _lines(outcome: Outcome) -> int:
    with outcome.output.open("rb") as file:
        return _occurrences(b"\n", file)


def _gzip_lines(outcome: Outcome) -> int:
    with gzip.open(outcome.output) as file:
        return _occurrences(b"\n", file)


def _contacts_in_bodies(outcome: Outcome) -> int:
    with outcome.output.open("rb") as file:
        return _occurrences(CONTACT, file)


def _printed(outcome: Outcome) -> int:
    return int(outcome.stdout)


def _occurrences(wanted: bytes, file: IO[bytes] | gzip.GzipFile) -> int:
    count, rest = 0, b""
    while chunk := file.read(_CHUNK_BYTES):
        window = rest + chunk
        count += window.count(wanted)
        rest = window[len(window) - len(wanted) + 1 :]  # too short to be counted twice
    return count


RAW_WRITE = Row("raw-write", "raw socket, bodies written unparsed", (*_RAW_SOCKET, "{output}"), _contacts_in_bodies)
NDJSON = Row("ndjson", "ours, NDJSON file", _TO_FILE, _lines)
REQUESTS = Row(
    "requests",
    "requests and json, NDJSON file",
    (sys.executable, "-m", "benchmarks.requests_loop", "{base_url}", "{output}"),
    _lines,
)
ROWS = (
    Row("raw-discard", "raw socket, bodies thrown away: the limit", _RAW_SOCKET, _printed),
    RAW_WRITE,
    NDJSON,
    Row("gzip", "ours, gzip file", _TO_FILE, _gzip_lines, "contacts.ndjson.gz"),
    Row("pipe", "ours, stdout into wc -l", _TO_STDOUT, _printed, reader=("wc", "-l")),
    REQUESTS,
)


def rows_named(names: Iterable[str]) -> tuple[Row, ...]:
    """Choose rows, in the table's order; all of them if none is named.

    Raises:
        ValueError: there is no row of that name.
    """
    wanted, known = set(names), [row.name for row in ROWS]
    if unknown := wanted.difference(known):
        raise ValueError(f"no row {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    return tuple(row for row in ROWS if not wanted or row.name in wanted)
