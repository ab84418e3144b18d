"""The access token: from a file, from a program, from the system's keyring, or from the environment."""

import os
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli.converters import TOKEN_PREFIX
from exporter.cli.file_reading import read_in_thread
from exporter.cli.input_text import decode_text
from exporter.cli.secret_files import read_secret
from exporter.errors import ConfigError
from exporter.extras import keyring

if TYPE_CHECKING:
    from anyio.abc import Process

TOKEN_VARIABLE = "INTERCOM_ACCESS_TOKEN"  # noqa: S105 - a name
KEYRING_SERVICE = "intercom-exporter"
_STDIN = "-"
_EXIT_GRACE_S = 0.5
_MAX_TOKEN_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSource:
    """Where the access token comes from; the environment by default.

    Attributes:
        file: path of a file, ``-`` for stdin.
        command: a program that prints the token.
        keyring: the account in the system's keyring.
        allow_readable: whether the file may be one that other users can read.
    """

    file: str | None = None
    command: str | None = None
    keyring: str | None = None
    allow_readable: bool = False


async def read_token(source: TokenSource) -> str:
    """Read the access token.

    Raises:
        ConfigError: it cannot be read, or two sources are set.

    Cancellation:
        Ends the program that prints it. Does not wait for a pipe without a writer.
    """
    sources = {
        "--token-file": source.file,
        "--token-command": source.command,
        "--token-keyring": source.keyring,
    }
    set_options = [name for name, value in sources.items() if value is not None]
    if len(set_options) > 1:
        raise ConfigError(f"{' and '.join(set_options)} are mutually exclusive: set one of them")
    if source.command is not None:
        return await _from_program(source.command)
    return await read_in_thread(partial(_read_without_program, source))


def _read_without_program(source: TokenSource) -> str:
    """Read the token from the keyring, a file or the environment. Blocks."""
    if source.keyring is not None:
        return _from_keyring(source.keyring)
    if source.file is not None:
        return _from_file(source.file, allow_readable=source.allow_readable)
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token.strip():
        raise ConfigError(
            f"no access token: set {TOKEN_VARIABLE}, or give --token-file, --token-command or --token-keyring"
        )
    return token


def _from_file(name: str, *, allow_readable: bool) -> str:
    try:
        content = _read_stdin() if name == _STDIN else read_secret(Path(name), allow_readable=allow_readable)
    except OSError as exc:
        raise ConfigError(f"the token file cannot be read: {exc.strerror}") from exc
    except ValueError:
        raise ConfigError("the token file cannot be read: invalid path") from None
    return _decode(content, "the token on stdin" if name == _STDIN else "the token file")


def _decode(content: bytes, what: str) -> str:
    try:
        return decode_text(content, what)
    except UnicodeDecodeError:
        raise ConfigError(f"{what} is not a valid token") from None


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise ConfigError("stdin is closed: no access token can be read from it")
    return sys.stdin.buffer.read(_MAX_TOKEN_BYTES)


async def _from_program(command: str) -> str:
    """Return the first line that a program prints. It runs without a shell; its stderr is shown as it is."""
    arguments = _split(command)
    name = Path(arguments[0]).name
    async with await _start(arguments, name) as program:
        output = await _read_output(program)
        if output is None:
            with suppress(ProcessLookupError):  # it may have ended by itself
                program.kill()
            raise ConfigError(f"the token command {name!r} printed too much output")
        code = await program.wait()
    if code:
        raise ConfigError(f"the token command {name!r} ended with exit code {code}")
    token, _, _ = _decode(output, f"what the token command {name!r} printed").partition("\n")
    if not token.strip():
        raise ConfigError(f"the token command {name!r} printed no token")
    return token


def _split(command: str) -> list[str]:
    """Return the program of a command and its arguments."""
    try:
        arguments = shlex.split(command)
    except ValueError as exc:
        raise ConfigError(f"the token command cannot be parsed: {exc}") from None
    if not arguments:
        raise ConfigError("the token command is empty")
    return arguments


async def _start(arguments: list[str], name: str) -> "Process":
    import anyio

    try:
        # It may ask for a passphrase: stdin and stderr are those of this process.
        return await anyio.open_process(arguments, stdin=None, stderr=None)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "invalid path"
        # A token that was put here by mistake is not shown.
        quoted_name = "" if name.startswith(TOKEN_PREFIX) else f" {name!r}"
        raise ConfigError(f"the token command{quoted_name} cannot be run: {reason}") from None


async def _read_output(program: "Process") -> bytes | None:
    """Return what a program prints until it ends; None where that is too much.

    A process that it leaves running, such as an agent, may keep the pipe open for ever.
    """
    import anyio

    content = b""
    async with anyio.create_task_group() as tasks:

        async def cancel_after_exit() -> None:
            await program.wait()
            await anyio.sleep(_EXIT_GRACE_S)
            tasks.cancel_scope.cancel()

        tasks.start_soon(cancel_after_exit)
        while program.stdout and len(content) <= _MAX_TOKEN_BYTES:
            try:
                content += await program.stdout.receive()
            except anyio.EndOfStream:
                break
        tasks.cancel_scope.cancel()
    return None if len(content) > _MAX_TOKEN_BYTES else content


def _from_keyring(account: str) -> str:
    """Read the token from the system's keyring."""
    library = keyring()
    try:
        token: str | None = library.get_password(KEYRING_SERVICE, account)
    except Exception as exc:  # noqa: BLE001 - it runs any plug-in of the system
        raise ConfigError(f"the keyring cannot be used: {type(exc).__name__}") from None
    if not token:
        raise ConfigError(
            f"the keyring has no token for {account!r}: store one with 'keyring set {KEYRING_SERVICE} {account}'"
        )
    return token
