"""The programs others would take deliver every contact, and what they delivered is counted exactly."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.counting import contacts_in
from benchmarks.served import ROOT

PROGRAMS = ("sdk", *(pytest.param(name, marks=pytest.mark.peers) for name in ("dlt_rest", "airbyte", "singer_tap")))


def run(program: str, base_url: str, token: str, output: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a program as the benchmark does: with the token, and no other setting."""
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.peers.{program}", base_url, str(output)],
        cwd=ROOT,
        env=os.environ | {"INTERCOM_ACCESS_TOKEN": token, "HOME": str(output.parent / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("gzip", ["--gzip", "--no-gzip"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_peer_delivers_every_contact(
    program: str, gzip: str, serve: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    """A program delivers all contacts of several pages, prints nothing, and leaves the home folder alone."""
    with serve("--contacts=333", "--no-hostile", gzip) as served:
        done = run(program, served.base_url, served.token, tmp_path / "contacts")
    assert done.returncode == 0, done.stderr.decode()
    assert contacts_in(tmp_path / "contacts") == 333
    assert done.stdout == b""
    assert [path.name for path in tmp_path.iterdir()] == ["contacts"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_peer_with_refused_token_fails(
    program: str, serve: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    """A program whose token is refused says so by its exit code."""
    with serve("--contacts=333") as served:
        assert run(program, served.base_url, "refused", tmp_path / "contacts").returncode != 0


def test_count_of_peer_output_ignores_other_lines(tmp_path: Path) -> None:
    """Schemas, states and logs are no contacts, nor is what a contact says of itself."""
    output = tmp_path / "messages"
    output.write_bytes(
        b'{"type":"SCHEMA","stream":"contacts"}\n'
        b'{"type":"RECORD","record":{"type":"contact","name":"{\\"type\\":\\"RECORD\\"}"}}\n'
        b'{"type":"LOG","log":{"message":"{\\"type\\":\\"contact\\""}}\n'
        b'{"type": "RECORD", "record": {"type": "contact"}}\n'
        b'{"type":"contact","id":"1"}\n'
        b'{"type":"STATE","value":{}}\n'
    )
    assert contacts_in(output) == 3


def test_count_of_peer_output_adds_all_contact_files(tmp_path: Path) -> None:
    """Of dlt's folder the files of contacts count, their last line ended or not, and no others."""
    for name, content in (
        ("contacts/1", b'{"id":1}\n{"id":2}'),
        ("contacts/2", b'{"id":3}\n'),
        ("_dlt_loads/1", b"{}"),
    ):
        file = tmp_path / "loaded" / f"{name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    assert contacts_in(tmp_path) == 3


def test_counting_needs_none_of_the_tools() -> None:
    """Counting imports none of what it counts for."""
    code = (
        "import sys, benchmarks.peers.counting\n"
        "print(sorted({'intercom', 'dlt', 'airbyte_cdk', 'singer_sdk'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
