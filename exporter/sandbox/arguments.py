"""Checks of the arguments of a `Sandbox`: first their types, then their values."""

from collections.abc import Mapping
from types import NoneType
from typing import Protocol

from exporter.errors import ConfigError
from exporter.sandbox.backend import SandboxBackend
from exporter.sandbox.changes import Mutations
from exporter.sandbox.protocol import WINDOW_S
from exporter.validation import Kinds, check_callable, check_kinds

_KINDS: dict[str, Kinds] = {
    "contacts": int,
    "seed": int,
    "port": int,
    "token": (str, NoneType),
    "latency_ms": float,
    "rate_limit": (int, NoneType),
    "gzip": bool,
    "hostile": bool,
    "slow_s": float,
}


def check_types(arguments: Mapping[str, object]) -> None:
    """Check the types of a sandbox's arguments.

    Raises:
        ConfigError: an argument has a wrong type.
    """
    check_kinds(arguments, _KINDS)
    check_callable("clock", arguments["clock"])
    if arguments["replay"] is not None and not isinstance(arguments["replay"], SandboxBackend):
        raise ConfigError("replay must be an exporter.Replay, such as exporter.Replay('contacts.ndjson.gz')")


class Arguments(Protocol):
    """The arguments of a sandbox, as its attributes."""

    token: str
    port: int
    latency_ms: float
    slow_s: float
    rate_limit: int | None
    changes: Mutations


def check(sandbox: Arguments, *, replayed: bool) -> None:
    """Check the values of a sandbox's arguments.

    Raises:
        ConfigError: an argument has an invalid value.
    """
    token = sandbox.token
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError("the sandbox's token must be printable ASCII without spaces")
    if sandbox.changes.scheduled and replayed:
        raise ConfigError("changes require a synthetic workspace: a replayed export does not change")
    if not 0 <= sandbox.port < 2**16:
        raise ConfigError(f"port {sandbox.port} is not a number from 0 to 65535")
    for name, unit in (("latency_ms", "milliseconds"), ("slow_s", "seconds")):
        if not getattr(sandbox, name) >= 0:
            raise ConfigError(f"{name} {getattr(sandbox, name)} is not a number of {unit} from 0")
    if sandbox.rate_limit is not None and sandbox.rate_limit < 1:
        raise ConfigError(f"rate_limit {sandbox.rate_limit} is not a number of calls per {WINDOW_S} s from 1")
