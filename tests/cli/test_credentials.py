"""Where the access token comes from: programs, files, the keyring, the environment, and who wins."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., AbstractContextManager[Any]]
PYTHON = sys.executable


@pytest.fixture
def address(serve: Serve) -> Any:
    """Serve ten contacts for a test."""
    with serve("--contacts=10", "--token=dG9rOm15") as served:
        yield served.base_url


def exports(command: Any, address: str, *options: str, **variables: str) -> bool:
    """Whether the token that these options lead to is the right one."""
    done = command.run("contacts", "-q", "--base-url", address, *options, **variables)
    assert done.returncode in (0, 3), done.stderr
    return bool(done.returncode == 0)


def test_token_command_prints_the_token(command: Any, address: str) -> None:
    """Its first line, as with `pass`; it runs without a shell."""
    script = "print('dG9rOm15'); print('login: $HOME')"
    assert exports(command, address, "--token-command", f'{PYTHON} -c "{script}"')


def test_token_command_may_use_stderr(command: Any, address: str) -> None:
    """It may have to ask for a passphrase."""
    done = command.run(
        *("contacts", "--base-url", address, "-q", "--token-command"),
        f"""{PYTHON} -c "import sys; print('unlock:', file=sys.stderr); print('dG9rOm15')" """,
    )
    assert (done.returncode, done.stderr) == (0, b"unlock:\n")


BAD_PROGRAMS = {
    "": "empty",
    "'open": "cannot be parsed",
    "/no/such/program x": "cannot be run",
    "{python} -c 'raise SystemExit(3)'": "exit code 3",
    "{python} -c pass": "no token",
    "{python} -c \"import time; print('x' * 100000); time.sleep(60)\"": "too much output",
    '{python} -c "import sys; sys.stdout.buffer.write(bytes([255]))"': "is not a valid token",
}


@pytest.mark.parametrize("program", BAD_PROGRAMS)
def test_token_command_that_fails_is_one_line(command: Any, program: str) -> None:
    """Exit 2, and nothing of what it printed."""
    done = command.run("contacts", "--token-command", program.format(python=PYTHON))
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), done.stderr
    assert BAD_PROGRAMS[program] in done.stderr.decode()


def test_signal_ends_the_token_command(command: Any) -> None:
    """No process is left behind."""
    script = "import os, time; open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'there'); time.sleep(60)"
    run = command.start("contacts", "--token-command", f'{PYTHON} -c "{script}"')
    there = Path(command.folder) / "there"
    for _ in range(3_000):
        if there.exists():
            break
        time.sleep(0.01)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)
    assert run.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(there.read_text()), 0)


def test_token_source_set_closest_wins(command: Any, address: str) -> None:
    """An option before the environment before a file, for any kind of source."""
    good, wrong = f"{PYTHON} -c \"print('dG9rOm15')\"", f"{PYTHON} -c \"print('wrong')\""
    file = Path(command.folder) / "token"
    file.write_text("dG9rOm15\n")
    file.chmod(0o600)
    settings = Path(command.folder) / "settings.toml"
    settings.write_text(f"token-command = '''{wrong}'''")
    config = ("--config", "settings.toml")
    assert exports(command, address, *config, INTERCOM_ACCESS_TOKEN="dG9rOm15")
    assert exports(command, address, *config, "--token-file=token")
    assert exports(command, address, *config, INTERCOM_EXPORTER_TOKEN_FILE="token")
    assert exports(command, address, "--token-file=token", INTERCOM_EXPORTER_TOKEN_COMMAND=wrong)
    assert exports(command, address, "--token-command", good, INTERCOM_ACCESS_TOKEN="wrong")
    assert not exports(command, address, *config)
    settings.write_text(f"token-command = '''{good}'''")
    assert exports(command, address, *config)


def test_token_from_two_sources_is_refused(command: Any) -> None:
    """It would be unclear which one is meant."""
    done = command.run("contacts", "--token-file", "a", "--token-command", "b")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"mutually exclusive" in done.stderr


def test_token_command_that_leaves_a_process_running_is_not_awaited(command: Any, address: str) -> None:
    """An agent that it started may keep the pipe open for ever."""
    # It ends by itself, and well after the test's own time is over if that waits for it.
    assert exports(command, address, "--token-command", "sh -c 'echo dG9rOm15; sleep 130 2>/dev/null & exit 0'")


def test_token_as_token_command_is_not_shown(command: Any) -> None:
    """It is not a program."""
    done = command.run("contacts", "--token-command", "dG9rOm15")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"dG9r" not in done.stderr


def test_invalid_token_path_is_one_line(command: Any) -> None:
    """A settings file can hold any character."""
    (command.folder / "settings.toml").write_text('token-file = "a\\u0000b"')
    done = command.run("contacts", "--config", "settings.toml")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"token file" in done.stderr


def test_empty_variable_is_ignored(command: Any, address: str) -> None:
    """As if it were not set, for any option."""
    variables = {"INTERCOM_EXPORTER_TOKEN_COMMAND": "", "INTERCOM_EXPORTER_CONFIG": ""}
    assert exports(command, address, INTERCOM_ACCESS_TOKEN="dG9rOm15", **variables)


KEYRING = {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring"}


def test_keyring_holds_the_token(command: Any, address: str, tmp_path: Path) -> None:
    """Stored by the keyring's own command, for our service."""
    variables = {**KEYRING, "XDG_DATA_HOME": str(tmp_path)}
    store = "import keyring; keyring.set_password('intercom-exporter', 'acme', 'dG9rOm15')"
    subprocess.run([PYTHON, "-c", store], check=True, env=command.environment(**variables), timeout=60)
    assert exports(command, address, "--token-keyring", "acme", **variables)
    done = command.run("contacts", "--token-keyring", "other", **variables)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"keyring set intercom-exporter other" in done.stderr


@pytest.mark.parametrize("backend", ["keyring.backends.fail.Keyring", "no.such.Backend"])
def test_system_without_a_keyring_is_one_line(command: Any, backend: str) -> None:
    """As servers are."""
    done = command.run("contacts", "--token-keyring", "acme", PYTHON_KEYRING_BACKEND=backend)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"keyring" in done.stderr
