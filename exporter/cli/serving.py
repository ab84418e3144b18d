"""What the command `sandbox` does: serve, and say where."""

import os
import shlex
import sys
from typing import Any

import anyio
import anyio.to_thread
import orjson

from exporter.archive.replay import Replay
from exporter.cli import exits
from exporter.cli.signals import until_signal
from exporter.errors import ConfigError
from exporter.sandbox import Sandbox

_CONTACTS = 10_000


async def serve(contacts: int | None, path: str | None = None, *, print_env: bool = False, **settings: Any) -> int:
    """Serve a sandbox until a signal comes; give the exit code.

    Args:
        contacts: how many contacts it makes up, 10,000 where nothing is said.
        path: the finished export that it serves instead.
        print_env: print lines for a shell, and release stdout, instead of the line of JSON.
        settings: further arguments of `Sandbox`.
    """
    if contacts is not None and path is not None:
        raise ConfigError("--contacts makes contacts up, and --from has its own: name one of them")
    if sys.stdout is None:
        raise ConfigError("stdout is closed: the sandbox could not say its address")

    async def job() -> int:
        replay = None if path is None else await anyio.to_thread.run_sync(Replay, path)
        async with Sandbox(_CONTACTS if contacts is None else contacts, replay=replay, **settings) as served:
            _print_address(served, print_env=print_env)
            await anyio.sleep_forever()
        raise AssertionError("it sleeps for ever")

    return await until_signal(job, lambda _name, _code: exits.COMPLETE)


def _print_address(served: Sandbox, *, print_env: bool) -> None:
    if not print_env:
        print(orjson.dumps({"base_url": served.base_url, "token": served.token}).decode(), flush=True)  # noqa: T201
        return
    variables = {"INTERCOM_ACCESS_TOKEN": served.token, "INTERCOM_EXPORTER_BASE_URL": served.base_url}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    print("\n".join([*lines, f"SANDBOX_PID={os.getpid()}"]), flush=True)  # noqa: T201
    # $(...) waits for the end of stdout, and the sandbox keeps running.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
