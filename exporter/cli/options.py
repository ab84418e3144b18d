"""Groups of options: workspace, output, logging and progress, metrics. `record_options` has the record contents."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from exporter.cli.arguments import is_on_command_line
from exporter.cli.converters import DAY_S, YEAR_S, File, Flag, duration, integer, number, size
from exporter.cli.credentials import TokenSource, read_token
from exporter.errors import ConfigError
from exporter.formats.facts import BY_NAME
from exporter.validation import (
    MAX_BYTES,
    MAX_CONSUMERS,
    MAX_CONTACTS,
    MAX_PER_PAGE,
    MAX_QUEUE_PAGES,
    MAX_RESERVE_PERCENT,
)

if TYPE_CHECKING:
    from exporter.options import ExportOptions
    from exporter.source.intercom import Intercom

DEFAULT_CONSUMERS = 2
_SOURCE = Group.create_ordered("Workspace")
_OUTPUT = Group.create_ordered("Output")
RECORDS = Group.create_ordered("Record contents")
_CONSOLE = Group.create_ordered("Logging and progress")
_METRICS = Group.create_ordered("Metrics")


@Parameter(name="*", group=_SOURCE)
@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Where the contacts come from."""

    region: Literal["us", "eu", "au"] | None = None
    "Region of the workspace; default: us."

    base_url: Annotated[str | None, Parameter(metavar="URL")] = None
    "Base URL of the API, instead of --region."

    token_file: Annotated[str | None, Parameter(allow_leading_hyphen=True, metavar="FILE")] = None
    "File with the access token, `-` for stdin; default: the environment variable INTERCOM_ACCESS_TOKEN."

    token_command: Annotated[str | None, Parameter(allow_leading_hyphen=True, metavar="COMMAND")] = None
    "Program that prints the access token on its first line, such as 'pass show intercom'; runs without a shell."

    token_keyring: Annotated[str | None, Parameter(metavar="ACCOUNT")] = None
    "Account of the access token in the system's keyring, for the service intercom-exporter."

    allow_readable_secrets: Flag = False
    "Accept a token or key file that other users can read."

    api_version: Annotated[str, Parameter(metavar="VERSION")] = "2.14"
    "Version of Intercom's API: 1.0-1.4, 2.0-2.17, Preview, Unstable."

    per_page: Annotated[int, integer(1, MAX_PER_PAGE)] = MAX_PER_PAGE
    "Contacts per request, 1-150."

    reserve: Annotated[float, number(0, MAX_RESERVE_PERCENT, "PERCENT")] = 20
    "Percentage of each rate-limit window to leave to the workspace's other integrations, 0-90."

    timeout: Annotated[float, duration(0.001, DAY_S)] = 60
    "Time limit of one request, such as 90, 500ms or 1m30s."

    idle_timeout: Annotated[float, duration(0.001, DAY_S)] = 30
    "Time without any data after which a request times out."

    max_retry_time: Annotated[float, duration(0, YEAR_S)] = 90
    "Retry budget of one page: time for failed attempts and waits (20 attempts at most)."

    max_run_retry_time: Annotated[float, duration(0, YEAR_S)] = 6 * 3600
    "Retry budget of one run: the same for all its pages together."

    insecure_http: Flag = False
    "Allow plain http to another host: token and contacts travel unencrypted, and a proxy can read them."

    @asynccontextmanager
    async def open_workspace(self) -> AsyncIterator["Intercom"]:
        """Open a client of the workspace that these options describe."""
        source = TokenSource(
            file=self.token_file,
            command=self.token_command,
            keyring=self.token_keyring,
            allow_readable=self.allow_readable_secrets,
        )
        async with self.make_client(self.base_url, await read_token(source), self.region) as intercom:
            yield intercom

    def make_client(self, base_url: str | None, token: str, region: str | None = None) -> "Intercom":
        """Return a client with these options, for an address and a token."""
        from exporter.source.intercom import Intercom
        from exporter.source.retry import RetryPolicy

        return Intercom(
            token,
            region=region,
            base_url=base_url,
            api_version=self.api_version,
            per_page=self.per_page,
            reserve_percent=self.reserve,
            retry_policy=RetryPolicy(
                request_timeout_s=self.timeout,
                idle_timeout_s=self.idle_timeout,
                page_budget_s=self.max_retry_time,
                run_budget_s=self.max_run_retry_time,
            ),
            insecure_http=self.insecure_http,
        )


_FILE_OPTIONS = ("--overwrite", "--restart", "--checkpoint-every", "--min-free-disk", "--mkdir")


@Parameter(name="*", group=_OUTPUT)
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where the contacts go."""

    output: Annotated[str, Parameter(name=("--output", "-o"), allow_leading_hyphen=True, metavar="PATH")] = "-"
    """File to write: `.ndjson`, `.ndjson.gz`, `.ndjson.zst`, `.csv`, `.csv.gz` or `.parquet`; `.jsonl` is
    the same as `.ndjson`; a folder, `DIR/`, for parts; `-` is stdout. `{date}` and `{time}` in a name become those of
    the export's first run, in UTC; an unfinished export of an earlier day is resumed first."""

    mkdir: Flag = False
    "Create missing parent folders of the output, accessible to their owner only."

    gzip: Flag = False
    "Compress stdout."

    consumers: Annotated[int | None, integer(1, MAX_CONSUMERS)] = None
    "Tasks that expand lists, encode and write; default: 2, with --expand 16. The output does not depend on it."

    queue_pages: Annotated[int, integer(1, MAX_QUEUE_PAGES)] = 4
    "Pages that may wait between fetching and encoding."

    max_contacts: Annotated[int | None, integer(1, MAX_CONTACTS)] = None
    "Export at most N contacts, then finish normally."

    max_duration: Annotated[float | None, duration(0.001, YEAR_S), Parameter(show_default=False)] = None
    "Stop gracefully after this time (90, 15m, 1h30m), with exit code 8; run the same command again to resume."

    allow_shortfall: Flag = False
    "Finish although the API counts many more contacts than it lists; only if its count is known to be wrong."

    overwrite: Flag = False
    "Replace a finished export, one with other settings, or another file of that name."

    restart: Flag = False
    "Discard an unfinished export of that name and start over; with `{date}`, under today's name."

    format: Literal["ndjson", "ndjson.gz", "ndjson.zst", "csv", "csv.gz", "parquet"] | None = None
    "Format of stdout (default: ndjson; not parquet) or of parts (default: ndjson.gz); a file's suffix sets its own."

    csv_raw: Flag = False
    "Do not escape CSV cells that spreadsheets run as formulas; by default an apostrophe is put before them."

    csv_bom: Flag = False
    "Begin each CSV file with a UTF-8 byte-order mark, so that Excel detects the encoding."

    part_contacts: Annotated[int | None, integer(1, MAX_CONTACTS)] = None
    "Maximum contacts per part; a part holds complete pages, at least one."

    part_bytes: Annotated[int | None, size(1, MAX_BYTES)] = None
    "Maximum size of a part, such as 500MB or 64MiB; default: 1GB."

    checkpoint_every: Annotated[float, duration(0, DAY_S)] = 1.0
    "Time between two checkpoints; 0: one per page. One is also written every 64 MB."

    min_free_disk: Annotated[int, size(0, MAX_BYTES)] = 0
    "Stop gracefully before free disk space falls below this, such as 2GB."

    @property
    def compression(self) -> str | None:
        """The compression of stdout."""
        if self.output != "-":
            return None
        return "gzip" if self.gzip else BY_NAME[self.format].compression if self.format else None

    @property
    def file_format(self) -> str | None:
        """The format that is set, None if none is; of stdout without its compression."""
        return self.format and (self.format.partition(".")[0] if self.output == "-" else self.format)

    def resolve(self) -> "OutputOptions":
        """Return the options with the name that this run writes to, once its folders are there.

        Raises:
            ConfigError: the name has no format, or a folder cannot be created.
        """
        from exporter.cli.output_names import fill_in_date, make_parents, resolve_output_name
        from exporter.exports import resolve_output

        now = datetime.now(UTC)
        output = resolve_output_name(self.output, now, restart=self.restart)
        # Another day's export is resumed and never replaced.
        resolved = replace(self, output=output, overwrite=self.overwrite and output == fill_in_date(self.output, now))
        if self.mkdir and self.output != "-":
            resolve_output(resolved.output, resolved.export_options())
            make_parents(resolved.output)
        return resolved

    def export_options(self) -> "ExportOptions":
        """Return the settings of an export that this group decides; the others have their defaults."""
        from exporter.options import ExportOptions

        return ExportOptions(
            consumers=self.consumers or DEFAULT_CONSUMERS,
            queue_pages=self.queue_pages,
            max_contacts=self.max_contacts,
            overwrite=self.overwrite,
            restart=self.restart,
            compression=self.compression,
            file_format=self.file_format,
            part_contacts=self.part_contacts,
            part_bytes=self.part_bytes,
            csv_raw=self.csv_raw,
            csv_bom=self.csv_bom,
            allow_shortfall=self.allow_shortfall,
            checkpoint_every_s=self.checkpoint_every,
            min_free_bytes=self.min_free_disk,
        )

    def check(self) -> None:
        """Refuse options that exclude one another or have no effect, before anything is opened.

        Raises:
            ConfigError: it names what to change.
        """
        if self.output != "-":
            if self.gzip and not self.output.endswith(".gz"):
                raise ConfigError("--gzip is for stdout; the suffix of --output picks the format (.ndjson.gz)")
        elif sys.stdout is None:
            raise ConfigError("stdout is closed: name a file with --output")
        elif unused := next(filter(is_on_command_line, _FILE_OPTIONS), None):  # a variable may be for other runs
            raise ConfigError(f"{unused} is for files, and the output is stdout: name a file with --output")
        elif self.gzip and self.format not in (None, "ndjson", "ndjson.gz", "csv", "csv.gz"):
            raise ConfigError(f"--gzip and --format {self.format} are mutually exclusive")
        elif self.compression and sys.stdout.isatty():
            raise ConfigError("compressed contacts are not for a terminal: name a file with --output, or a pipe")


@Parameter(name="*", group=_CONSOLE)
@dataclass(frozen=True, kw_only=True)
class ConsoleOptions:
    """What is printed to stderr while it runs."""

    progress: Literal["auto", "bar", "json", "none"] = "auto"
    "Progress display; auto: two lines on a terminal, else one line per minute; json: events, see `schema --of events`."

    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", show_default=False)] = False
    "Print nothing but errors."

    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), negative="", show_default=False)] = False
    "Add detail to errors, and log each request: method, path, status, seconds, bytes, request id."

    log_format: Literal["text", "json"] = "text"
    "Log format on stderr; json: one object per line, with time, level and message."

    log_file: File = None
    "Also append the lines of stderr to this file, each with its time."

    config: File = None
    """TOML file with settings, such as `region = "eu"`; options and the environment win. See `config show`."""


@Parameter(name="*", group=_METRICS)
@dataclass(frozen=True, kw_only=True)
class MetricsOptions:
    """Metrics for Prometheus; both options need the extra [metrics]."""

    metrics_port: Annotated[int | None, integer(0, 65_535, "PORT")] = None
    "Serve metrics over HTTP on this port while it runs; 0 picks a free port."

    metrics_host: Annotated[str, Parameter(metavar="HOST")] = "127.0.0.1"
    "With --metrics-port: address to serve them at; 0.0.0.0 for other machines."

    metrics_file: File = None
    "Write metrics, including the last success time, to this NAME.prom, for the node exporter's textfile collector."
