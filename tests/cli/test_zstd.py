"""zstd on the command line, with and without its extra."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exporter.fastzstd import zstd

WITHOUT = """
import sys
sys.modules["backports.zstd"] = sys.modules["compression.zstd"] = None
from exporter.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_file_of_zstd_is_written_and_verified(command: Any) -> None:
    """It holds what the plain one holds, in a frame a page."""
    for output in ("a.ndjson", "a.ndjson.zst", "parts/"):
        options = ("--format", "ndjson.zst", "--part-contacts", "450") if output == "parts/" else ()
        assert command.run("demo", "--contacts", "1000", "--quiet", "--output", output, *options).returncode == 0
        assert command.run("verify", output).returncode == 0
    plain = (command.folder / "a.ndjson").read_bytes()
    assert zstd().decompress((command.folder / "a.ndjson.zst").read_bytes()) == plain
    parts = sorted((command.folder / "parts").glob("contacts-*.ndjson.zst"))
    assert len(parts) == 3
    assert b"".join(zstd().decompress(part.read_bytes()) for part in parts) == plain


def test_stdout_can_be_zstd(command: Any) -> None:
    """By its format, which gzip excludes."""
    done = command.run("demo", "--contacts", "300", "--quiet", "--format", "ndjson.zst")
    assert zstd().decompress(done.stdout).count(b"\n") == 300
    assert command.run("demo", "--gzip", "--format", "ndjson.zst").returncode == 2


@pytest.mark.parametrize(
    "arguments", [["demo", "--output", "b.ndjson.zst"], ["demo", "--format", "ndjson.zst"], ["verify", "a.ndjson.zst"]]
)
def test_a_missing_extra_is_one_line_that_names_it(command: Any, arguments: list[str]) -> None:
    """With the command that installs it, and exit code 2; nothing is written."""
    assert command.run("demo", "--contacts", "10", "--output", "a.ndjson.zst").returncode == 0
    before = sorted(Path(command.folder).iterdir())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        cwd=command.folder,
        env=command.environment(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"pip install 'intercom-exporter[zstd]'" in done.stderr
    assert sorted(Path(command.folder).iterdir()) == before
