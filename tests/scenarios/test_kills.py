"""The real command, killed for real: whatever moment it is, the same command makes the same bytes."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.disk import Tree, lies_in
from tests.scenarios.jobs import data_of

ROOT = Path(__file__).parent.parent.parent
OUTPUTS = {
    "a.ndjson": (),
    "a.ndjson.gz": (),
    "a.parquet": (),
    "parts/": ("--format=ndjson", "--part-contacts=1500"),
}
LOSING = """
import sys
from benchmarks import kills
lines_of, calls = kills.lines_of, []
def losing(files):
    calls.append(files)
    return list(lines_of(files))[: None if len(calls) <= len(kills.KINDS) else -1]
kills.lines_of = losing
sys.argv = ["kills", "--kills", "1", "--contacts", "300"]
kills.main()
"""
COMPARING = """
from benchmarks.kills import differences
expected = {"1": b"a", "2": b"b", "3": b"c"}
print(*differences(expected, iter([("1", b"a"), ("1", b"a"), ("3", b"C"), ("4", b"d")])).items())
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where the benchmarks are."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("only", [(), ("--only=ranges",)], ids=["one cursor", "three cursors"])
def test_export_after_25_kills_at_random_moments_is_identical(
    only: tuple[str, ...], tell: Callable[[str, str], None]
) -> None:
    """NDJSON, gzip, parts and ranges survive SIGKILL at 25 random moments: nothing lost, repeated or changed."""
    done = python("-m", "benchmarks.kills", "--kills=25", "--seed=25", "--contacts=12000", *only)
    tell("Real kills", f"{done.stdout}{done.stderr}")  # the seed, and what was hit
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "lost 0, repeated 0, changed 0"
    assert sum(int(kills) for kills in re.findall(r"^│ \w+ +│ +\d+ │ +\d+ │ +(\d+) ", done.stdout, re.MULTILINE)) == 25


def test_differences_counts_lost_repeated_and_changed_contacts() -> None:
    """What is missing, comes twice or was changed is counted as that, each on its own."""
    assert python("-c", COMPARING).stdout == "('lost', 1) ('repeated', 1) ('changed', 2)\n"


def test_kills_command_with_a_lost_contact_fails() -> None:
    """The kills end with exit code 1 when an export came back without its last contact."""
    done = python("-c", LOSING)
    assert done.returncode == 1
    assert re.fullmatch("lost [1-9], repeated 0, changed 0", done.stdout.splitlines()[-1])


def checkpoint_of(tree: Tree) -> Any:
    """Read the checkpoint."""
    return json.loads(next(content or b"" for name, content in tree.items() if name.endswith("checkpoint.json")))


@pytest.mark.parametrize(
    ("output", "number"),
    [*((output, signal.SIGINT) for output in OUTPUTS), ("a.ndjson", signal.SIGTERM)],
)
def test_command_signalled_in_the_middle_resumes_to_the_same_bytes(
    serve: Callable[..., AbstractContextManager[Any]], command: Any, output: str, number: signal.Signals
) -> None:
    """SIGINT and SIGTERM end a run with 130 and 143, everything written is on record, and the same command resumes."""
    folder, calm = command.folder / "out", command.folder / "calm"
    folder.mkdir()
    calm.mkdir()
    arguments = ("contacts", "-q", *OUTPUTS[output], "--checkpoint-every=1000", "-o")
    with serve("--contacts=6000", "--latency-ms=5") as served:
        run = command.start(*arguments, f"{folder}/{output}", served=served)
        while sum(path.stat().st_size for path in folder.rglob("*.part")) < 250_000:
            assert run.poll() is None
            time.sleep(0.001)
        run.send_signal(number)
        stdout, stderr = run.communicate(timeout=60)
        assert (run.returncode, stdout, stderr.count(b"\n")) == (128 + number, b"", 1)
        assert f" {on_record(lies_in(folder)):,} contacts".encode() in stderr
        for target in (folder, calm):
            assert command.run(*arguments, f"{target}/{output}", served=served).returncode == 0
    assert sorted(lies_in(folder)) == sorted(lies_in(calm))
    assert data_of(lies_in(folder)) == data_of(lies_in(calm))


def on_record(tree: Tree) -> int:
    """Check that the checkpoint speaks of every byte that was written; give the contacts it speaks of."""
    position = checkpoint_of(tree)["figures"]["position"]
    sizes = [len(content) for name, content in tree.items() if content and not name.endswith(".json")]
    assert sum(sizes) == position["written_bytes"] > 0
    assert position["contacts"] == 150 * position["pages"]
    return int(position["contacts"])
