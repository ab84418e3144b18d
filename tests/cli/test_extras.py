"""What needs an extra, without it: one line that names the command to install it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WITHOUT = """
import sys
for name in ("pyarrow", "backports.zstd", "compression.zstd", "prometheus_client", "jinja2", "keyring"):
    sys.modules[name] = None
from exporter.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
SUFFIXES = {"parquet": "parquet", "ndjson.zst": "zstd"}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("arguments", ["demo -o b.{0}", "demo -o new/ --format {0}", "verify a.{0}"])
def test_a_missing_extra_is_one_line_that_names_it(command: Any, arguments: str, suffix: str) -> None:
    """With the command that installs it, and exit code 2; nothing is written."""
    assert command.run("demo", "--contacts=10", "-o", f"a.{suffix}").returncode == 0
    before = sorted(Path(command.folder).iterdir())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments.format(suffix).split()],
        cwd=command.folder,
        env=command.environment(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert f"pip install 'intercom-exporter[{SUFFIXES[suffix]}]'" in done.stderr.decode()
    assert sorted(Path(command.folder).iterdir()) == before


OPTIONS = {
    "demo --metrics-file a.prom": "metrics",
    "demo --metrics-port 0": "metrics",
    "contacts --token-keyring me": "keyring",
    "report a.ndjson": "report",
}


@pytest.mark.parametrize("arguments", OPTIONS)
def test_a_missing_extra_of_an_option_is_one_line_too(command: Any, arguments: str) -> None:
    """With the command that installs it, and exit code 2; nothing is written."""
    assert command.run("demo", "--contacts=10", "-o", "a.ndjson").returncode == 0
    before = sorted(Path(command.folder).iterdir())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments.split()],
        cwd=command.folder,
        env=command.environment(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert f"pip install 'intercom-exporter[{OPTIONS[arguments]}]'" in done.stderr.decode()
    assert sorted(Path(command.folder).iterdir()) == before
