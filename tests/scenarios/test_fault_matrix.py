"""Every fault, on every kind of page: the export ends with the exact bytes, or as documented and can be resumed."""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

import exporter
from exporter.cli.exit_codes import exit_code
from exporter.sandbox.faults import NAMES, FaultPlan
from tests.scenarios.raw_faults import (
    CONTACTS,
    FAULTS,
    FIRST,
    LAST,
    MIDDLE,
    PATIENT_S,
    PER_PAGE,
    Failure,
    RawApi,
    RawFault,
    answer,
)

Lines = Callable[[list[bytes]], bytes]
PLAIN, GZIP = "contacts.ndjson", "contacts.ndjson.gz"
PAGES = (FIRST, MIDDLE, LAST)
ALWAYS = 1_000
CODES: dict[Failure, int] = {
    exporter.CredentialsError: 3,
    exporter.ApiError: 4,
    exporter.ContractError: 4,
    exporter.RetriesExhausted: 4,
    exporter.CheckpointError: 6,
}
NEEDS_RESTART = ("cursor that leads nowhere", "cursor of this page", "cursor of the page before", "cursor_loop")
"""After these the checkpoint of an unfinished export may hold a wrong cursor, so that it needs ``restart``."""


@dataclass(frozen=True)
class Case:
    """A fault of the sandbox or of the raw server, and how an export ends for which it occurs once or always."""

    name: str
    once: Failure | None
    always: Failure | None
    pages: tuple[int, ...] = PAGES
    raw: RawFault | None = None

    @property
    def times_out(self) -> bool:
        """Whether the fault is silence: the client asks for smaller pages after it."""
        return self.name == "slow" or (self.raw is not None and self.raw.timeout_s < PATIENT_S)

    @property
    def retry_policy(self) -> exporter.RetryPolicy:
        """Return the client's retry policy: a short time-out where the fault is silence."""
        timeout_s = self.raw.timeout_s if self.raw else 0.4 if self.name == "slow" else PATIENT_S
        return exporter.RetryPolicy(request_timeout_s=timeout_s, initial_backoff_s=0.001, max_attempts=3)

    @asynccontextmanager
    async def served(self, page: int, times: int) -> AsyncIterator["Served"]:
        """Serve the contacts with this fault on a page."""
        if self.raw:
            async with RawApi() as api:
                base_url = api.stage(self.raw, page, times)
                yield Served(base_url, "dG9r", lambda: api.heal(base_url))
                assert not api.strayed, "a request went to where the server led it"
            return
        fault = f"{self.name}@{page}x{times}"
        async with exporter.Sandbox(CONTACTS, faults=[fault], slow_s=60, hostile=True) as sandbox:
            yield Served(sandbox.base_url, sandbox.token, lambda: setattr(sandbox, "faults", FaultPlan()))


@dataclass(frozen=True)
class Served:
    """A running server, and how to fix it."""

    base_url: str
    token: str
    fix: Callable[[], None] = lambda: None


def transient(*names: str) -> list[Case]:
    """List faults that are retried: once they do no harm."""
    return [Case(name, None, exporter.RetriesExhausted) for name in names]


def permanent(failure: Failure, *names: str, pages: tuple[int, ...] = PAGES) -> list[Case]:
    """List faults that are not retried."""
    return [Case(name, failure, failure, pages) for name in names]


SANDBOX = [
    *transient("http_500", "http_502", "http_503", "http_504", "http_408", "http_429", "reset", "truncate"),
    Case("slow", None, exporter.RetriesExhausted, (FIRST,)),
    Case("slow", None, None, (MIDDLE, LAST)),  # smaller pages have other numbers: the fault does not occur on them
    *(Case(name, None, exporter.ContractError) for name in ("empty_200", "html_200")),
    *permanent(exporter.CredentialsError, "http_401", "http_403"),
    *permanent(exporter.ApiError, "http_400", "http_422"),
    *permanent(exporter.ApiError, "http_404", "http_410", pages=(FIRST,)),
    *permanent(exporter.CheckpointError, "http_404", "http_410", pages=(MIDDLE, LAST)),  # those are the cursor's end
    *permanent(exporter.ContractError, "cursor_loop"),
]
RAW = [Case(fault.name, fault.once, fault.lasting, raw=fault) for fault in FAULTS]
CASES = [*SANDBOX, *RAW]


@dataclass
class Row:
    """How the exports with one fault ended: a line of the table."""

    cells: dict[tuple[int, str, int], str] = field(default_factory=dict)
    failures: set[str] = field(default_factory=set)

    def line(self, name: str) -> str:
        """Return the line."""
        groups = [
            " ".join(f"{self.cells.get((times, output, page), '·'):2}" for page in pages)
            for times in (1, ALWAYS)
            for output, pages in ((PLAIN, PAGES), (GZIP, (MIDDLE,)))
        ]
        return f"{name:28}{groups[0]}  {groups[1]}   {groups[2]}  {groups[3]}  {', '.join(sorted(self.failures))}"


TABLE = f"""Every fault, once or always, on the first, a middle and the last page; with gzip on the middle page
= exact bytes; ~ the same lines in more gzip members, as pages got smaller;
a digit: that exit code, and then the exact bytes by the same command (r: by --restart);
≠ wrong bytes; · there is no such case.
{"":28}{"once":16}always
{"":28}{"plain":10}{"gzip":6}{"plain":10}gzip"""
BASELINE: dict[str, bytes] = {}


@pytest.fixture
async def baseline(memory_path: Path, lines_of: Lines) -> dict[str, bytes]:
    """Return the bytes of an undisturbed export, by the output's name."""
    if not BASELINE:
        async with exporter.Sandbox(CONTACTS, hostile=True) as sandbox:
            for name in (PLAIN, GZIP):
                await export(Case("", None, None), Served(sandbox.base_url, sandbox.token), memory_path / name)
                BASELINE[name] = (memory_path / name).read_bytes()
            plain = lines_of(sandbox.workspace.records(0, CONTACTS))
        assert [BASELINE[PLAIN], gzip.decompress(BASELINE[GZIP])] == [plain, plain]
    return BASELINE


async def export(case: Case, served: Served, path: Path, *, restart: bool = False) -> None:
    """Export with a client of its own, as another process would."""
    async with exporter.Intercom(
        served.token, base_url=served.base_url, per_page=PER_PAGE, retry_policy=case.retry_policy
    ) as intercom:
        await exporter.export(intercom, path, restart=restart)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}@{','.join(map(str, case.pages))}")
async def test_export_with_a_fault_ends_with_the_exact_bytes_or_as_documented(
    case: Case, memory_path: Path, baseline: dict[str, bytes], tell: Callable[[str, str], None]
) -> None:
    """Once or always, on any page, plain or compressed: no wrong byte is written, and the export can be resumed."""
    row = Row()
    at_once = anyio.CapacityLimiter(2 if case.raw and case.raw.heavy else 12)
    wrong: list[str] = []

    async def cell(times: int, output: str, page: int) -> None:
        folder = memory_path / f"{times}-{page}"
        folder.mkdir(exist_ok=True)
        async with at_once, case.served(page, times) as served:
            result, failure = await outcome(case, served, folder / output, page, baseline[output])
        row.cells[times, output, page] = result
        row.failures |= {type(failure).__name__} if failure else set()
        expected = case.once if times == 1 else case.always
        if type(failure) is not (expected or type(None)) or "≠" in result:
            wrong.append(f"{times} on page {page} into {output}: {result} {failure!r}")

    async with anyio.create_task_group() as tasks:
        for times in (1, ALWAYS):
            for page in case.pages:
                tasks.start_soon(cell, times, PLAIN, page)
            if MIDDLE in case.pages:  # faults come before a page is encoded: one page proves that gzip is resumed, too
                tasks.start_soon(cell, times, GZIP, MIDDLE)
    tell(TABLE, row.line(case.name))
    assert wrong == []


async def outcome(
    case: Case, served: Served, path: Path, page: int, expected: bytes
) -> tuple[str, exporter.ExporterError | None]:
    """Export, and after a failure resume; return the cell and the failure."""
    try:
        await export(case, served, path)
    except exporter.ExporterError as error:
        failure = error
    else:
        return compared(case, path, expected), None
    code = exit_code(failure)
    if code != CODES.get(type(failure)) or not is_prefix(path, page, case, expected):
        return f"{code}≠", failure
    served.fix()
    restarted = ""
    try:
        await export(case, served, path)
    except exporter.ExporterError:
        restarted = "r"
        await export(case, served, path, restart=True)
    right = path.read_bytes() == expected and (not restarted or case.name in NEEDS_RESTART)
    return f"{code}{restarted}" if right else f"{code}≠", failure


def compared(case: Case, path: Path, expected: bytes) -> str:
    """Return the cell of an export that succeeded."""
    written = path.read_bytes()
    if written == expected:
        return "="
    smaller = case.times_out and path.suffix == ".gz"
    return "~" if smaller and gzip.decompress(written) == gzip.decompress(expected) else "≠"


def is_prefix(path: Path, page: int, case: Case, expected: bytes) -> bool:
    """Return whether everything before the fault is committed, exactly, and there is no finished file."""
    part = path.with_name(f"{path.name}.part").read_bytes()
    position = json.loads(path.with_name(f"{path.name}.checkpoint.json").read_bytes())["figures"]["position"]
    before = page - 1 if case.name not in NEEDS_RESTART else position["pages"]
    return (
        len(part) == position["written_bytes"]
        and expected.startswith(part)
        and (position["pages"], position["contacts"]) == (before, before * PER_PAGE)
        and not path.exists()
    )


async def test_unrequested_response_is_never_taken_for_the_next_page() -> None:
    """A response that arrives on an idle connection is not used."""
    async with RawApi() as api:
        third = api.listing.body(2 * PER_PAGE, PER_PAGE)
        unasked = RawFault("", lambda a: [answer(a.page), answer(third)], None, end="keep", pause_s=0.05)
        records: list[bytes] = []
        async with exporter.Intercom("dG9r", base_url=api.stage(unasked, FIRST, 1), per_page=PER_PAGE) as intercom:
            async for page in intercom.pages():
                records += page.records
                await anyio.sleep(0.2)
        assert records == api.listing.workspace.records(0, CONTACTS)


def test_fault_matrix_has_every_fault_of_the_sandbox() -> None:
    """A fault that is added to the sandbox has to be added here."""
    assert set(NAMES) <= {case.name for case in SANDBOX}
