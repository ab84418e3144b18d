"""Kill exports at random moments: ``python -m benchmarks.kills --kills 1000 --seed 1``.

Each export is killed with SIGKILL and started again with the same command until
it is finished. Then it is compared, contact by contact, with an uninterrupted
export, and the next one begins in the next format. The last line counts lost,
repeated and changed contacts; the exit code is 1 unless all three are 0.
"""

import argparse
import gzip
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Unusable, scratch
from benchmarks.served import ROOT, Served, serve

_GLANCE_S = 0.00005
_LINGER_S = 0.001
_MOST_RUN_S = 300
_COLUMNS = 120
PHASES = ("nothing yet", "resuming", "writing", "finishing", "finished")
"""The phases in which a kill can happen: before a checkpoint, before the first commit of a run, after it, after the
last contact, and after the manifest."""


@dataclass(frozen=True)
class Kind:
    """A kind of output.

    Attributes:
        name: its name in the table.
        output: name of the file, or of the folder with a slash.
        options: options of the command.
    """

    name: str
    output: str
    options: tuple[str, ...] = ()

    def side_file(self, name: str, folder: Path) -> Path:
        """Return the path of the checkpoint or the manifest in a folder."""
        return folder / (f"{self.output}_{name}.json" if self.output.endswith("/") else f"{self.output}.{name}.json")


KINDS = (
    Kind("plain", "contacts.ndjson"),
    Kind("gzip", "contacts.ndjson.gz"),
    Kind("parts", "parts/", ("--format", "ndjson.gz", "--part-contacts", "3000")),
    Kind("ranges", "ranges/", ("--format", "ndjson.gz", "--cursors", "3", "--settle", "0")),
)


@dataclass(frozen=True)
class Calm:
    """An uninterrupted export.

    Attributes:
        files: its data files, by name.
        lines: its lines, by the contact's id.
        wall_s: seconds that it took.
    """

    files: Mapping[str, bytes]
    lines: Mapping[str, bytes]
    wall_s: float


@dataclass
class Score:
    """The results of the exports of one kind."""

    exports: int = 0
    runs: int = 0
    hit: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


class Killer:
    """Runs exports of one kind in a folder, and kills them.

    Args:
        kind: kind of output.
        served: the server of the workspace.
        folder: an empty folder.
        moments: random generator for the moments of the kills.
    """

    def __init__(self, kind: Kind, served: Served, folder: Path, moments: random.Random) -> None:
        self.kind = kind
        self.score = Score()
        self._served = served
        self._folder = folder
        self._moments = moments
        folder.mkdir()
        began_at = time.perf_counter()
        self._end(self._start())
        wall_s, files = time.perf_counter() - began_at, files_in(folder)
        self._calm = Calm(files, dict(lines_of(files)), wall_s)
        self._empty()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "exporter", "contacts", "--quiet", "--base-url", self._served.base_url]
        command += ["--output", f"{self._folder}/{self.kind.output}", "--checkpoint-every", "0.05", *self.kind.options]
        self.score.runs += 1
        return subprocess.Popen(
            command, cwd=ROOT, env=self._served.environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the successful end of a run."""
        _, said = process.communicate(timeout=_MOST_RUN_S)
        if process.returncode or said:
            raise Unusable(f"{self.kind.name} ended with {process.returncode}: {said.decode(errors='replace')}")

    def kill_once(self) -> bool:
        """Kill a run at a random moment. Return whether it ended before; then compare the export."""
        before = self._checkpoint()
        process = self._start()
        self._wait(process)
        process.kill()
        if process.wait() != -signal.SIGKILL:
            self._end(process)
            self._compare()
            return True
        _, said = process.communicate()
        if said:
            raise Unusable(f"{self.kind.name} said {said.decode(errors='replace')}")
        self.score.hit[self._phase(before)] += 1
        return False

    def finish(self) -> None:
        """Finish the export, and compare it."""
        self._end(self._start())
        self._compare()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for a random moment: of the whole run, of its start, or of its end."""
        whole_s = self._calm.wall_s
        match self._moments.choices(("anywhere", "start", "end"), (2, 1, 1))[0]:
            case "anywhere":
                _wait_for(process, self._moments.uniform(0, 0.9 * whole_s))
            case "start":
                _wait_for(process, self._moments.uniform(whole_s / 5, whole_s / 2))
            case _:
                while process.poll() is None and not self._is_written():
                    time.sleep(_GLANCE_S)
                time.sleep(self._moments.uniform(0, _LINGER_S))

    def _is_written(self) -> bool:
        """Whether the last data file has all its bytes, also before it gets its final name."""
        name, content = max(self._calm.files.items())
        file = self._folder / name
        for path in (file.with_name(f"{file.name}.part"), file.with_name(f"_{file.name}.part"), file):
            with suppress(FileNotFoundError):
                return path.stat().st_size == len(content)
        return False

    def _checkpoint(self) -> bytes | None:
        path = self.kind.side_file("checkpoint", self._folder)
        return path.read_bytes() if path.exists() else None

    def _phase(self, before: bytes | None) -> str:
        """Return the phase in which a kill happened."""
        now = self._checkpoint()
        if now is None:
            return PHASES[4] if self.kind.side_file("manifest", self._folder).exists() else PHASES[0]
        checkpoint = json.loads(now)
        totals = checkpoint.get("figures") or checkpoint["totals"]  # of the list, or of ranges
        if totals["position"]["reached_end"]:
            return PHASES[3]
        return PHASES[1] if now == before else PHASES[2]

    def _compare(self) -> None:
        """Compare the finished export with the uninterrupted one, and remove it."""
        files = files_in(self._folder)
        wrong = differences(self._calm.lines, lines_of(files))
        if not any(wrong.values()) and files != self._calm.files:
            raise Unusable(f"{self.kind.name} has other bytes, or other files: {sorted(files)}")
        self.score.wrong.update(wrong)
        self.score.exports += 1
        self._empty()

    def _empty(self) -> None:
        """Remove a finished export, and check that no other file is left."""
        for name in files_in(self._folder):
            (self._folder / name).unlink()
        self.kind.side_file("manifest", self._folder).unlink()
        self.kind.side_file("plan", self._folder).unlink(missing_ok=True)
        for path in self._folder.rglob("*"):
            if not path.is_dir():
                raise Unusable(f"{self.kind.name} left {path.name} behind")


def _wait_for(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the contents of the finished data files in a folder."""
    paths = (path for path in sorted(folder.rglob("*")) if path.name.endswith((".ndjson", ".ndjson.gz")))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def lines_of(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the id and the line of each contact, in order."""
    for name, content in files.items():
        for line in (gzip.decompress(content) if name.endswith(".gz") else content).splitlines():
            yield orjson.loads(line)["id"], line


def differences(expected: Mapping[str, bytes], lines: Iterator[tuple[str, bytes]]) -> Counter[str]:
    """Count lost, repeated and changed contacts."""
    wrong, seen = Counter(lost=0, repeated=0, changed=0), set()
    for contact, line in lines:
        wrong["repeated"] += contact in seen
        wrong["changed"] += line != expected.get(contact)
        seen.add(contact)
    wrong["lost"] = len(expected.keys() - seen)
    return wrong


def torment(killers: list[Killer], kills: int) -> None:
    """Kill exports so many times, one kind after the other, and finish the last ones."""
    unfinished: set[int] = set()
    turn = 0
    while sum(killer.score.hit.total() for killer in killers) < kills:
        which = turn % len(killers)
        ended = killers[which].kill_once()
        (unfinished.discard if ended else unfinished.add)(which)
        turn += ended
    for which in unfinished:
        killers[which].finish()


def report(scores: Mapping[str, Score]) -> None:
    """Print the table of phases, and the last line."""
    table = Table()
    table.add_column("output")
    for heading in ("exports", "runs", "kills", *PHASES, "lost", "repeated", "changed"):
        table.add_column(heading, justify="right")
    for name, score in scores.items():
        figures = score.exports, score.runs, score.hit.total(), *(score.hit[phase] for phase in PHASES)
        table.add_row(name, *map(str, (*figures, *(score.wrong[key] for key in ("lost", "repeated", "changed")))))
    Console(width=_COLUMNS).print(table)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--contacts", type=int, default=20_000)
    parser.add_argument("--only", choices=[kind.name for kind in KINDS], help="one kind of output")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    moments = random.Random(options.seed)
    began_at = time.perf_counter()
    try:
        with serve(options.contacts) as served, scratch() as folder:
            killers = [
                Killer(kind, served, folder / kind.name, moments) for kind in KINDS if options.only in (None, kind.name)
            ]
            torment(killers, options.kills)
    except Unusable as error:
        sys.exit(f"benchmarks.kills: {error}")
    report({killer.kind.name: killer.score for killer in killers})
    wrong = sum((killer.score.wrong for killer in killers), Counter())
    print(f"{options.contacts} contacts an export, {time.perf_counter() - began_at:.0f} s")
    print(", ".join(f"{key} {wrong[key]}" for key in ("lost", "repeated", "changed")))
    sys.exit(1 if wrong.total() else 0)


if __name__ == "__main__":
    main()
