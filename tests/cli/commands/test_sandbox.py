"""The command `sandbox`: its address, and `--print-env` for the commands of a shell after it."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

Serve = Callable[..., AbstractContextManager[Any]]

SHELLS = """
set -eu
eval "$({python} -m exporter sandbox --contacts 20 --token "a'b" --print-env &)"
trap 'kill "$SANDBOX_PID" 2>/dev/null || true' EXIT
{python} -m exporter contacts --quiet
{python} -m exporter check --json
kill "$SANDBOX_PID"
tries=0
while kill -0 "$SANDBOX_PID" 2>/dev/null && [ $tries -lt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
! kill -0 "$SANDBOX_PID" 2>/dev/null
echo stopped
"""


@pytest.mark.slow
def test_print_env_in_a_shell_starts_a_sandbox_for_later_commands(command: Any) -> None:
    """The shell continues at once, exports find address and token in the environment, and kill ends the sandbox."""
    for shell in ("bash", "sh"):
        done = subprocess.run(
            [shell, "-c", SHELLS.format(python=sys.executable)],
            cwd=command.folder,
            env=command.environment(),
            capture_output=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, (shell, done.stderr.decode())
        lines = done.stdout.splitlines()
        assert [line[:7] for line in lines[:20]] == [b'{"type"'] * 20
        assert json.loads(b"".join(lines[20:-1]))["contacts"] == 20
        assert lines[-1] == b"stopped"


def test_print_env_prints_three_lines_and_releases_stdout(command: Any) -> None:
    """A reader of stdout reaches its end while the sandbox serves."""
    process = command.start("sandbox", "--contacts=1", "--token=secret", "--print-env")
    lines = process.stdout.read().decode().splitlines()
    assert process.poll() is None
    assert lines[0] == "export INTERCOM_ACCESS_TOKEN=secret"
    assert lines[1].startswith("export INTERCOM_EXPORTER_BASE_URL=http://127.0.0.1:")
    assert lines[2:] == [f"SANDBOX_PID={process.pid}"]
    process.terminate()
    assert process.wait(30) == 0


def test_sandbox_prints_its_address_and_stops_gracefully(serve: Serve) -> None:
    """Its first line is JSON with address and token; SIGTERM ends it with 0 (asserted where it is started)."""
    with serve("--contacts=5", "--token=dG9rOm15") as served:
        assert served.token == "dG9rOm15"
        assert served.base_url.startswith("http://127.0.0.1:")


def test_search_unsettled_reaches_the_search(serve: Serve) -> None:
    """Each page of more than one contact counts two of them twice."""
    with serve("--contacts=10", "--search-unsettled=2") as served, httpx.Client(base_url=served.base_url) as http:
        http.headers["Authorization"] = f"Bearer {served.token}"
        assert http.post("/contacts/search", json={}).json()["total_count"] == 12
        assert http.post("/contacts/search", json={"pagination": {"per_page": 1}}).json()["total_count"] == 10


def test_search_options_reach_the_search(serve: Serve) -> None:
    """Each option of searches and times has its effect."""
    options = (
        *("--contacts=500", "--no-hostile", "--years=8", "--hot-day=0.5", "--live", "--timezone=America/Los_Angeles"),
        *("--search=second", "--search-lag=1m", "--search-cap=400", "--search-missing=3", "--no-search-id-suffix"),
    )
    everything = {"field": "created_at", "operator": ">=", "value": 0}
    with serve(*options) as served, httpx.Client(base_url=served.base_url) as http:
        http.headers["Authorization"] = f"Bearer {served.token}"
        pages = [http.post("/contacts/search", json={"query": everything, "pagination": {"per_page": 150}}).json()]
        while following := pages[-1]["pages"].get("next"):
            pagination = {"per_page": 150, "starting_after": following["starting_after"]}
            pages.append(http.post("/contacts/search", json={"query": everything, "pagination": pagination}).json())
        refused = http.post("/contacts/search", json={"query": {"field": "id", "operator": "$", "value": "a"}})
        zone = http.get("/me").json()["app"]["timezone"]
    stamps = [contact["created_at"] for page in pages for contact in page["data"]]
    assert (len(stamps), {page["total_count"] for page in pages}) == (497, {400})
    assert stamps[0] - stamps[-1] > 7 * 365 * 86_400
    assert (refused.status_code, zone) == (400, "America/Los_Angeles")
    zone_days = [datetime.fromtimestamp(stamp, ZoneInfo("America/Los_Angeles")).date() for stamp in stamps]
    assert 200 < max(map(zone_days.count, zone_days)) < 300
