"""Completion, in the shells themselves."""

import os
import pty
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def script(command: Any, request: pytest.FixtureRequest) -> Path:
    """Print a shell's script into a file."""
    done = command.run("completion", request.param)
    assert (done.returncode, done.stderr) == (0, b"")
    path: Path = command.folder / f"completion.{request.param}"
    path.write_bytes(done.stdout)
    return path


WORDS = {
    "intercom-exporter con": {"contacts", "config"},
    "intercom-exporter config ": {"show"},
    "intercom-exporter contacts --met": {"--metrics-port", "--metrics-host", "--metrics-file"},
    "intercom-exporter contacts --region ": {"us", "eu", "au"},
    "intercom-exporter completion z": {"zsh"},
}


@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize("line", WORDS)
def test_bash_completes(script: Path, line: str) -> None:
    """Commands, options and choices."""
    program = (
        f"source {script}; COMP_WORDS=($1); [[ $1 == *' ' ]] && COMP_WORDS+=(''); "
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE=$1; COMP_POINT=${#1}; "
        '$(complete -p intercom-exporter | sed "s/.*-F \\([^ ]*\\).*/\\1/"); printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", program, "bash", line], capture_output=True, text=True, timeout=30, check=False
    )
    assert {word.strip() for word in done.stdout.split()} >= WORDS[line], done


@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize("line", ["verify my", "contacts -o my", "report my"])
def test_bash_completes_file_names(script: Path, line: str) -> None:
    """On a terminal, with the Tab key."""
    (script.parent / "my-contacts.ndjson").touch()
    leader, follower = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=script.parent,
        start_new_session=True,
        env={"PATH": "/usr/bin:/bin", "TERM": "dumb", "HOME": str(script.parent)},
    )
    os.close(follower)
    os.write(leader, f"source {script}; printf 'rea%s' dy\n".encode())
    shown = _read_until(leader, b"ready")
    os.write(leader, f"intercom-exporter {line}\t".encode())
    shown = _read_until(leader, b"my-contacts.ndjson")
    os.close(leader)
    shell.kill()
    shell.wait()
    assert b"my-contacts.ndjson" in shown


def _read_until(leader: int, text: bytes) -> bytes:
    shown = b""
    while text not in shown and select.select([leader], [], [], 20)[0]:
        shown += os.read(leader, 4096)
    return shown


@pytest.mark.parametrize("script", ["zsh", "fish"], indirect=True)
def test_completion_script_of_other_shells_is_valid(script: Path) -> None:
    """If they are installed."""
    shell = script.suffix.removeprefix(".")
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} is installed")
    done = subprocess.run([shell, "-n", script], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("script", ["fish"], indirect=True)
@pytest.mark.parametrize("line", WORDS)
def test_fish_completes(script: Path, line: str) -> None:
    """Commands, options and choices."""
    if shutil.which("fish") is None:
        pytest.skip("no fish is installed")
    done = subprocess.run(
        ["fish", "-c", f"source {script}; complete -C '{line}'"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"HOME": str(script.parent), "PATH": "/usr/bin:/bin"},
    )
    assert {row.split("\t")[0] for row in done.stdout.splitlines()} >= WORDS[line], done


def test_unknown_shell_is_refused(command: Any) -> None:
    """The message lists the known ones."""
    done = command.run("completion", "tcsh")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"fish" in done.stderr
