"""Options of the commands, as data; and what becomes of them."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from exporter.cli.credentials import read_token
from exporter.cli.values import Flag, Seconds, SecondsOrNone, Size, SizeOrNone, Whole, WholeOrNone
from exporter.errors import ConfigError

if TYPE_CHECKING:
    from exporter.source.intercom import Intercom

_SOURCE = Group.create_ordered("Workspace")
_OUTPUT = Group.create_ordered("Output")
CONTACTS = Group.create_ordered("Contacts")
_REPORT = Group.create_ordered("What is said meanwhile")
_METRICS = Group.create_ordered("Metrics")


@Parameter(name="*", group=_SOURCE)
@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Where the contacts come from."""

    region: Literal["us", "eu", "au"] | None = None
    "The workspace's region; us if nothing is said."

    base_url: str | None = None
    "Another address instead of a region's."

    token_file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    "File with the access token, `-` for stdin; else it is taken from INTERCOM_ACCESS_TOKEN."

    token_command: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    "Program that prints the access token on its first line, such as 'pass show intercom'; run without a shell."

    token_keyring: str | None = None
    "Account under which the system's keyring has the access token, for the service intercom-exporter."

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

    @asynccontextmanager
    async def intercom(self) -> AsyncIterator["Intercom"]:
        """Open the workspace that these options describe."""
        async with self.intercom_at(self.base_url, await read_token(self), self.region) as intercom:
            yield intercom

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


@Parameter(name="*", group=_OUTPUT)
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


@Parameter(name="*", group=_REPORT)
@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What is said on stderr meanwhile."""

    progress: Literal["auto", "bar", "json", "none"] = "auto"
    "How progress is shown; auto: two lines on a terminal, else one a minute. json: events, see `schema --of events`."

    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", show_default=False)] = False
    "Say nothing but the one line of an error."

    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), negative="", show_default=False)] = False
    "Say more about errors, and tell each request: method, path, status, seconds, bytes, request id."

    log_format: Literal["text", "json"] = "text"
    "Form of the lines on stderr; json: one object each, with time, level and message."

    config: str | None = None
    """TOML file with settings, such as `region = "eu"`; options and the environment win. See `config show`."""


@Parameter(name="*", group=_METRICS)
@dataclass(frozen=True, kw_only=True)
class MetricsOptions:
    """Figures for Prometheus; both need the extra [metrics]."""

    metrics_port: WholeOrNone = None
    "Serve metrics over HTTP while it runs, on this port; 0 takes a free one."

    metrics_host: str = "127.0.0.1"
    "Address to serve them at; 0.0.0.0 for other machines."

    metrics_file: str | None = None
    "Keep metrics in this file, NAME.prom, for the node exporter's textfile collector; with when a run last succeeded."
