"""The one line that ends a command: what it says of this machine's faults, and what it never shows."""

import errno
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exporter.cli.error_report import report_exception

TOKEN = "dG9rOjBmOWMxZDUyXzNiN2FfNGYwZV85ZDY2X2ExYjJjM2Q0ZTVmNjoxOjA="


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["contacts", "--api-version", TOKEN], {}),
        (["contacts", "--token-keyring", TOKEN], {}),
        (["contacts", "--token-file", TOKEN], {}),
        (["contacts", "--token-command", TOKEN], {}),
        (["contacts", "--config", TOKEN], {}),
        (["contacts", "--base-url", TOKEN], {}),
        (["contacts", "--region", TOKEN], {}),
        (["contacts", "--fields", TOKEN], {}),
        (["contacts", "-o", TOKEN], {}),
        (["contacts", "-o", f"/nowhere/{TOKEN}.ndjson"], {}),
        (["contacts", "--log-file", f"/nowhere/{TOKEN}"], {}),
        (["contacts", "--log-format", "json", "-o", TOKEN], {}),
        (["contacts"], {"SSL_CERT_FILE": TOKEN}),
        (["contacts"], {"SSL_CERT_DIR": TOKEN}),
        (["contacts"], {"SSLKEYLOGFILE": f"/nowhere/{TOKEN}"}),
        (["contacts"], {"INTERCOM_EXPORTER_PER_PAGE": TOKEN}),
        (["verify", TOKEN], {}),
        (["report", TOKEN], {}),
        (["replay", TOKEN], {}),
        ([TOKEN], {}),
        (["contacts", TOKEN], {}),
        (["contacts", f"--{TOKEN}"], {}),
        (["contacts", f"--token={TOKEN}"], {}),
    ],
    ids=repr,
)
def test_token_in_any_option_is_not_shown(command: Any, arguments: list[str], variables: dict[str, str]) -> None:
    """One line and a code for bad usage, and no part of the token."""
    done = command.run(*arguments, INTERCOM_ACCESS_TOKEN="tok:another", **variables)
    assert done.returncode in (2, 5, 6)
    assert done.stderr.count(b"\n") == 1
    assert TOKEN[4:16] not in (done.stderr + done.stdout).decode()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (OSError(errno.EMFILE, "Too many open files"), 2, "limits are too small: Too many open files"),
        (OSError(errno.ENFILE, "Too many open files", "a"), 2, "limits are too small: Too many open files"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 2, "limits are too small: Cannot allocate memory"),
        (ssl.SSLError(1, "[SSL] bad value"), 2, "TLS cannot be set up on this machine: [SSL] bad value"),
        (OSError(errno.EACCES, "Permission denied", "keys"), 2, "'keys' cannot be used: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), 5, "cannot write to stdout: No space left on device"),
    ],
    ids=repr,
)
def test_os_error_is_reported_by_its_cause(
    error: OSError, code: int, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only errors of stdout are reported as errors of stdout."""
    assert report_exception(error) == code
    message = capfd.readouterr().err
    assert line in message
    assert message.count("\n") == 1


def test_invalid_openssl_settings_are_a_usage_error(command: Any, tmp_path: Path) -> None:
    """OpenSSL reads them by itself, when the HTTP library is loaded."""
    settings = tmp_path / "openssl.cnf"
    settings.write_text("openssl_conf = a\n[a]\nproviders = b\n[b]\nmissing = c\n[c]\nactivate = 1\n")
    done = command.run("demo", "--contacts=1", OPENSSL_CONF=str(settings))
    if done.returncode == 0:
        pytest.skip("this OpenSSL does not mind")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"TLS cannot be set up on this machine" in done.stderr


@pytest.mark.parametrize("columns", ["0", "1", "100000000", "9" * 5_000, "wide", "-3", "٣"])
def test_help_accepts_any_width_of_a_terminal(command: Any, columns: str) -> None:
    """Help is printed as wide as terminals are, for any COLUMNS."""
    done = command.run("contacts", "--help", COLUMNS=columns)
    assert (done.returncode, done.stderr) == (0, b"")
    assert 1_000 < len(done.stdout) < 200_000


def test_limit_of_open_files_is_reported(command: Any) -> None:
    """A limit that leaves no file for the output is named."""
    limited = ["sh", "-c", 'ulimit -n 8 && exec "$@"', "sh", *command.line("demo", "--contacts=1", "-o", "a.ndjson")]
    done = subprocess.run(
        limited, capture_output=True, timeout=90, check=False, cwd=command.folder, env=command.environment()
    )
    assert done.returncode in (2, 5)
    assert b"Too many open files" in done.stderr
