"""The results of a run with its targets: a table on the terminal, and a page with plots."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks import rows
from benchmarks.jobs import Job, jobs_for
from benchmarks.machine import PEERS
from benchmarks.results import Results
from benchmarks.targets import Target, targets_for

HEADINGS = ("job", "what", "seconds", "contacts/s", "MB/s", "peak MB", "target", "reached", "met")
_MB = 1_000_000
_COLUMNS = 170
_TEXT = {"job", "what", "target", "met"}


class Verdict(NamedTuple):
    """A target, and the reached value; None if it was not measured."""

    target: Target
    reached: float | None

    @property
    def word(self) -> str:
        """Whether the target is met; None if it was not measured."""
        if self.reached is None:
            return "?"
        if self.target.met(self.reached):
            return "yes"
        return "no" if self.target.expected else "NO"

    def cells(self) -> tuple[str, str, str]:
        """Return the last columns of the table."""
        return self.target.text(), "-" if self.reached is None else f"{self.reached:.2f}", self.word


class Entry(NamedTuple):
    """The lines of a job: one for each of its targets, at least one."""

    section: str
    lines: Sequence[tuple[str, ...]]


def verdicts(results: Results) -> list[Verdict]:
    """Return the result of every target whose job was measured."""
    targets = [target for target in targets_for(results.scale) if target.line in results.measured]
    return [Verdict(target, target.reached(results.figure)) for target in targets]


def entries(results: Results) -> Iterator[Entry]:
    """Return the lines of the table: the medians and the targets of each job."""
    judged = verdicts(results)
    for job in jobs_for(results.scale):
        if job.name in results.measured:
            own = [verdict.cells() for verdict in judged if verdict.target.line == job.name] or [("", "", "")]
            blank = ("",) * len(_figures(job, results))
            yield Entry(job.section, [(*(blank if n else _figures(job, results)), *end) for n, end in enumerate(own)])


def _figures(job: Job, results: Results) -> tuple[str, ...]:
    def shown(name: str, spelling: str, scale: float = 1) -> str:
        value = results.figure(job.name, name)
        return "-" if value is None else format(value / scale, spelling)

    speed = shown("contacts_per_s", ",.0f"), shown("json_mb_per_s", ",.0f")
    return job.name, job.does, shown("wall_s", ".2f"), *speed, shown("peak_rss_bytes", ".1f", _MB)


def print_table(results: Results) -> None:
    """Print the table."""
    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in _TEXT else "right", no_wrap=heading == "job")
    section = ""
    for entry in entries(results):
        if section and entry.section != section:
            table.add_section()
        section = entry.section
        for line in entry.lines:
            table.add_row(*line)
    console = Console(highlight=False)
    if not console.is_terminal:  # without a terminal rich assumes 80 columns, and wraps the rows
        console.width = _COLUMNS
    console.print(_caption(results), table)
    words = Counter(verdict.word for verdict in verdicts(results))
    console.print(f"targets: {words['yes']} met, {words['NO']} missed, {words['?']} not measured")


def _caption(results: Results) -> str:
    rounds = " or ".join(map(str, sorted({len(lines) for lines in results.measured.values()})))
    scale = results.scale
    caption = f"{scale.contacts:,} contacts, {scale.slow_contacts:,} for {_names(rows.PEERS)}, median of {rounds}"
    extras = {"answers in gzip": scale.gzip, "some contacts hostile": scale.hostile}
    return ", ".join((caption, *(extra for extra, holds in extras.items() if holds)))


def _names(several: Sequence[rows.Row]) -> str:
    return ", ".join(row.name for row in several[:-1]) + f" and {several[-1].name}"


def page(results: Results, missed: str) -> str:
    """Return the page.

    Args:
        results: the run.
        missed: notes about missed targets.
    """
    return (
        "\n\n".join(
            (
                "# Results",
                "Made by `python -m benchmarks report`. What each job is, and how to read it: [README.md](README.md).",
                "![contacts a second of each tool](speed.svg)",
                "![peak memory by the workspace's size](memory.svg)",
                *(["![contacts a second by the number of cursors](cursors.svg)"] if results.scale.cursors else []),
                _caption(results) + ":",
                _markdown(results),
                *_about_missed(results, missed),
                *_origin(results),
            )
        )
        + "\n"
    )


def _markdown(results: Results) -> str:
    lines = [HEADINGS, tuple("---" if heading in _TEXT else "---:" for heading in HEADINGS)]
    lines += (line for entry in entries(results) for line in entry.lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _about_missed(results: Results, missed: str) -> Iterator[str]:
    judged = verdicts(results)
    short = [verdict for verdict in judged if verdict.word == "NO"]
    yield "## Missed targets"
    if short:
        yield "\n".join(f"- `{one.target.line}`: {one.target.text()}, reached {one.reached:.2f}" for one in short)
    else:
        yield f"None of {len(judged)}."
    if short and missed.strip():
        yield missed.strip()


def _origin(results: Results) -> Iterator[str]:
    heading, machine = results.heading, results.heading["machine"]
    yield "## Where and how"
    versions = {name: number or "missing" for name, number in heading["versions"].items()}
    yield "\n".join(
        (
            f"- {_when(heading)}",
            *(f"- {_when(later)}: `{later['command']}`" for later in results.later),
            "- {cores} cores, {cpu}, {memory_bytes:,} bytes of memory, {system}".format_map(machine),
            "- ours: " + ", ".join(f"{name} {versions[name]}" for name in versions if name not in PEERS),
            "- others: " + ", ".join(f"{name} {versions[name]}" for name in PEERS),
        )
    )
    yield f"```sh\n{heading['command']}\npython -m benchmarks report\n```"


def _when(heading: Mapping[str, Any]) -> str:
    changed = ", with changes" if heading["changed"] else ""
    return f"{heading['started_at']}, commit {heading['commit'] or 'unknown'}{changed}"


def write_page(results: Results, folder: Path) -> None:
    """Write the page and its plots to a folder, with the notes about missed targets in it.

    Raises:
        ValueError: the run lacks a job that the page shows.
    """
    from benchmarks import plots  # noqa: PLC0415 - drawing takes seconds to import

    if left_out := [job.name for job in jobs_for(results.scale) if job.name not in results.measured]:
        raise ValueError(f"the run has no {', '.join(left_out)}")
    notes = folder / "MISSED.md"
    text = page(results, notes.read_text(encoding="utf-8") if notes.exists() else "")
    (folder / "RESULTS.md").write_text(text, encoding="utf-8")
    plots.draw_speed(results, folder / "speed.svg")
    plots.draw_memory(results, folder / "memory.svg")
    plots.draw_cursors(results, folder / "cursors.svg")
