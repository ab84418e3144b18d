"""One run of one program: a process, its time and memory, and a check that it delivered every contact."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import timed
from benchmarks.rows import Outcome, Row
from benchmarks.served import ROOT, Served

_SHARED_MEMORY = Path("/dev/shm")
_SAID_CHARACTERS = 2_000
CONTACT_BYTES = 2_700
"""Approximate size of a contact in a page, to choose a folder with enough space."""


class Unusable(Exception):  # noqa: N818 - a result, not an error of the benchmarks
    """A program failed or lost contacts: its measurements are invalid."""


@dataclass(frozen=True)
class Usage:
    """The measurements of one process.

    Attributes:
        wall_s: seconds from its start to its exit.
        cpu_s: seconds of CPU time, user and system, with its children.
        peak_rss_bytes: peak resident memory of its largest process.
        exit_code: its exit code.
    """

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    exit_code: int


@dataclass(frozen=True)
class Measurement:
    """The measurements of one run of a job.

    Attributes:
        contacts: contacts that it delivered, counted by the benchmarks.
        wall_s: seconds from its start to its exit.
        cpu_s: seconds of CPU time, user and system, with its children.
        peak_rss_bytes: peak resident memory of its largest process.
        figures: further measurements of the job, by name with unit.
    """

    contacts: int
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    figures: Mapping[str, float] = field(default_factory=dict)


@contextmanager
def scratch(room_bytes: int = 0) -> Iterator[Path]:
    """Yield a temporary folder, in memory if it has enough space, so that the disk is not measured."""
    in_memory = _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free >= room_bytes
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=_SHARED_MEMORY if in_memory else None) as folder:
        yield Path(folder)


def measure(row: Row, served: Served) -> Measurement:
    """Run a program once.

    Raises:
        Unusable: it failed, or did not deliver exactly the contacts of the workspace.
    """
    with scratch(served.contacts * CONTACT_BYTES) as folder:
        output = folder / row.output
        command = [part.format(base_url=served.base_url, output=output) for part in row.command]
        usage = run_timed(command, served, folder, row.reader)
        if usage is None or usage.exit_code:
            raise Unusable(f"{row.name} failed: {said(folder)}")
        outcome = Outcome(output, folder / "stdout")
        contacts, figures = row.count(outcome), row.figures(outcome)
    check_contacts(row.name, contacts, served)
    return Measurement(contacts, usage.wall_s, usage.cpu_s, usage.peak_rss_bytes, figures)


def run_timed(command: Sequence[str], served: Served, folder: Path, reader: Sequence[str] = ()) -> Usage | None:
    """Run a command to its end; its stdout goes to its reader, or without a reader to a file in the folder.

    Returns:
        Its measurements; None if it could not be started, or its reader failed.
    """
    report = folder / "report"
    report.unlink(missing_ok=True)
    launcher = [sys.executable, "-I", "-S", timed.__file__, str(report), *command]
    with (
        (folder / "stdout").open("wb") as stdout,
        (folder / "stderr").open("wb") as stderr,
        subprocess.Popen(
            launcher,
            cwd=ROOT,
            env=served.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if reader else stdout,
            stderr=stderr,
        ) as process,
    ):
        reading = (
            subprocess.run(reader, stdin=process.stdout, stdout=stdout, stderr=stderr, check=False) if reader else None
        )
    if not report.exists() or (reading and reading.returncode):
        return None
    wall_s, cpu_s, peak, exit_code = report.read_text(encoding="ascii").split()
    return Usage(float(wall_s), float(cpu_s), int(peak), int(exit_code))


def said(folder: Path) -> str:
    """Return the end of the stderr of a command."""
    return (folder / "stderr").read_text(encoding="utf-8", errors="replace")[-_SAID_CHARACTERS:]


def check_contacts(name: str, contacts: int, served: Served) -> None:
    """Check that all contacts were delivered.

    Raises:
        Unusable: some were not.
    """
    if contacts != served.contacts:
        raise Unusable(f"{name} delivered {contacts} contacts of {served.contacts}")
