"""What the command `sandbox` does: serve, and say where."""

import sys
from typing import Any

import anyio
import anyio.to_thread
import orjson

from exporter.cli import exits
from exporter.cli.signals import until_signal
from exporter.errors import ConfigError
from exporter.replay import Replay
from exporter.sandbox import Sandbox

_CONTACTS = 10_000


async def serve(contacts: int | None, path: str | None = None, **settings: Any) -> int:
    """Serve a sandbox until a signal comes; give the exit code.

    Args:
        contacts: how many contacts it makes up, 10,000 where nothing is said.
        path: the finished export that it serves instead.
        settings: further arguments of `Sandbox`.
    """
    if contacts is not None and path is not None:
        raise ConfigError("--contacts makes contacts up, and --from has its own: name one of them")
    if sys.stdout is None:
        raise ConfigError("stdout is closed: the sandbox could not say its address")

    async def job() -> int:
        replay = None if path is None else await anyio.to_thread.run_sync(Replay, path)
        async with Sandbox(_CONTACTS if contacts is None else contacts, replay=replay, **settings) as served:
            print(orjson.dumps({"base_url": served.base_url, "token": served.token}).decode(), flush=True)  # noqa: T201
            await anyio.sleep_forever()
        raise AssertionError("it sleeps for ever")

    return await until_signal(job, lambda _name, _code: exits.COMPLETE)
