"""The access token: from a file, from a program, from the system's keyring, or from the environment."""

import os
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli.files import read_in_thread
from exporter.cli.secret_files import read_secret
from exporter.cli.text import decoded
from exporter.cli.values import TOKENS_BEGIN
from exporter.errors import ConfigError
from exporter.extras import keyring

if TYPE_CHECKING:
    from anyio.abc import Process

TOKEN_VARIABLE = "INTERCOM_ACCESS_TOKEN"  # noqa: S105 - a name
KEYRING_SERVICE = "intercom-exporter"
_STDIN = "-"
_GRACE_S = 0.5
_LONGEST_TOKEN_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSource:
    """Where the access token comes from; the environment, where nothing is set.

    Attributes:
        file: name of a file, ``-`` for stdin.
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
        ConfigError: it cannot be had, or two places are named.

    Cancellation:
        Ends the program that is to print it. A pipe that nobody writes to is not waited for.
    """
    ways = {
        "--token-file": source.file,
        "--token-command": source.command,
        "--token-keyring": source.keyring,
    }
    named = [name for name, value in ways.items() if value is not None]
    if len(named) > 1:
        raise ConfigError(f"{' and '.join(named)} are mutually exclusive: name one place for the access token")
    if source.command is not None:
        return await _from_program(source.command)
    return await read_in_thread(partial(_from_here, source))


def _from_here(source: TokenSource) -> str:
    """Read what needs no other program. Blocks."""
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
        raise ConfigError("the token file cannot be read: there is no such name") from None
    return _decoded(content, "the token on stdin" if name == _STDIN else "the token file")


def _decoded(content: bytes, what: str) -> str:
    try:
        return decoded(content, what)
    except UnicodeDecodeError:
        raise ConfigError(f"{what} is something else than a token") from None


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise ConfigError("stdin is closed: no access token can be read from it")
    return sys.stdin.buffer.read(_LONGEST_TOKEN_BYTES)


async def _from_program(command: str) -> str:
    """Take the first line that a program prints. No shell is asked; what it says on stderr is shown as it is."""
    import anyio

    try:
        words = shlex.split(command)
    except ValueError as exc:
        raise ConfigError(f"the token command cannot be taken apart: {exc}") from None
    if not words:
        raise ConfigError("the token command is empty")
    name = Path(words[0]).name
    try:
        # Where it has to ask for a passphrase, it may: stdin and stderr are ours.
        program = await anyio.open_process(words, stdin=None, stderr=None)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no name"
        named = "" if name.startswith(TOKENS_BEGIN) else f" {name!r}"  # in the wrong place it is not shown
        raise ConfigError(f"the token command{named} cannot be run: {reason}") from None
    async with program:
        printed = await _printed(program)
        if printed is None:
            with suppress(ProcessLookupError):  # it may have ended by itself
                program.kill()
            raise ConfigError(f"the token command {name!r} prints more than a token")
        code = await program.wait()
    if code:
        raise ConfigError(f"the token command {name!r} ended with exit code {code}")
    token, _, _ = _decoded(printed, f"what the token command {name!r} printed").partition("\n")
    if not token.strip():
        raise ConfigError(f"the token command {name!r} printed no token")
    return token


async def _printed(program: "Process") -> bytes | None:
    """Read what it prints until it ends; None where that is too much.

    What it leaves running may keep the pipe open for ever: an agent, say.
    """
    import anyio

    content = b""
    async with anyio.create_task_group() as tasks:

        async def end_soon() -> None:
            await program.wait()
            await anyio.sleep(_GRACE_S)
            tasks.cancel_scope.cancel()

        tasks.start_soon(end_soon)
        while program.stdout and len(content) <= _LONGEST_TOKEN_BYTES:
            try:
                content += await program.stdout.receive()
            except anyio.EndOfStream:
                break
        tasks.cancel_scope.cancel()
    return None if len(content) > _LONGEST_TOKEN_BYTES else content


def _from_keyring(account: str) -> str:
    """Ask the system's keyring."""
    library = keyring()
    try:
        token: str | None = library.get_password(KEYRING_SERVICE, account)
    except Exception as exc:  # noqa: BLE001 - it runs whatever plug-in the system has
        raise ConfigError(f"the keyring cannot be used: {type(exc).__name__}") from None
    if not token:
        raise ConfigError(
            f"the keyring has no token for {account!r}: store one with 'keyring set {KEYRING_SERVICE} {account}'"
        )
    return token
