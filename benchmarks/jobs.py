"""What a run of the benchmarks measures, at the scale that was asked for."""

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


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large everything is.

    Attributes:
        contacts: contacts of the workspace that the fast rows fetch.
        slow_contacts: contacts of the workspace that the slow programs fetch.
        sizes: contacts of the workspaces at which memory is looked at.
        latency_ms: milliseconds each answer waits, where latency is looked at.
        latency_pages: pages of the workspaces at which latency is looked at.
        gap_pages: pages after which the next request is waited for, two at least.
        rounds: how often each job is run; each round runs every job once.
        gzip: let the servers compress their answers.
        hostile: let one contact in a thousand hold values that break careless parsers; not for the slow programs.
    """

    contacts: Count = 300_000
    slow_contacts: Count = 30_000
    sizes: Counts = (30_000, 300_000, 3_000_000)
    latency_ms: Annotated[float, Parameter(validator=Number(gte=0))] = 100.0
    latency_pages: Counts = (20, 200)
    gap_pages: Annotated[int, Parameter(validator=Number(gte=2))] = 200
    rounds: Count = 5
    gzip: Flag = False
    hostile: Flag = False

    @classmethod
    def load(cls, members: dict[str, Any]) -> Self:
        """Read what `dataclasses.asdict` made, after JSON had it."""
        sequences = {name: tuple(value) for name, value in members.items() if isinstance(value, list)}
        return cls(**(members | sequences))


@dataclass(frozen=True)
class Job:
    """Something that is measured once a round.

    Attributes:
        name: what the table and ``--only`` call it.
        section: what several of them are about; ``--only`` takes that too.
        does: one line about it.
        measure: does it.
    """

    name: str
    section: str
    does: str
    measure: Callable[[Workspaces], Measurement]


def jobs_for(scale: Scale) -> tuple[Job, ...]:
    """List all jobs, in the table's order."""
    large = Workspace(scale.contacts, scale.gzip, scale.hostile)
    slow = Workspace(scale.slow_contacts, scale.gzip)  # hostile contacts end some of those that fetch it
    gap = replace(large, contacts=scale.gap_pages * PER_PAGE)
    return (
        *(_row_job("speed", row, large) for row in (*_LIMITS, *_OURS, rows.REQUESTS)),
        *(_row_job("peers", row, slow) for row in rows.PEERS),
        *(_row_job("shapes", row, large) for row in _SHAPES),
        *_expanding_jobs(scale),
        *_latency_jobs(scale),
        Job("gap", "gap", "ours, from a page's end to the next request", _gap(gap)),
        *_memory_jobs(scale),
        Job("resume", "resume", "ours, going on with an export: hash, then ask", partial(measure_resume, large)),
    )


def jobs_named(names: Iterable[str], scale: Scale) -> tuple[Job, ...]:
    """Choose jobs by their names or sections, in the table's order; all of them if none is named.

    Raises:
        ValueError: there is nothing of that name.
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
    figures = {"contacts_per_s": round(measurement.contacts / measurement.wall_s, 1)}
    if workspace.replayed:
        json_mb = workspaces.recording(workspace).json_bytes / _MB
        figures["json_mb_per_s"] = round(json_mb / measurement.wall_s, 2)
    return replace(measurement, figures=figures)


def _latency_jobs(scale: Scale) -> Iterable[Job]:
    for pages in scale.latency_pages:
        far = Workspace(pages * PER_PAGE, gzip=True, hostile=scale.hostile, latency_ms=scale.latency_ms)
        yield from (_row_job("latency", row, far, f"@{pages}-pages") for row in _LATENCY)


def _expanding_jobs(scale: Scale) -> Iterable[Job]:
    """One contact in twenty has lists that are cut; each answer takes as long as those of an API nearby."""
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
