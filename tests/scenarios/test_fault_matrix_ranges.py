"""Every fault at every kind of request of an export with several cursors: the exact bytes, or a documented end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest

import exporter
from exporter.cli.exit_codes import exit_code
from exporter.sandbox.faults import NAMES, Fault, FaultPlan
from tests.scenarios.test_fault_matrix import CODES
from tests.support.ranges import client_of, data_files, sandbox_of

Failure: TypeAlias = type[exporter.ExporterError]
CONTACTS, PER_PAGE, CURSORS = 240, 10, 3
ONCE, ALWAYS = 1, 1_000
PLACES = {"first": 0.0, "plan": 0.15, "pages": 0.5, "late pages": 0.8, "end": 1.0}
"""Which of all requests for contacts the fault affects first: 0 is the first one and 1 the last."""


@dataclass(frozen=True)
class Case:
    """A fault, and the errors that may end an export: if it occurs once, and if it occurs from then on."""

    name: str
    once: tuple[Failure, ...]
    always: tuple[Failure, ...]

    @property
    def retry_policy(self) -> exporter.RetryPolicy:
        """Return the client's retry policy: a short time-out where the fault is silence."""
        timeout_s = 0.4 if self.name == "slow" else 30.0
        return exporter.RetryPolicy(request_timeout_s=timeout_s, initial_backoff_s=0.001, max_attempts=3)


def transient(*names: str) -> list[Case]:
    """Return faults that are retried: once they do no harm."""
    return [Case(name, (), (exporter.RetriesExhausted,)) for name in names]


CASES = [
    *transient("http_500", "http_502", "http_503", "http_504", "http_408", "http_429", "reset", "slow"),
    Case("truncate", (), (exporter.RetriesExhausted, exporter.ContractError)),
    *(Case(name, (), (exporter.ContractError,)) for name in ("empty_200", "html_200")),
    *(Case(name, (exporter.CredentialsError,), (exporter.CredentialsError,)) for name in ("http_401", "http_403")),
    *(Case(name, (exporter.ApiError,), (exporter.ApiError,)) for name in ("http_400", "http_422")),
    # A cursor that the API does not know any more costs its range alone.
    *(
        Case(name, (exporter.ApiError,), (exporter.ApiError, exporter.CheckpointError))
        for name in ("http_404", "http_410")
    ),
    Case("cursor_loop", (exporter.ContractError,), (exporter.ContractError,)),
]


@dataclass
class RepeatedFault(FaultPlan):
    """The same fault at many requests in a row, counted from the first request."""

    fault: Fault = field(default_factory=lambda: Fault("reset"))
    first: int = 0
    times: int = 0

    def next_fault(self, page: int) -> Fault | None:
        """Count one request for a page, and return its fault."""
        super().next_fault(page)
        if not self.first <= self.requests < self.first + self.times:
            return None
        self._injected[self.fault] = self.injected_count(self.fault) + 1
        return self.fault


async def export(sandbox: exporter.Sandbox, case: Case, folder: Path, *, restart: bool = False) -> None:
    """Export with a client of its own, as another process would."""
    async with client_of(sandbox, per_page=PER_PAGE, retry_policy=case.retry_policy) as intercom:
        await exporter.export(
            intercom,
            f"{folder}/",
            cursors=CURSORS,
            settle_s=0,
            file_format="ndjson",
            checkpoint_every_s=0,
            restart=restart,
        )


@pytest.fixture(autouse=True)
def _small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.source.planner._MIN_CONTACTS", 20)


@dataclass
class Matrix:
    """The exports with one fault, and what must be in their folders at the end."""

    case: Case
    folder: Path
    expected: dict[str, bytes]
    requests: int
    wrong: list[str] = field(default_factory=list)
    cells: dict[tuple[str, int], str] = field(default_factory=dict)

    async def fill(self, place: str, times: int) -> None:
        """Export with the fault from one place on, resume without it, and check the result."""
        case, first = self.case, 1 + round(PLACES[place] * (self.requests - 1))
        folder = self.folder / f"{first}-{times}"
        async with sandbox_of(CONTACTS, "second", slow_s=60) as sandbox:
            sandbox.faults = RepeatedFault(fault=Fault(case.name), first=first, times=times)
            failure = await export_until_error(sandbox, case, folder)
            sandbox.faults = FaultPlan()
            cell = self.cells[place, times] = await resume_and_describe(sandbox, case, folder, failure)
        allowed = case.once if times == ONCE else case.always
        may_succeed = times == ONCE or (case.name, place) == ("cursor_loop", "end")  # no page follows there
        is_right = type(failure) in allowed if failure else may_succeed
        if not is_right or data_files(folder) != self.expected:
            self.wrong.append(f"{times} from request {first} ({place}): {cell} {failure!r}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_export_with_several_cursors_and_a_fault_ends_with_the_exact_bytes_or_as_documented(
    case: Case, memory_path: Path, tell: Callable[[str, str], None]
) -> None:
    """Once or again and again, from the first request to the last: no wrong byte, and the same command resumes."""
    async with sandbox_of(CONTACTS, "second", slow_s=60) as sandbox:
        await export(sandbox, case, memory_path / "calm")
        matrix = Matrix(case, memory_path, data_files(memory_path / "calm"), sandbox.faults.requests)
    assert len(matrix.expected) >= CURSORS
    async with anyio.create_task_group() as tasks:
        for place in PLACES:
            for times in (ONCE, ALWAYS):
                tasks.start_soon(matrix.fill, place, times)
    line = "   ".join(" ".join(f"{matrix.cells[place, times]:2}" for place in PLACES) for times in (ONCE, ALWAYS))
    tell("Several cursors: every fault once and always, from the first request to the last", f"{case.name:12}{line}")
    assert matrix.wrong == []


async def export_until_error(sandbox: exporter.Sandbox, case: Case, folder: Path) -> exporter.ExporterError | None:
    """Export, and return the error with which it ended; check that nothing says it is complete."""
    failure = None
    try:
        await export(sandbox, case, folder)
    except exporter.ExporterError as error:
        failure = error
    if failure:
        assert exit_code(failure) == CODES[type(failure)], repr(failure)
        assert "\n" not in str(failure)
    assert (folder / "_manifest.json").exists() is (failure is None)
    return failure


async def resume_and_describe(
    sandbox: exporter.Sandbox, case: Case, folder: Path, failure: exporter.ExporterError | None
) -> str:
    """Resume an export that failed, and return the cell of the table; only a wrong cursor may need more than that."""
    if failure is None:
        return "="
    try:
        await export(sandbox, case, folder)
    except exporter.ExporterError:
        assert case.name == "cursor_loop"
        await export(sandbox, case, folder, restart=True)
        return f"{exit_code(failure)}r"
    return f"{exit_code(failure)}"


def test_fault_matrix_of_ranges_has_every_fault_of_the_sandbox() -> None:
    """A fault that is added to the sandbox has to be added here."""
    assert set(NAMES) <= {case.name for case in CASES}
