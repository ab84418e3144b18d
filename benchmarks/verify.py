"""Measure verification: ``python -m benchmarks.verify --ids N``, ``python -m benchmarks.verify --contacts N``.

Each measurement is one process with its start-up. Generating the ids is included;
generating the export is not.
"""

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import timed
from benchmarks.measuring import scratch
from benchmarks.served import ROOT, SEED

_AT_ONCE = 1_000
_PER_PAGE = 150
_ID_STEP = 0xD1342543DE82EF95
_MASK = 2**64 - 1


def count_ids(count: int) -> None:
    """Count duplicates among so many unique ids and one duplicate."""
    from exporter.archive.duplicates import DuplicateCounter  # noqa: PLC0415 - only the measured process imports it

    with DuplicateCounter(count) as ids:
        for start in range(0, count, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, count))
            ids.add([b"6a1b2c3d%016x" % (number * _ID_STEP & _MASK) for number in numbers])
        ids.add([b"6a1b2c3d%016x" % 0])
        repeated = ids.count()
    if repeated.count != 1:
        raise AssertionError(repeated)


def check(path: str) -> None:
    """Verify an undamaged export."""
    from exporter.archive.verify import verify  # noqa: PLC0415 - the same

    verified = verify(path)
    if verified.differences:
        raise AssertionError(verified)


def make_export(path: Path, contacts: int) -> int:
    """Write a finished export same as the command, and return the bytes of its lines."""
    # Imported here, so that the measured process does not import them.
    from exporter.compression import gzip_member  # noqa: PLC0415
    from exporter.layout.manifest import encode_manifest  # noqa: PLC0415
    from exporter.layout.summary import FileSummary, SourceSummary, Summary  # noqa: PLC0415

    sha256, plain_bytes = hashlib.sha256(), 0
    with path.open("wb") as file:
        for plain in _pages(contacts):
            frame = gzip_member(plain) if path.suffix == ".gz" else plain
            file.write(frame)
            sha256.update(frame)
            plain_bytes += len(plain)
    written = FileSummary(path.name, path.stat().st_size, sha256.hexdigest(), contacts, plain_bytes)
    summary = Summary(
        tool="benchmarks",
        complete=True,
        source=SourceSummary("made up", "/contacts", "2.14", "2.14", _PER_PAGE),
        started_at="2026-11-22T10:00:00Z",
        finished_at="2026-11-22T10:00:00Z",
        runs=1,
        pages=-(-contacts // _PER_PAGE),
        contacts=contacts,
        total_count_first=contacts,
        total_count_last=contacts,
        requests=0,
        retries={},
        rate_limit_wait_s=0.0,
        files=(written,),
    )
    path.with_name(f"{path.name}.manifest.json").write_bytes(encode_manifest(summary))
    return plain_bytes


def _pages(contacts: int) -> Iterator[bytes]:
    from exporter.formats.ndjson import lines  # noqa: PLC0415
    from exporter.sandbox.contacts import Workspace  # noqa: PLC0415

    workspace = Workspace(contacts, SEED, hostile=False)
    for start in range(0, contacts, _PER_PAGE):
        yield lines(workspace.records(start, start + _PER_PAGE))


def _measure(folder: Path, call: str, argument: int | str) -> tuple[float, int]:
    """Run one function of this module in its own process; return its seconds and its peak memory."""
    report = folder / "report"
    code = f"from benchmarks import verify; verify.{call}({argument!r})"
    launcher = [sys.executable, "-I", "-S", timed.__file__, str(report), sys.executable, "-c", code]
    subprocess.run(launcher, cwd=ROOT, check=True)
    wall_s, _, peak, status = report.read_text(encoding="ascii").split()
    if status != "0":
        sys.exit(1)
    return float(wall_s), int(peak)


def _print(what: str, count: int, figures: tuple[float, int]) -> None:
    wall_s, peak = figures
    print(
        f"{what:<18}{count:>13,}{wall_s:>9.2f} s{wall_s / count * 1e6:>8.2f} µs each{peak / 1e6:>8.0f} MB peak",
        flush=True,
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verify", description="Measure what verifying costs.")
    parser.add_argument("--ids", type=int, nargs="+", default=[], metavar="N", help="count N made-up ids")
    parser.add_argument("--contacts", type=int, nargs="+", default=[], metavar="N", help="verify an export of N")
    options = parser.parse_args()
    with scratch() as folder:
        for count in options.ids:
            _print("ids", count, _measure(folder, "count_ids", count))
        for count in options.contacts:
            for name in ("contacts.ndjson", "contacts.ndjson.gz"):
                plain_bytes = make_export(folder / name, count)
                figures = _measure(folder, "check", str(folder / name))
                _print(name, count, figures)
                print(f"{'':<18}{plain_bytes / figures[0] / 1e6:>13,.0f} MB of lines a second")
                (folder / name).unlink()


if __name__ == "__main__":
    main()
