"""Measure the time to resume: the committed bytes are read and hashed before the first request.

The server refuses the last page of an export, so the export stays unfinished. Then
two runs are timed, whose first request is refused: one resumes this export, and one
starts a new export. Only the first reads the checkpoint and hashes the committed
bytes, so the difference is the time for these bytes. At the end the export is
finished, and its contacts are counted.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.measuring import CONTACT_BYTES, Measurement, Unusable, Usage, check_contacts, run_timed, said, scratch
from benchmarks.raw_socket import PER_PAGE
from benchmarks.rows import NDJSON, Outcome
from benchmarks.served import ROOT, SEED, Served
from benchmarks.workspaces import Workspace, Workspaces

_COMPLETE, _REFUSED = 0, 3
_STOP_S = 30


def measure_resume(workspace: Workspace, _workspaces: Workspaces) -> Measurement:
    """Interrupt an export shortly before its end, and resume it.

    Raises:
        Unusable: a run ended in another way than expected, or the finished export is incomplete.
    """
    with scratch(workspace.contacts * CONTACT_BYTES) as folder, _refusing_twice(workspace) as served:
        output = folder / "contacts.ndjson"
        _export(served, output, _REFUSED)
        committed_bytes = _committed_bytes(output)
        resumed = _export(served, output, _REFUSED)
        fresh = _export(replace(served, token="none"), folder / "fresh.ndjson", _REFUSED)
        _export(served, output, _COMPLETE)
        contacts = NDJSON.count(Outcome(output, folder / "stdout"))
    check_contacts("resume", contacts, served)
    figures = {"committed_bytes": committed_bytes, "fresh_s": fresh.wall_s}
    if (hashing_s := resumed.wall_s - fresh.wall_s) > 0:  # the noise of two starts may be larger
        figures["hashed_bytes_per_s"] = round(committed_bytes / hashing_s)
    return Measurement(contacts, resumed.wall_s, resumed.cpu_s, resumed.peak_rss_bytes, figures)


@contextmanager
def _refusing_twice(workspace: Workspace) -> Iterator[Served]:
    """Serve a workspace; the first two requests for its last page are refused."""
    last_page = -(-workspace.contacts // PER_PAGE)
    command = [sys.executable, "-m", "exporter", "sandbox", "--contacts", str(workspace.contacts), "--seed", str(SEED)]
    command += ["--no-gzip", "--hostile" if workspace.hostile else "--no-hostile", "--fault", f"http_403@{last_page}x2"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            address = json.loads(process.stdout.readline()) if process.stdout else {}
            yield Served(address["base_url"], address["token"], workspace.contacts)
        finally:
            process.terminate()
            process.wait(_STOP_S)


def _export(served: Served, output: Path, exit_code: int) -> Usage:
    """Run our command, and check its exit code."""
    command = [part.format(base_url=served.base_url, output=output) for part in NDJSON.command]
    usage = run_timed(command, served, output.parent)
    if usage is None or usage.exit_code != exit_code:
        raise Unusable(f"resume failed: {said(output.parent)}")
    return usage


def _committed_bytes(output: Path) -> int:
    part = json.loads(output.with_name(f"{output.name}.checkpoint.json").read_bytes())["part"]
    committed_bytes: int = part["bytes"] if part else 0
    if not committed_bytes:
        raise Unusable("resume failed: nothing is committed of a workspace of one page")
    return committed_bytes
