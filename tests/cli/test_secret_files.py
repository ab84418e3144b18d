"""Files with a secret: which modes are accepted where, and text that other systems wrote."""

import codecs
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from exporter.cli.input_text import unquote

Serve = Callable[..., AbstractContextManager[Any]]
TOKEN = "dG9rOm15"
KEY = "0123456789abcdef"


@pytest.fixture
def address(serve: Serve) -> Any:
    """Serve ten contacts for a test."""
    with serve("--contacts=10", f"--token={TOKEN}") as served:
        yield served.base_url


def _written(folder: Path, name: str, content: str | bytes, mode: int) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o604])
def test_secret_that_others_can_read_is_refused_unless_allowed(command: Any, address: str, mode: int) -> None:
    """A token and a key alike; the refusal names the option, and with it there is no warning."""
    _written(command.folder, "token", TOKEN, mode)
    _written(command.folder, "key", KEY, mode)
    for words in (("contacts", "--token-file=token"), ("demo", "--pseudonymise=email", "--key-file=key")):
        refused = command.run(*words, INTERCOM_EXPORTER_BASE_URL=address)
        assert (refused.returncode, refused.stderr.count(b"\n")) == (2, 1)
        assert b"chmod 600" in refused.stderr
        assert b"--allow-readable-secrets" in refused.stderr
    done = command.run(
        *("contacts", "--base-url", address, "--token-file=token", "--allow-readable-secrets"),
        *("--pseudonymise=email", "--key-file=key", "-q"),
    )
    assert (done.returncode, done.stderr, done.stdout.count(b"\n")) == (0, b"", 10)


def test_secret_in_a_kubernetes_volume_is_read_with_a_warning(command: Any, address: str) -> None:
    """Its files are links through `..data`, owned by root, with the volume's mode."""
    real = command.folder / "..2026_11_26_00_00_00.1"
    real.mkdir()
    _written(real, "token", f"{TOKEN}\n", 0o644)
    (command.folder / "..data").symlink_to(real.name)
    (command.folder / "token").symlink_to("..data/token")
    done = command.run("contacts", "--base-url", address, "--token-file=token")
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 10)
    assert b"can be read by others" in done.stderr.splitlines()[0]
    assert b"defaultMode: 0400, and fsGroup unless the user is root" in done.stderr.splitlines()[0]
    quiet = command.run("contacts", "--base-url", address, "--token-file=token", "-q")
    assert (quiet.returncode, quiet.stderr) == (0, b"")
    link = command.folder / "elsewhere"
    link.symlink_to(real / "token")  # a link that is no volume's
    assert command.run("contacts", "--base-url", address, "--token-file=elsewhere").returncode == 2


@pytest.mark.parametrize("mode", [0o440, 0o640])
def test_secret_in_a_kubernetes_volume_that_only_a_group_can_read_is_no_warning(
    command: Any, address: str, mode: int
) -> None:
    """With `fsGroup` the strictest modes are 0440 and 0640."""
    real = command.folder / "..data"
    real.mkdir()
    _written(real, "token", f"{TOKEN}\n", mode)
    (command.folder / "token").symlink_to("..data/token")
    done = command.run("contacts", "--base-url", address, "--token-file=token")
    assert (done.returncode, done.stdout.count(b"\n"), b"read by others" in done.stderr) == (0, 10, False)


def test_secret_on_a_read_only_file_system_is_read_with_a_warning(command: Any, address: str) -> None:
    """Also by root, who can change modes elsewhere."""
    folder = command.folder / "secret"
    folder.mkdir()
    _written(folder, "token", TOKEN, 0o644)
    mount = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'
    unshare = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "sh", "-c"]
    try:
        subprocess.run([*unshare, mount, "sh", str(folder)], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a user who can mount in a namespace of his own")
    line = command.line("contacts", "--base-url", address, "--token-file=secret/token")
    done = subprocess.run(
        [*unshare, f'{mount} && shift && exec "$@"', "sh", str(folder), *line],
        cwd=command.folder,
        env=command.environment(),
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 10), done.stderr
    assert b"its file system is read-only" in done.stderr.splitlines()[0]


_AS_NOBODY = """
import os, sys
from pathlib import Path
from exporter.cli.secret_files import read_secret
import encodings.idna
os.seteuid(65534)
try:
    print(read_secret(Path(sys.argv[1])).decode())
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_secret_of_root_is_read_by_another_user(command: Any) -> None:
    """Who does not own a file cannot change its mode; another user's file is refused all the same."""
    for folder in (command.folder, *command.folder.parents):
        if folder.owner() == "root" and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
    path = _written(command.folder, "token", TOKEN, 0o644)
    assert command.program(_AS_NOBODY, str(path)).stdout.decode().strip() == TOKEN
    os.chown(path, 12_345, 0)
    assert command.program(_AS_NOBODY, str(path)).stdout.decode().strip() == "ConfigError"


WRITTEN_ELSEWHERE = {
    "mark": codecs.BOM_UTF8 + TOKEN.encode(),
    "windows": f"{TOKEN}\r\n".encode(),
    "mark and line end": codecs.BOM_UTF8 + f"{TOKEN}\r\n".encode(),
    "old mac": f"{TOKEN}\r".encode(),
    "blank": f"  {TOKEN} \n\n".encode(),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITTEN_ELSEWHERE)
def test_token_from_any_system_is_read(command: Any, address: str, kind: str) -> None:
    """From a file, stdin, a program or the environment."""
    content = WRITTEN_ELSEWHERE[kind]
    path = _written(command.folder, "token", content, 0o600)
    base = ("contacts", "--base-url", address, "-q", "--max-contacts=1")
    code = f"import sys; sys.stdout.buffer.write(open({str(path)!r}, 'rb').read())"
    runs = [
        command.run(*base, "--token-file=token"),
        command.run(*base, "--token-file=-", stdin=content),
        command.run(*base, "--token-command", f'{sys.executable} -c "{code}"'),
        command.run(*base, INTERCOM_ACCESS_TOKEN=content.decode()),
    ]
    assert [(run.returncode, run.stderr) for run in runs] == [(0, b"")] * 4


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_text_in_utf_16_is_refused_by_name(command: Any, encoding: str) -> None:
    """As PowerShell writes it; nothing of a token is shown."""
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    _written(command.folder, "token", mark + TOKEN.encode(encoding), 0o600)
    _written(command.folder, "settings.toml", mark + 'region = "eu"'.encode(encoding), 0o600)
    for option in ("--token-file=token", "--config=settings.toml"):
        done = command.run("contacts", option)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert b"save it as UTF-8" in done.stderr


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\n"])
def test_settings_from_any_system_are_read(command: Any, line_end: str) -> None:
    """A byte-order mark and any line ends."""
    text = line_end.join(["max-contacts = 7", 'timeout = "1m"', ""])
    (command.folder / "settings.toml").write_bytes(codecs.BOM_UTF8 + text.encode())
    done = command.run("config", "show", "--config=settings.toml", "--json")
    shown = json.loads(done.stdout)
    assert (shown["max-contacts"]["value"], shown["timeout"]["value"]) == (7, 60)


def test_variable_from_an_env_file_is_unquoted(command: Any) -> None:
    """In quotes, or with the line end of Windows."""
    variables = {"MAX_CONTACTS": '"7"', "REGION": "'eu'", "TIMEOUT": "1m\r", "PER_PAGE": "\ufeff50", "OUTPUT": '""'}
    done = command.run(
        "config", "show", "--json", **{f"INTERCOM_EXPORTER_{name}": value for name, value in variables.items()}
    )
    shown = json.loads(done.stdout)
    names = ("max-contacts", "region", "timeout", "per-page", "output")
    assert [shown[name]["value"] for name in names] == [7, "eu", 60, 50, "-"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"pass show x"', "pass show x"),
        ("'a' 'b'", "'a' 'b'"),
        ("pass 'a b'", "pass 'a b'"),
        ('"', '"'),
        ("", ""),
        ("\"a'", "\"a'"),
    ],
)
def test_unquote_removes_one_pair_around_the_value(value: str, expected: str) -> None:
    """Quotes that belong to a command stay."""
    assert unquote(value) == expected


def test_key_with_a_mark_gives_the_pseudonyms_of_its_bytes(command: Any) -> None:
    """A key is bytes: old pseudonyms stay what they were, and a warning says what is part of the key."""
    _written(command.folder, "plain", KEY, 0o600)
    _written(command.folder, "windows", f"{KEY}\r\n", 0o600)
    _written(command.folder, "marked", codecs.BOM_UTF8 + KEY.encode(), 0o600)
    base = ("demo", "--contacts=20", "--fields=email", "--pseudonymise=email")
    plain, windows, marked = (command.run(*base, f"--key-file={name}") for name in ("plain", "windows", "marked"))
    assert plain.stdout == windows.stdout != marked.stdout
    assert b"byte-order mark" in marked.stderr
    assert b"byte-order mark" not in plain.stderr + windows.stderr


def test_manifest_and_checkpoint_saved_by_an_editor_are_read(command: Any, serve: Serve) -> None:
    """With a byte-order mark and line ends of Windows."""
    with serve("--contacts=300", "--fault=http_401@2") as served:
        assert command.run("contacts", "-o", "a.ndjson", served=served).returncode == 3
        _as_an_editor_saves(command.folder / "a.ndjson.checkpoint.json")
        done = command.run("contacts", "-o", "a.ndjson", "-q", served=served)
    assert (done.returncode, done.stderr) == (0, b"")
    _as_an_editor_saves(command.folder / "a.ndjson.manifest.json")
    assert command.run("verify", "a.ndjson").returncode == 0


def _as_an_editor_saves(path: Path) -> None:
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes().replace(b"\n", b"\r\n"))
