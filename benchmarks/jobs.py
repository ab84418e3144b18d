"""The jobs that a run of the benchmarks measures, and their scale."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Self

from cyclopts import Parameter
from cyclopts.validators import Number

from benchmarks import rows
from benchmarks.gaps import p50, p99
from benchmarks.measuring import Measurement, measure, scratch
from benchmarks.raw_socket import PER_PAGE
from benchmarks.resuming import measure_resume
from benchmarks.rows import Row
from benchmarks.served import replay
from benchmarks.workspaces import Workspace, Workspaces
from exporter.source.rate_limit import WINDOW_S

Count = Annotated[int, Parameter(validator=Number(gte=1))]
Counts = Annotated[tuple[Count, ...], Parameter(consume_multiple=True, negative="")]
Flag = Annotated[bool, Parameter(negative="")]

_MB = 1_000_000
_LIMITS = (rows.RAW_DISCARD, rows.RAW_WRITE)
_OURS = (rows.NDJSON, rows.UNDURABLE, rows.GZIP, rows.GZIP_1, rows.PIPE, rows.WEB)
_SHAPES = (rows.ZSTD, rows.NORMALIZED, rows.FIELDS, rows.DROP, rows.CSV, rows.PARQUET)
_EXPANDING = (rows.NDJSON, rows.EXPAND)
_EXPANDING_LATENCY_MS = 50.0
_LATENCY = (rows.RAW_WRITE, rows.NDJSON, rows.REQUESTS)
_COMPARED_SIZES = 2
_MANY_CURSORS_CONTACTS = 84  # times the contacts for one cursor: a million
DEFAULT_RESERVE = 0.2
"""The share of the rate limit that the command leaves to others."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Scale:
    """The sizes of workspaces and the number of rounds.

    Attributes:
        contacts: contacts of the workspace for the fast programs.
        slow_contacts: contacts of the workspace for the slow programs.
        sizes: contacts of the workspaces for the memory jobs.
        latency_ms: milliseconds of latency for the latency jobs.
        latency_pages: pages of the workspaces for the latency jobs.
        gap_pages: pages of the workspace for the gap job, at least two.
        cursors: numbers of cursors for the cursors jobs.
        cursor_contacts: contacts of their workspaces for each cursor.
        cursor_latency_ms: milliseconds of latency for the cursors jobs.
        window_limit: calls in ten seconds for the cursors jobs.
        rounds: number of rounds; each round runs every job once.
        gzip: whether the servers compress their responses.
        hostile: whether one contact in a thousand has values that break careless parsers; not for the slow programs.
    """

    contacts: Count = 300_000
    slow_contacts: Count = 30_000
    sizes: Counts = (30_000, 300_000, 3_000_000)
    latency_ms: Annotated[float, Parameter(validator=Number(gte=0))] = 100.0
    latency_pages: Counts = (20, 200)
    gap_pages: Annotated[int, Parameter(validator=Number(gte=2))] = 200
    cursors: Counts = (1, 2, 4, 8, 16, 32, 64, 128)
    cursor_contacts: Count = 12_000
    cursor_latency_ms: Annotated[float, Parameter(validator=Number(gte=0))] = 1_000.0
    window_limit: Count = 1_667
    rounds: Count = 5
    gzip: Flag = False
    hostile: Flag = False

    @classmethod
    def load(cls, members: dict[str, Any]) -> Self:
        """Return the scale that `dataclasses.asdict` converted, read from JSON."""
        members = {"cursors": [], **members}  # early runs had no such jobs
        sequences = {name: tuple(value) for name, value in members.items() if isinstance(value, list)}
        return cls(**(members | sequences))


@dataclass(frozen=True)
class Job:
    """A job: it is measured once per round.

    Attributes:
        name: its name in the table and for ``--only``.
        section: name of a group of jobs; ``--only`` accepts it too.
        does: description in one line.
        measure: function that runs it once.
    """

    name: str
    section: str
    does: str
    measure: Callable[[Workspaces], Measurement]


def jobs_for(scale: Scale) -> tuple[Job, ...]:
    """List all jobs, in the table's order."""
    large = Workspace(scale.contacts, scale.gzip, scale.hostile)
    slow = Workspace(scale.slow_contacts, scale.gzip)  # some of these programs fail on hostile contacts
    gap = replace(large, contacts=scale.gap_pages * PER_PAGE)
    return (
        *(_row_job("speed", row, large) for row in (*_LIMITS, *_OURS, rows.REQUESTS)),
        *(_row_job("peers", row, slow) for row in rows.PEERS),
        *(_row_job("shapes", row, large) for row in _SHAPES),
        *_expanding_jobs(scale),
        *_latency_jobs(scale),
        Job("gap", "gap", "ours, from a page's end to the next request", _gap(gap)),
        *_memory_jobs(scale),
        *_cursors_jobs(scale),
        Job("resume", "resume", "ours, resuming an export: hash, then request", partial(measure_resume, large)),
    )


def jobs_named(names: Iterable[str], scale: Scale) -> tuple[Job, ...]:
    """Return the jobs with these names or in these sections, in the order of the table; all jobs for no names.

    Raises:
        ValueError: no job and no section has that name.
    """
    jobs, wanted = jobs_for(scale), set(names)
    if unknown := wanted.difference(*({job.name, job.section} for job in jobs)):
        known = dict.fromkeys(name for job in jobs for name in (job.section, job.name))
        raise ValueError(f"no job {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    return tuple(job for job in jobs if not wanted or wanted & {job.name, job.section})


def _row_job(section: str, row: Row, workspace: Workspace, place: str = "") -> Job:
    return Job(f"{row.name}{place}", section, row.does, partial(_measure_row, row, workspace))


def _measure_row(row: Row, workspace: Workspace, workspaces: Workspaces) -> Measurement:
    served = workspaces.served(workspace)
    measurement = measure(row, served)
    figures = {**measurement.figures, "contacts_per_s": round(measurement.contacts / measurement.wall_s, 1)}
    if workspace.rate_limit is not None and "requests" in figures:
        allowed_s = figures["requests"] / (workspace.rate_limit / WINDOW_S * (1 - DEFAULT_RESERVE))
        figures["of_allowed_time"] = round(measurement.wall_s / allowed_s, 3)
    if workspace.replayed:
        json_mb = workspaces.recording(workspace).json_bytes / _MB
        figures["json_mb_per_s"] = round(json_mb / measurement.wall_s, 2)
    return replace(measurement, figures=figures)


def _latency_jobs(scale: Scale) -> Iterable[Job]:
    for pages in scale.latency_pages:
        far = Workspace(pages * PER_PAGE, gzip=True, hostile=scale.hostile, latency_ms=scale.latency_ms)
        yield from (_row_job("latency", row, far, f"@{pages}-pages") for row in _LATENCY)


def _cursors_jobs(scale: Scale) -> Iterable[Job]:
    """As many contacts for each cursor, at the speed and the rate limit of the real API; a million for 128 cursors."""
    for cursors in scale.cursors:
        most = scale.cursor_contacts * _MANY_CURSORS_CONTACTS
        contacts = min(scale.cursor_contacts * cursors, most)
        far = Workspace(
            contacts,
            latency_ms=scale.cursor_latency_ms,
            replayed=False,
            rate_limit=scale.window_limit,
            years=8,
        )
        yield _row_job("cursors", rows.cursors_row(cursors), far)


def _expanding_jobs(scale: Scale) -> Iterable[Job]:
    """One contact in twenty has truncated lists; each response takes as long as that of an API nearby."""
    near = Workspace(scale.slow_contacts, scale.gzip, latency_ms=_EXPANDING_LATENCY_MS, replayed=False)
    yield from (_row_job("expand", row, near, f"@{_EXPANDING_LATENCY_MS:g}-ms") for row in _EXPANDING)


def _memory_jobs(scale: Scale) -> Iterable[Job]:
    made = [Workspace(size, scale.gzip, scale.hostile, replayed=False) for size in scale.sizes]
    for row, several in ((rows.NDJSON, made), (rows.GZIP, made[:_COMPARED_SIZES]), (rows.PIPE, made[:_COMPARED_SIZES])):
        yield from (_row_job("memory", row, workspace, f"@{workspace.contacts}") for workspace in several)


def _gap(workspace: Workspace) -> Callable[[Workspaces], Measurement]:
    def measure_gap(workspaces: Workspaces) -> Measurement:
        with scratch() as folder:
            with replay(workspaces.recording(workspace), gaps=folder / "gaps") as served:
                measurement = measure(rows.NDJSON, served)
            gaps_s = sorted(map(float, (folder / "gaps").read_text(encoding="ascii").split()))
        return replace(measurement, figures={"gap_p50_ms": p50(gaps_s) * 1e3, "gap_p99_ms": p99(gaps_s) * 1e3})

    return measure_gap
