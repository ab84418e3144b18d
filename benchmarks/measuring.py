"""One run of one row: a process, what it took, and whether it delivered every contact."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import timed
from benchmarks.rows import RAW_WRITE, Outcome, Row
from benchmarks.served import ROOT, Served

_SHARED_MEMORY = Path("/dev/shm")


class Unusable(Exception):  # noqa: N818 - a finding about a row
    """A row failed, or lost contacts: no figure of it means anything."""


@dataclass(frozen=True)
class Measurement:
    """What one run of a row took.

    Attributes:
        row: its name.
        contacts: contacts it delivered, as counted by us.
        wall_s: seconds from its start to its exit.
        cpu_s: seconds of CPU, user and system, it and its children used.
        peak_rss_bytes: most memory resident at once, of its largest process.
    """

    row: str
    contacts: int
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder in memory if there is one, so that no disk is measured; it is removed afterwards."""
    parent = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=parent) as folder:
        yield Path(folder)


def measure(row: Row, served: Served) -> Measurement:
    """Run a row once.

    Raises:
        Unusable: it failed, or did not deliver exactly the contacts there are.
    """
    with scratch() as folder:
        return _measure(row, served, folder)


def api_json_bytes(served: Served) -> int:
    """Return how many bytes of JSON all pages are together, and warm the server up on the way.

    Raises:
        Unusable: they do not hold the contacts they should.
    """
    with scratch() as folder:
        _measure(RAW_WRITE, served, folder)
        return (folder / RAW_WRITE.output).stat().st_size


def _measure(row: Row, served: Served, folder: Path) -> Measurement:
    output = folder / row.output
    command = [part.format(base_url=served.base_url, output=output) for part in row.command]
    _run(command, row.reader, served, folder)
    figures = (folder / "report").read_text(encoding="utf-8").split() if (folder / "report").exists() else []
    if not figures or figures[-1] != "0":
        raise Unusable(f"{row.name} failed: {(folder / 'stderr').read_text(errors='replace')[-2000:]}")
    wall_s, cpu_s, peak = float(figures[0]), float(figures[1]), int(figures[2])
    contacts = row.count(Outcome(output, (folder / "stdout").read_text(encoding="utf-8")))
    if contacts != served.contacts:
        raise Unusable(f"{row.name} delivered {contacts} contacts of {served.contacts}")
    return Measurement(row.name, contacts, wall_s, cpu_s, peak)


def _run(command: list[str], reader: tuple[str, ...], served: Served, folder: Path) -> None:
    """Run a command to its end, its stdout going to a reader if there is one, else into a file."""
    launcher = [sys.executable, "-I", "-S", timed.__file__, str(folder / "report"), *command]
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
        if reader:
            subprocess.run(reader, stdin=process.stdout, stdout=stdout, check=True)
