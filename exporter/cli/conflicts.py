"""Options that contradict one another, or would have no effect: refused, or decided by where they were set."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cyclopts import App, Argument, ArgumentCollection

from exporter.cli.credentials import TOKEN_VARIABLE
from exporter.cli.usage import origin_of
from exporter.errors import ConfigError

_TOKEN_WAYS = ("--token-file", "--token-command", "--token-keyring")
_MANNERS = ("--quiet", "--verbose")
_OPTION, _ENVIRONMENT, _FILE = range(3)
_RANKS = {"cli": _OPTION, "env": _ENVIRONMENT}
_OFF = ("0", "false", "no", "n", "f", "off")
_NEEDS = {
    "--metrics-host": "--metrics-port",
    "--expand-concurrency": "--expand",
}
"""Options that have no effect without another one."""

_EXCLUDED = {
    "--seed": "--from",
    "--hostile": "--from",
}
"""Options that have no effect beside another one."""


@dataclass(frozen=True, slots=True)
class _Given:
    """The arguments that were given, by name: those with a value that is not `false`."""

    arguments: Mapping[str, Argument]

    def rank(self, name: str) -> int:
        """Return how close to the command line a value was set; an option before a variable before a file."""
        return _RANKS.get(self.arguments[name].tokens[0].source, _FILE)

    def origin(self, name: str) -> str:
        """Name the option, variable or setting that a value came from."""
        return origin_of(self.arguments[name].tokens[0])

    def __contains__(self, name: str) -> bool:
        return name in self.arguments


def keep_closest(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Of mutually exclusive options keep the one set closest: an option before a variable or a file."""
    given = _given(arguments)
    for group in (_TOKEN_WAYS, _MANNERS):
        names = [name for name in group if name in given]
        strongest = min((given.rank(name) for name in names), default=_FILE)
        if group is _TOKEN_WAYS and strongest == _FILE and os.environ.get(TOKEN_VARIABLE, "").strip():
            strongest = _ENVIRONMENT
        for name in names:
            if given.rank(name) > strongest:
                given.arguments[name].tokens.clear()


def refuse_conflicts(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse options that would have no effect.

    Raises:
        ConfigError: it names them as they were given.
    """
    given = _given(arguments)
    if all(name in given for name in _MANNERS):
        raise ConfigError(f"{given.origin('--quiet')} and {given.origin('--verbose')} are mutually exclusive")
    for name, needed in _NEEDS.items():
        if name in given and needed not in given:
            raise ConfigError(f"{given.origin(name)} has no effect without {needed}")
    for name, other in _EXCLUDED.items():
        if name in given and other in given:
            reason = "the contacts come from that export"
            raise ConfigError(f"{given.origin(name)} has no effect with {given.origin(other)}: {reason}")


def is_on(arguments: ArgumentCollection, name: str) -> bool:
    """Return whether a flag was given, and not as false."""
    return name in _given(arguments)


def _given(arguments: ArgumentCollection) -> _Given:
    on = (one for one in arguments if one.tokens and not _is_off(one))
    return _Given({one.name: one for one in on})


def _is_off(argument: Argument) -> bool:
    """Return whether a flag is set to false: of a number, such as port 0, zero is a value."""
    return argument.hint is bool and argument.tokens[-1].value.lower() in _OFF
