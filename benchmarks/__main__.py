"""The command: ``python -m benchmarks``, ``python -m benchmarks memory``."""

import signal
import sys
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from benchmarks import report
from benchmarks.machine import surroundings
from benchmarks.measuring import Measurement, Unusable, api_json_bytes, measure
from benchmarks.rows import NDJSON, rows_named
from benchmarks.served import SEED, serve

app = App(name="python -m benchmarks", help_format="plaintext", version_flags=[])

Flag = Annotated[bool, Parameter(negative="")]
Count = Annotated[int, Parameter(validator=Number(gte=1))]
Several = Parameter(consume_multiple=True, negative="")


@app.default
def compare(  # noqa: PLR0913 - one option each
    *,
    contacts: Count = 300_000,
    rounds: Count = 3,
    only: Annotated[tuple[str, ...], Several] = (),
    gzip: Flag = False,
    hostile: Flag = False,
    json: Flag = False,
) -> None:
    """Run every row against the same sandbox: speed and memory, medians of several rounds.

    Parameters
    ----------
    contacts
        How many contacts the sandbox has.
    rounds
        How often each row is run; each round runs every row once.
    only
        Names of the rows to run.
    gzip
        Let the sandbox compress its answers.
    hostile
        Let one contact in a thousand hold values that break careless parsers.
    json
        Print lines of JSON, one a measurement, instead of the table.
    """
    rows = rows_named(only)
    measurements = []
    with serve(contacts, gzip=gzip, hostile=hostile) as served:
        json_bytes = api_json_bytes(served)
        if json:
            setting = {"contacts": contacts, "json_bytes": json_bytes, "seed": SEED, "gzip": gzip, "hostile": hostile}
            report.line(**surroundings(), **setting, rounds=rounds)
        for number in range(1, rounds + 1):
            for row in rows:
                measurement = measure(row, served)
                measurements.append(measurement)
                _progress(f"round {number} of {rounds}: {row.name} {measurement.wall_s:.2f} s")
                if json:
                    report.line(round=number, **report.figures(measurement, json_bytes))
    if not json:
        report.comparison(rows, measurements, json_bytes)


@app.command
def memory(
    *, contacts: Annotated[tuple[int, ...], Several] = (30_000, 300_000), gzip: Flag = False, json: Flag = False
) -> None:
    """Show the peak memory of our NDJSON export of small and large workspaces.

    Parameters
    ----------
    contacts
        The workspaces' sizes.
    gzip
        Let the sandbox compress its answers.
    json
        Print lines of JSON, one a measurement, instead of the table.
    """
    if json:
        report.line(**surroundings(), seed=SEED, gzip=gzip)
    measurements: list[Measurement] = []
    for size in contacts:
        with serve(size, gzip=gzip) as served:
            json_bytes = api_json_bytes(served)
            measurements.append(measure(NDJSON, served))
        _progress(f"{size} contacts: {measurements[-1].wall_s:.2f} s")
        if json:
            report.line(**report.figures(measurements[-1], json_bytes))
    if not json:
        report.memory(NDJSON, measurements)


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run the command. A row that failed or lost contacts ends it with exit code 1."""
    # As an exception, so that outputs do not stay behind in memory.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except (Unusable, ValueError) as error:
        sys.exit(f"benchmarks: {error}")


if __name__ == "__main__":
    main()
