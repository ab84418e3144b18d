"""Every fault, on every kind of page, into every kind of file: the exact bytes, or the documented end and a way on."""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

import exporter
from exporter.cli.exits import exit_code
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
OUTPUTS = ("contacts.ndjson", "contacts.ndjson.gz")
PAGES = (FIRST, MIDDLE, LAST)
ALWAYS = 1_000
CODES: dict[Failure, int] = {
    exporter.CredentialsError: 3,
    exporter.ApiError: 4,
    exporter.ContractError: 4,
    exporter.RetriesExhausted: 4,
    exporter.CheckpointError: 6,
}
BEGINS_ANEW = ("cursor that leads nowhere", "cursor of this page", "cursor of the page before", "cursor_loop")
"""After these an unfinished export may hold a cursor that leads wrong, and needs ``restart``."""


@dataclass(frozen=True)
class Case:
    """A fault of the sandbox or of the raw server, and how an export ends that meets it once or always."""

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
        """Return what the client is to bear: little where the fault is silence."""
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
    """A running server, and how to mend it."""

    base_url: str
    token: str
    mend: Callable[[], None] = lambda: None


def passing(*names: str) -> list[Case]:
    """List faults that pass when they strike once."""
    return [Case(name, None, exporter.RetriesExhausted) for name in names]


def lasting(failure: Failure, *names: str, pages: tuple[int, ...] = PAGES) -> list[Case]:
    """List faults that are not tried again."""
    return [Case(name, failure, failure, pages) for name in names]


SANDBOX = [
    *passing("http_500", "http_502", "http_503", "http_504", "http_408", "http_429", "reset", "truncate"),
    Case("slow", None, exporter.RetriesExhausted, (FIRST,)),
    Case("slow", None, None, (MIDDLE, LAST)),  # smaller pages have other numbers: the fault does not meet them
    *(Case(name, None, exporter.ContractError) for name in ("empty_200", "html_200")),
    *lasting(exporter.CredentialsError, "http_401", "http_403"),
    *lasting(exporter.ApiError, "http_400", "http_422"),
    *lasting(exporter.ApiError, "http_404", "http_410", pages=(FIRST,)),
    *lasting(exporter.CheckpointError, "http_404", "http_410", pages=(MIDDLE, LAST)),  # those are the cursor's end
    *lasting(exporter.ContractError, "cursor_loop"),
]
RAW = [Case(fault.name, fault.once, fault.lasting, raw=fault) for fault in FAULTS]
CASES = [*SANDBOX, *RAW]


@dataclass
class Row:
    """What became of the exports that met one fault: a line of the table."""

    cells: dict[tuple[int, str, int], str] = field(default_factory=dict)
    failures: set[str] = field(default_factory=set)

    def line(self, name: str) -> str:
        """Give the line."""
        groups = [
            " ".join(f"{self.cells.get((times, output, page), '·'):2}" for page in PAGES)
            for times in (1, ALWAYS)
            for output in OUTPUTS
        ]
        return f"{name:28}{groups[0]}  {groups[1]}   {groups[2]}  {groups[3]}  {', '.join(sorted(self.failures))}"


TABLE = f"""Every fault, met once or always, on the first, a middle and the last page
= exact bytes; ~ the same lines in more gzip members, as pages got smaller;
a digit: that exit code, and then the exact bytes by the same command (r: by --restart);
≠ other bytes than it should be; · there is no such case.
{"":28}{"met once":21}met always
{"":28}{"plain":10}{"gzip":11}{"plain":10}gzip"""
CALM: dict[str, bytes] = {}


@pytest.fixture
async def calm(tmp_path: Path, lines_of: Lines) -> dict[str, bytes]:
    """Give the bytes of an undisturbed export, by the output's name."""
    if not CALM:
        async with exporter.Sandbox(CONTACTS, hostile=True) as sandbox:
            for name in OUTPUTS:
                await export(Case("", None, None), Served(sandbox.base_url, sandbox.token), tmp_path / name)
                CALM[name] = (tmp_path / name).read_bytes()
            plain = lines_of(sandbox.workspace.records(0, CONTACTS))
        assert [CALM[OUTPUTS[0]], gzip.decompress(CALM[OUTPUTS[1]])] == [plain, plain]
    return CALM


async def export(case: Case, served: Served, path: Path, *, restart: bool = False) -> None:
    """Export with a client of its own, as another process would."""
    async with exporter.Intercom(
        served.token, base_url=served.base_url, per_page=PER_PAGE, retry_policy=case.retry_policy
    ) as intercom:
        await exporter.export(intercom, path, restart=restart)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}@{','.join(map(str, case.pages))}")
async def test_a_fault_ends_in_the_exact_bytes_or_as_documented(
    case: Case, tmp_path: Path, calm: dict[str, bytes], tell: Callable[[str, str], None]
) -> None:
    """Struck once or always, on any page, plain or compressed: nothing wrong is written, and the way on is open."""
    row = Row()
    at_once = anyio.CapacityLimiter(2 if case.raw and case.raw.heavy else 12)
    wrong: list[str] = []

    async def cell(times: int, output: str, page: int) -> None:
        folder = tmp_path / f"{times}-{page}"
        folder.mkdir(exist_ok=True)
        async with at_once, case.served(page, times) as served:
            said, failure = await outcome(case, served, folder / output, page, calm[output])
        row.cells[times, output, page] = said
        row.failures |= {type(failure).__name__} if failure else set()
        expected = case.once if times == 1 else case.always
        if type(failure) is not (expected or type(None)) or "≠" in said:
            wrong.append(f"{times} on page {page} into {output}: {said} {failure!r}")

    async with anyio.create_task_group() as tasks:
        for times in (1, ALWAYS):
            for output in OUTPUTS:
                for page in case.pages:
                    tasks.start_soon(cell, times, output, page)
    tell(TABLE, row.line(case.name))
    assert wrong == []


async def outcome(
    case: Case, served: Served, path: Path, page: int, calm: bytes
) -> tuple[str, exporter.ExporterError | None]:
    """Export, and after a failure go on; give the cell and the failure."""
    try:
        await export(case, served, path)
    except exporter.ExporterError as error:
        failure = error
    else:
        return compared(case, path, calm), None
    code = exit_code(failure)
    if code != CODES.get(type(failure)) or not is_prefix(path, page, case, calm):
        return f"{code}≠", failure
    served.mend()
    anew = ""
    try:
        await export(case, served, path)
    except exporter.ExporterError:
        anew = "r"
        await export(case, served, path, restart=True)
    right = path.read_bytes() == calm and (not anew or case.name in BEGINS_ANEW)
    return f"{code}{anew}" if right else f"{code}≠", failure


def compared(case: Case, path: Path, calm: bytes) -> str:
    """Return the cell of an export that succeeded."""
    written = path.read_bytes()
    if written == calm:
        return "="
    smaller = case.times_out and path.suffix == ".gz"
    return "~" if smaller and gzip.decompress(written) == gzip.decompress(calm) else "≠"


def is_prefix(path: Path, page: int, case: Case, calm: bytes) -> bool:
    """Whether everything before the fault is committed, exactly, and no finished file has appeared."""
    part = path.with_name(f"{path.name}.part").read_bytes()
    position = json.loads(path.with_name(f"{path.name}.checkpoint.json").read_bytes())["figures"]["position"]
    before = page - 1 if case.name not in BEGINS_ANEW else position["pages"]
    return (
        len(part) == position["written_bytes"]
        and calm.startswith(part)
        and (position["pages"], position["contacts"]) == (before, before * PER_PAGE)
        and not path.exists()
    )


async def test_an_answer_that_nobody_asked_for_is_no_page() -> None:
    """What a server sends while nothing is asked of it is never taken for the next page."""
    async with RawApi() as api:
        third = api.listing.body(2 * PER_PAGE, PER_PAGE)
        unasked = RawFault("", lambda a: [answer(a.page), answer(third)], None, end="keep", pause_s=0.05)
        records: list[bytes] = []
        async with exporter.Intercom("dG9r", base_url=api.stage(unasked, FIRST, 1), per_page=PER_PAGE) as intercom:
            async for page in intercom.pages():
                records += page.records
                await anyio.sleep(0.2)
        assert records == api.listing.workspace.records(0, CONTACTS)


def test_every_fault_of_the_sandbox_is_among_them() -> None:
    """A fault that the sandbox learns has to be added here."""
    assert set(NAMES) <= {case.name for case in SANDBOX}
