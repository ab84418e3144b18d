"""What needs an extra, without it: one line that names the command to install it."""

from pathlib import Path
from typing import Any

import pytest

WITHOUT = """
import sys
for name in ("pyarrow", "backports.zstd", "compression.zstd", "prometheus_client", "jinja2", "keyring"):
    sys.modules[name] = None
from exporter.cli.app import main
sys.exit(main(sys.argv[1:]))
"""
EXTRAS = {
    "demo -o b.parquet": "parquet",
    "demo -o new/ --format parquet": "parquet",
    "verify a.parquet": "parquet",
    "demo -o b.ndjson.zst": "zstd",
    "demo -o new/ --format ndjson.zst": "zstd",
    "verify a.ndjson.zst": "zstd",
    "demo --metrics-file a.prom": "metrics",
    "demo --metrics-port 0": "metrics",
    "contacts --token-keyring me": "keyring",
    "report a.ndjson": "report",
}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", EXTRAS)
def test_missing_extra_is_one_line_that_names_it(command: Any, arguments: str) -> None:
    """With the command that installs it, and exit code 2; nothing is written."""
    if (finished := arguments.rsplit(maxsplit=1)[-1]).startswith("a.") and not finished.endswith(".prom"):
        assert command.run("demo", "--contacts=10", "-o", finished).returncode == 0
    before = sorted(Path(command.folder).iterdir())
    done = command.program(WITHOUT, *arguments.split())
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert f"pip install 'intercom-exporter[{EXTRAS[arguments]}]'" in done.stderr.decode()
    assert sorted(Path(command.folder).iterdir()) == before
