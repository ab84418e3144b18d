"""The measured programs, as data: each fetches every contact of a workspace."""

import csv
import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.peers.counting import contacts_in
from benchmarks.raw_socket import CONTACT
from exporter.extras import arrow, zstd
from exporter.text import count

_CHUNK_BYTES = 1 << 20
_PYTHON = (sys.executable, "-m")
_TO_STDOUT = (*_PYTHON, "exporter", "contacts", "--base-url", "{base_url}")
_TO_FILE = (*_TO_STDOUT, "--output", "{output}")
_FIELDS = "id,email,name,location.country,custom_attributes,updated_at"
_RAW_SOCKET = (*_PYTHON, "benchmarks.raw_socket", "{base_url}")
_PEERS = (*_PYTHON, "benchmarks.peers.{}", "{{base_url}}", "{{output}}")
_WEB_READER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("web_reader.py")))


@dataclass(frozen=True)
class Outcome:
    """The output of a program.

    Attributes:
        output: the file or folder that it wrote.
        stdout: file with its stdout, or with that of its reader.
    """

    output: Path
    stdout: Path


@dataclass(frozen=True)
class Row:
    """A program that fetches every contact.

    Attributes:
        name: its name for ``--only``.
        does: description in one line.
        command: its command; ``{base_url}`` and ``{output}`` are replaced.
        count: function that counts the delivered contacts, after the time was measured.
        output: name of the file that it writes, if it writes one.
        reader: command that reads its stdout through a pipe, if any.
        figures: function that returns further figures of what it wrote.
    """

    name: str
    does: str
    command: tuple[str, ...]
    count: Callable[[Outcome], int]
    output: str = "contacts.ndjson"
    reader: tuple[str, ...] = ()
    figures: Callable[[Outcome], dict[str, float]] = lambda _outcome: {}


def _lines(outcome: Outcome) -> int:
    return occurrences(b"\n", outcome.output)


def _stdout_lines(outcome: Outcome) -> int:
    return occurrences(b"\n", outcome.stdout)


def _gzip_lines(outcome: Outcome) -> int:
    with gzip.open(outcome.output) as file:
        return _occurrences_in(b"\n", file)


def _zstd_lines(outcome: Outcome) -> int:
    with zstd().open(outcome.output) as file:
        return _occurrences_in(b"\n", file)


def _csv_rows(outcome: Outcome) -> int:
    with outcome.output.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def _parquet_rows(outcome: Outcome) -> int:
    return int(arrow()[1].read_metadata(outcome.output).num_rows)


def _contacts_in_bodies(outcome: Outcome) -> int:
    return occurrences(CONTACT, outcome.output)


def _delivered_by_peer(outcome: Outcome) -> int:
    return contacts_in(outcome.output)


def _folder_lines(outcome: Outcome) -> int:
    """Count the lines of all parts in a folder."""
    return sum(occurrences(b"\n", part) for part in outcome.output.glob("contacts-*"))


def _manifest_figures(outcome: Outcome) -> dict[str, float]:
    """Return the requests of an export with several cursors, and the seconds that the rate limit allows for them."""
    manifest = json.loads((outcome.output / "_manifest.json").read_text(encoding="utf-8"))
    timeline = manifest["timeline"]
    return {"requests": manifest["requests"], "ran_s": timeline["ran_s"]}


def _printed(outcome: Outcome) -> int:
    return int(outcome.stdout.read_text(encoding="ascii"))


def occurrences(wanted: bytes, path: Path) -> int:
    """Count some bytes in a file of any size."""
    with path.open("rb") as file:
        return _occurrences_in(wanted, file)


def _occurrences_in(wanted: bytes, file: IO[bytes] | gzip.GzipFile) -> int:
    count, rest = 0, b""
    while chunk := file.read(_CHUNK_BYTES):
        window = rest + chunk
        count += window.count(wanted)
        rest = window[len(window) - len(wanted) + 1 :]  # too short to have all of them: no contact is counted twice
    return count


def _peer(name: str, does: str, module: str, output: str = "contacts.ndjson") -> Row:
    return Row(name, does, tuple(part.format(module) for part in _PEERS), _delivered_by_peer, output)


def cursors_row(cursors: int) -> Row:
    """Return the program that exports with so many cursors; one is the list, to a folder as well."""
    command = (*_TO_STDOUT, "--output", "{output}/", "--format", "ndjson", "--settle", "0", "--cursors", str(cursors))
    does = f"ours, {count(cursors, 'cursor')} at 1 s a page, to a folder"
    return Row(f"cursors-{cursors}", does, command, _folder_lines, "contacts", figures=_manifest_figures)


RAW_DISCARD = Row("raw-discard", "raw socket, bodies thrown away: the limit", _RAW_SOCKET, _printed)
RAW_WRITE = Row("raw-write", "raw socket, bodies written unparsed", (*_RAW_SOCKET, "{output}"), _contacts_in_bodies)
NDJSON = Row("ndjson", "ours, NDJSON file", _TO_FILE, _lines)
UNDURABLE = Row("undurable", "ours, stdout redirected into a file", _TO_STDOUT, _stdout_lines)
GZIP = Row("gzip", "ours, gzip file, two consumers", (*_TO_FILE, "--consumers", "2"), _gzip_lines, "contacts.ndjson.gz")
GZIP_1 = Row("gzip-1", "ours, gzip file, one consumer", (*_TO_FILE, "--consumers", "1"), _gzip_lines, GZIP.output)
ZSTD = Row("zstd", "ours, zstd file", _TO_FILE, _zstd_lines, "contacts.ndjson.zst")
NORMALIZED = Row("normalized", "ours, each contact decoded and encoded", (*_TO_FILE, "--records", "normalized"), _lines)
FIELDS = Row("fields", "ours, six fields of each contact", (*_TO_FILE, "--fields", _FIELDS), _lines)
DROP = Row("drop", "ours, all fields but three", (*_TO_FILE, "--drop", "phone,location.city,tags.data.url"), _lines)
CSV = Row("csv", "ours, CSV file, a column for each field", _TO_FILE, _csv_rows, "contacts.csv")
PARQUET = Row("parquet", "ours, Parquet file", _TO_FILE, _parquet_rows, "contacts.parquet")
EXPAND = Row("expand", "ours, lists expanded", (*_TO_FILE, "--expand", "tags,notes,companies"), _lines)
PIPE = Row("pipe", "ours, stdout into wc -l", _TO_STDOUT, _printed, reader=("wc", "-l"))
WEB = Row(
    "web",
    "ours, streamed by an aiohttp service",
    (*_PYTHON, "benchmarks.web_stream", "{base_url}"),
    _printed,
    reader=_WEB_READER,
)
REQUESTS = Row(
    "requests",
    "requests and json, NDJSON file",
    (*_PYTHON, "benchmarks.requests_loop", "{base_url}", "{output}"),
    _lines,
)
PEERS = (
    _peer("dlt", "dlt, rest_api into JSONL files", "dlt_rest", "dlt"),
    _peer("airbyte", "Airbyte CDK, declarative source", "airbyte"),
    _peer("singer", "Meltano Singer SDK tap", "singer_tap"),
    _peer("sdk", "Intercom's SDK, its pager", "sdk"),
)
