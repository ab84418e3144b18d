"""Options of the commands, as data; and what becomes of them."""

import os
import re
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, Token

from exporter.errors import ConfigError

if TYPE_CHECKING:
    from exporter.source.intercom import Intercom

_TOKEN_VARIABLE = "INTERCOM_ACCESS_TOKEN"  # noqa: S105 - a name
_STDIN = "-"
_LONGEST_TOKEN_BYTES = 64 * 1024


def _whole(_kind: type, tokens: Sequence[Token]) -> int:
    """Convert a whole number; the library's own way would round 149.7."""
    text = tokens[0].value
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        raise ValueError(f"{text!r} is not a whole number.")
    return int(text)


_SIZES = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE | re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.IGNORECASE | re.ASCII)


def _bytes(_kind: type, tokens: Sequence[Token]) -> int:
    """Convert a size: a number of bytes, or one with a unit such as MB (10^6) or MiB (2^20)."""
    match = _SIZE.fullmatch(tokens[0].value)
    if match is None or (match[3] and not match[2]):
        raise ValueError(f"{tokens[0].value!r} is not a size such as 500MB or 2GiB.")
    return int(Decimal(match[1]) * (1024 if match[3] else 1000) ** _SIZES[match[2].lower()])


def _seconds(_kind: type, tokens: Sequence[Token]) -> float:
    """Convert a length of time: seconds, or a number with s, m, h or d."""
    match = _DURATION.fullmatch(tokens[0].value)
    if match is None:
        raise ValueError(f"{tokens[0].value!r} is not a length of time such as 90, 15m or 6h.")
    return float(match[1]) * _SECONDS[match[2].lower()]


Size = Annotated[int, Parameter(converter=_bytes)]
SizeOrNone = Annotated[int | None, Parameter(converter=_bytes)]
Seconds = Annotated[float, Parameter(converter=_seconds)]
SecondsOrNone = Annotated[float | None, Parameter(converter=_seconds)]
Flag = Annotated[bool, Parameter(negative="")]
Whole = Annotated[int, Parameter(converter=_whole)]
WholeOrNone = Annotated[int | None, Parameter(converter=_whole)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Where the contacts come from."""

    region: Literal["us", "eu", "au"] | None = None
    "The workspace's region; us if nothing is said."

    base_url: str | None = None
    "Another address instead of a region's."

    token_file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    "File with the access token, `-` for stdin; else it is taken from INTERCOM_ACCESS_TOKEN."

    api_version: str = "2.14"
    "Version of Intercom's API: 1.0-1.4, 2.0-2.14, Unstable."

    per_page: Whole = 150
    "Contacts per request, 1-150."

    reserve: float = 20
    "Percent of each rate-limit window left to the workspace's other integrations."

    timeout: float = 60
    "Seconds one request may take."

    idle_timeout: float = 30
    "Seconds of one request in which nothing at all arrives."

    max_retry_time: float = 90
    "Seconds of failing and waiting borne for one page (20 attempts at most)."

    max_run_retry_time: float = 6 * 3600
    "Seconds of failing and waiting borne in one run."

    insecure_http: Flag = False
    "Allow plain http to another host: the token and the contacts can then be read on the way."

    def intercom(self) -> "Intercom":
        """Make the client these options describe."""
        return self.intercom_at(self.base_url, _read_token(self.token_file), self.region)

    def intercom_at(self, base_url: str | None, token: str, region: str | None = None) -> "Intercom":
        """Make the client of another API with these options' manners."""
        from exporter.source.intercom import Intercom
        from exporter.source.trial import Patience

        return Intercom(
            token,
            region=region,
            base_url=base_url,
            api_version=self.api_version,
            per_page=self.per_page,
            reserve_percent=self.reserve,
            patience=Patience(
                timeout_s=self.timeout,
                idle_s=self.idle_timeout,
                retry_time_s=self.max_retry_time,
                run_retry_time_s=self.max_run_retry_time,
            ),
            insecure_http=self.insecure_http,
        )


_COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where they go."""

    output: Annotated[str, Parameter(name=("--output", "-o"), allow_leading_hyphen=True)] = "-"
    """File to write: `.ndjson`, `.ndjson.gz`, `.ndjson.zst`, `.csv`, `.csv.gz` or `.parquet`; a folder, `DIR/`, for
    parts; `-` is stdout."""

    gzip: Flag = False
    "Compress stdout."

    consumers: WholeOrNone = None
    "Tasks that complete lists, encode and write: 2, with --expand 16; the output is the same for any number."

    queue_pages: Whole = 4
    "Pages that may wait between fetching and encoding."

    max_contacts: WholeOrNone = None
    "Stop after so many contacts, with a finished output."

    max_duration: SecondsOrNone = None
    "Stop in order after so long (90, 15m, 6h), with exit code 8; the same command goes on."

    overwrite: Flag = False
    "Replace a finished export, one with other settings, or another file of that name."

    restart: Flag = False
    "Drop an unfinished export of that name and begin anew."

    format: Literal["ndjson", "ndjson.gz", "ndjson.zst", "csv", "csv.gz", "parquet"] | None = None
    "Format of stdout (ndjson if not said; no parquet) or of a folder's parts (ndjson.gz); a file's suffix is its own."

    csv_raw: Flag = False
    "Leave cells of CSV as they are that a spreadsheet would run as formulas; else an apostrophe comes before them."

    part_contacts: WholeOrNone = None
    "Most contacts in a part; it holds whole pages, and at least one."

    part_bytes: SizeOrNone = None
    "Most bytes in a part, such as 500MB; 1GB if nothing is said."

    checkpoint_every: Seconds = 1.0
    "Seconds between two checkpoints; 64 MB call for one too."

    min_free_disk: Size = 0
    "Stop in order before the disk has less room than this, such as 2GB."

    @property
    def compression(self) -> str | None:
        """The compression of stdout."""
        if self.output != "-":
            return None
        return "gzip" if self.gzip else _COMPRESSIONS.get((self.format or "").rpartition(".")[2])

    @property
    def file_format(self) -> str | None:
        """The format, where it was said; of stdout without its compression."""
        return self.format and (self.format.partition(".")[0] if self.output == "-" else self.format)

    def check(self) -> None:
        """Refuse what makes no sense before anything is opened.

        Raises:
            ConfigError: it says what to change.
        """
        if self.output != "-":
            if self.gzip and not self.output.endswith(".gz"):
                raise ConfigError("--gzip is for stdout; the suffix of --output picks the format (.ndjson.gz)")
        elif sys.stdout is None:
            raise ConfigError("stdout is closed: name a file with --output")
        elif self.gzip and self.format not in (None, "ndjson", "ndjson.gz", "csv", "csv.gz"):
            raise ConfigError(f"--gzip and --format {self.format} exclude each other")
        elif self.compression and sys.stdout.isatty():
            raise ConfigError("compressed contacts are not for a terminal: name a file with --output, or a pipe")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What is said on stderr meanwhile."""

    progress: Literal["auto", "bar", "json", "none"] = "auto"
    "How progress is shown; auto: two lines on a terminal, else one a minute. json: events, see `schema --of events`."

    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="")] = False
    "Say nothing but the one line of an error."

    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), negative="")] = False
    "Say more about errors."


def _read_token(token_file: str | None) -> str:
    """Read the access token from where the options say."""
    if token_file is None:
        token = os.environ.get(_TOKEN_VARIABLE, "")
        if not token.strip():
            raise ConfigError(f"no access token: set {_TOKEN_VARIABLE}, or give --token-file")
        return token
    try:
        content = _read_stdin() if token_file == _STDIN else read_private(Path(token_file))
    except OSError as exc:
        raise ConfigError(f"the token file cannot be read: {exc.strerror}") from exc
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ConfigError("the token file holds something else than a token") from None


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise ConfigError("stdin is closed: no access token can be read from it")
    return sys.stdin.buffer.read(_LONGEST_TOKEN_BYTES)


def read_private(path: Path, what: str = "token") -> bytes:
    """Read a small secret, from a file that nobody else can read.

    Raises:
        ConfigError: others can.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
            raise ConfigError(f"the {what} file {str(path)!r} can be read by others: chmod 600 it")
        return file.read(_LONGEST_TOKEN_BYTES)
