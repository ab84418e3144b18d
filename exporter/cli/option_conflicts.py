"""Options that exclude one another, or would have no effect: refused, or decided by where they were set."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cyclopts import App, Argument, ArgumentCollection

from exporter.cli.arguments import is_set, origin_of
from exporter.cli.credentials import TOKEN_VARIABLE
from exporter.errors import ConfigError

_TOKEN_OPTIONS = ("--token-file", "--token-command", "--token-keyring")
_VERBOSITY_OPTIONS = ("--quiet", "--verbose")
_OPTION, _ENVIRONMENT, _FILE = range(3)
_PRECEDENCE = {"cli": _OPTION, "env": _ENVIRONMENT}
_REQUIRED_OPTIONS = {
    "--metrics-host": "--metrics-port",
    "--expand-concurrency": "--expand",
}
"""Options that have no effect without another one."""

_EXCLUSIVE_OPTIONS = {
    "--seed": "--from",
    "--hostile": "--from",
}
"""Options that have no effect beside another one."""


@dataclass(frozen=True, slots=True)
class _SetArguments:
    """The arguments that are set, by name; flags that are not false."""

    arguments: Mapping[str, Argument]

    def precedence(self, name: str) -> int:
        """Return how close to the command line a value was set: option, variable, file."""
        return _PRECEDENCE.get(self.arguments[name].tokens[0].source, _FILE)

    def origin(self, name: str) -> str:
        """Return the option, variable or setting that a value came from."""
        return origin_of(self.arguments[name].tokens[0])

    def __contains__(self, name: str) -> bool:
        return name in self.arguments


def resolve_exclusive_options(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Of mutually exclusive options keep the one set closest to the command line: option, variable, file."""
    options = _set_arguments(arguments)
    for group in (_TOKEN_OPTIONS, _VERBOSITY_OPTIONS):
        names = [name for name in group if name in options]
        winner = min((options.precedence(name) for name in names), default=_FILE)
        if group is _TOKEN_OPTIONS and winner == _FILE and os.environ.get(TOKEN_VARIABLE, "").strip():
            winner = _ENVIRONMENT
        for name in names:
            if options.precedence(name) > winner:
                options.arguments[name].tokens.clear()


def refuse_conflicts(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse options that would have no effect.

    Raises:
        ConfigError: it names them as they were set.
    """
    options = _set_arguments(arguments)
    if all(name in options for name in _VERBOSITY_OPTIONS):
        raise ConfigError(f"{options.origin('--quiet')} and {options.origin('--verbose')} are mutually exclusive")
    for name, needed in _REQUIRED_OPTIONS.items():
        if name in options and needed not in options:
            raise ConfigError(f"{options.origin(name)} has no effect without {needed}")
    for name, other in _EXCLUSIVE_OPTIONS.items():
        if name in options and other in options:
            reason = "the contacts come from that export"
            raise ConfigError(f"{options.origin(name)} has no effect with {options.origin(other)}: {reason}")


def _set_arguments(arguments: ArgumentCollection) -> _SetArguments:
    return _SetArguments({one.name: one for one in arguments if is_set(one)})
