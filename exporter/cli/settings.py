"""Options of the commands, as data; and what becomes of them."""

import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
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
    if not text.removeprefix("-").isdecimal():
        raise ValueError(f"{text!r} is not a whole number.")
    return int(text)


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
            patience=Patience(self.timeout, self.max_retry_time, self.max_run_retry_time),
            insecure_http=self.insecure_http,
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where they go."""

    output: Annotated[str, Parameter(name=("--output", "-o"), allow_leading_hyphen=True)] = "-"
    "File to write, `.ndjson` or `.ndjson.gz`; `-` is stdout."

    gzip: Flag = False
    "Compress stdout."

    consumers: Whole = 2
    "Tasks that encode and write; the output is the same for any number."

    queue_pages: Whole = 4
    "Pages that may wait between fetching and encoding."

    max_contacts: WholeOrNone = None
    "Stop after so many contacts, with a finished output."

    overwrite: Flag = False
    "Replace a finished export, or another file of that name."

    restart: Flag = False
    "Drop an unfinished export of that name, as every run does so far."

    @property
    def compression(self) -> str | None:
        """The compression of stdout; a file's suffix picks its own."""
        return "gzip" if self.gzip and self.output == "-" else None

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
        elif self.gzip and sys.stdout.isatty():
            raise ConfigError("compressed contacts are not for a terminal: name a file with --output, or a pipe")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What is said on stderr meanwhile."""

    progress: Literal["auto", "bar", "json", "none"] = "auto"
    "How progress is shown; auto: a bar on a terminal, else nothing."

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
        content = _read_stdin() if token_file == _STDIN else _read_private(Path(token_file))
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


def _read_private(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
            raise ConfigError(f"the token file {str(path)!r} can be read by others: chmod 600 it")
        return file.read(_LONGEST_TOKEN_BYTES)
