"""Checks of the arguments of a `Sandbox`: first their types, then their values."""

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Protocol

from exporter.errors import ConfigError
from exporter.sandbox.backend import SandboxBackend
from exporter.sandbox.changes import Mutations
from exporter.sandbox.protocol import WINDOW_S
from exporter.sandbox.search_endpoint import SearchSettings
from exporter.validation import Kinds, check_callable, check_kinds

_MAX_YEARS = 1_000
_VALID: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    ("latency_ms", "number of milliseconds from 0", lambda value: value >= 0),
    ("slow_s", "number of seconds from 0", lambda value: value >= 0),
    ("rate_limit", f"number of calls per {WINDOW_S} s from 1", lambda value: value >= 1),
    ("years", f"number of years up to {_MAX_YEARS:,}", lambda value: 0 < value <= _MAX_YEARS),
    ("hot_day", "share from 0 to 1", lambda value: 0 <= value <= 1),
)
"""What values an argument may have: its name, the meaning of its values, and the check."""

_KINDS: dict[str, Kinds] = {
    "contacts": int,
    "seed": int,
    "port": int,
    "token": (str, NoneType),
    "latency_ms": float,
    "rate_limit": (int, NoneType),
    "gzip": bool,
    "hostile": bool,
    "years": (float, NoneType),
    "hot_day": float,
    "live": bool,
    "timezone": str,
    "search": (SearchSettings, NoneType),
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
    years: float | None
    hot_day: float


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
    for name, meaning, is_valid in _VALID:
        value = getattr(sandbox, name)
        if value is not None and not is_valid(value):
            raise ConfigError(f"{name} {value} is not a {meaning}", name)
