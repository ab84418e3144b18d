"""Measure the time from the last byte of a response to the next request: ``python -m benchmarks.gaps``.

The replay server measures it at its socket, so it includes the time to wake up both
sides. The first line shows how much that is: it is a client that does almost nothing.
"""

import argparse
import math
import signal
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.measuring import scratch
from benchmarks.recording import Recording, record
from benchmarks.served import ROOT, replay, serve

FLOOR = (sys.executable, "-m", "benchmarks.raw_socket", "{base_url}")
OURS = (sys.executable, "-m", "exporter", "contacts", "--quiet", "--base-url", "{base_url}", "--output", "{output}")


def gaps_of(recording: Recording, command: Sequence[str] = OURS) -> list[float]:
    """Let a client fetch a recording once.

    Args:
        recording: the recording to serve; some hundreds of pages take seconds.
        command: command of the client, by default ours; ``{base_url}`` and ``{output}`` are replaced.

    Returns:
        The seconds between the last byte of each response and the first byte of the next request, ascending: one
        value fewer than pages.

    Raises:
        CalledProcessError: the client failed.
        ValueError: the client did not request every page once.
    """
    with scratch() as folder:
        gaps = folder / "gaps"
        with replay(recording, gaps=gaps) as served:
            filled = [part.format(base_url=served.base_url, output=folder / "contacts.ndjson") for part in command]
            environment = served.environment()
            subprocess.run(
                filled, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True
            )
        measured = sorted(map(float, gaps.read_text(encoding="ascii").split()))
    if len(measured) != recording.pages - 1:
        raise ValueError(f"{len(measured)} gaps between {recording.pages} pages")
    return measured


def percentile(ascending: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least so many percent of the values do not exceed.

    Raises:
        ValueError: there are no values.
    """
    if not ascending:
        raise ValueError("no percentile of nothing: a recording of one page has no gaps")
    return ascending[max(math.ceil(len(ascending) * percent / 100) - 1, 0)]


def p50(ascending: Sequence[float]) -> float:
    """Return the median."""
    return percentile(ascending, 50)


def p99(ascending: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return percentile(ascending, 99)


def report(contacts: int, *, gzip: bool) -> None:
    """Measure both clients on a workspace of so many contacts, and print a line for each."""
    with scratch() as folder:
        with serve(contacts, gzip=gzip) as served:
            recording = record(served, folder)
        for name, command in (("raw socket", FLOOR), ("ours", OURS)):
            gaps = gaps_of(recording, command)
            figures = {"p50": p50(gaps), "p99": p99(gaps), "most": percentile(gaps, 100)}
            shown = ", ".join(f"{what} {gap_s * 1e3:.3f} ms" for what, gap_s in figures.items())
            print(f"{name:<11}{len(gaps):>6} gaps: {shown}", flush=True)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gaps", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--contacts", type=int, default=45_000)
    parser.add_argument("--gzip", action="store_true", help="the answers are compressed")
    options = parser.parse_args()
    # As an exception, so that the recording in memory is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        report(options.contacts, gzip=options.gzip)
    except (subprocess.CalledProcessError, ValueError) as error:
        sys.exit(f"benchmarks.gaps: {error}")


if __name__ == "__main__":
    main()
