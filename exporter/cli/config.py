"""Settings from a file, and their order: option, environment, file, default.

These are steps of the parser: each fills in what an earlier one left open.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cyclopts import App, ArgumentCollection
from cyclopts.config import Dict

from exporter.cli.text import decoded, unquoted
from exporter.errors import ConfigError

_LARGEST_FILE_BYTES = 1 << 20
_SECRETS = ("token", "access-token", "intercom-access-token")
_HAS_A_TOKEN = "sandbox"  # noqa: S105 - the command whose token is nobody's secret


class SettingsFile:
    """A step of the parser that reads the file that ``--config`` names, for what is set nowhere else.

    Args:
        root: returns the app with all commands, whose options the file may hold.
    """

    def __init__(self, root: Callable[[], App]) -> None:
        self._root = root

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Fill in the settings of the command.

        Raises:
            ConfigError: the file cannot be read, or has a setting that no command has.
        """
        path = said(arguments, "--config")
        if path is None:
            return
        root = self._root()
        known = {name: _names(root[name]) for name in root if not name.startswith("-") and root[name].config != ()}
        settings = _settings_of(_read(path), commands[0], known, path)
        Dict({commands[0]: settings}, source=f"file {path}")(app, commands, arguments)


def clean_variables(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take variables that are empty as unset, and remove what env files leave around a value."""
    for argument in arguments:
        for place, token in enumerate(argument.tokens):
            if token.source == "env":
                argument.tokens[place] = token.evolve(value=unquoted(token.value))
        if any(token.source == "env" and not token.value for token in argument.tokens):
            argument.tokens.clear()


def said(arguments: ArgumentCollection, name: str) -> str | None:
    """Give what was said of an option so far, wherever that was; None if nothing was."""
    return next((one.tokens[-1].value for one in arguments if one.name == name and one.tokens), None)


def _names(app: App) -> set[str]:
    """Name the options of a command, as a file does."""
    arguments = app.assemble_argument_collection()
    names = {name for argument in arguments for name in argument.names if name not in argument.negatives}
    return {name.removeprefix("--") for name in names if name.startswith("--")} - {"config"}


def _read(path: str) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"the settings {path!r} cannot be read: {exc.strerror}") from None
    if len(content) > _LARGEST_FILE_BYTES:
        raise ConfigError(f"the settings {path!r} are longer than settings can be")
    try:
        return tomllib.loads(decoded(content, f"the settings file {path!r}"))
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"the settings {path!r} are no TOML: {exc}") from None


def _settings_of(content: Mapping[str, Any], command: str, known: Mapping[str, set[str]], path: str) -> dict[str, Any]:
    """Choose the settings of a command: those of its table, and those that stand in none.

    Args:
        content: of the file.
        command: its name.
        known: the options of each command.
        path: the file, for messages.
    """
    everywhere = {name: value for name, value in content.items() if not isinstance(value, dict)}
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    if strange := next((name for name in tables if name not in known), None):
        raise ConfigError(f"{path!r} has a table [{strange}], and there is no such command")
    chosen = _checked(everywhere, set().union(*known.values()), path, secrets=_SECRETS)
    for name, table in tables.items():
        own = _checked(table, known[name], f"{path} [{name}]", secrets=() if name == _HAS_A_TOKEN else _SECRETS)
        if name == command:
            chosen |= own
    return {name: value for name, value in chosen.items() if name in known[command]}


def _checked(settings: Mapping[str, Any], known: set[str], where: str, *, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Spell settings as options are, and refuse what is none; a setting that is an empty list says nothing."""
    checked: dict[str, Any] = {}
    for key, value in settings.items():
        name = key.replace("_", "-")
        if name.lower() in secrets:
            raise ConfigError(f"{where!r} has a token in it: name a place for it instead, such as token-command")
        if name not in known:
            raise ConfigError(f"{where!r} has a setting {key!r}, and there is no such option")
        if name in checked:
            raise ConfigError(f"{where!r} has the setting {key!r} twice")
        if not all(isinstance(one, str | int | float) for one in (value if isinstance(value, list) else [value])):
            raise ConfigError(f"{where!r}: {key} must be text, a number, true or false, or a list of these")
        if value != []:
            checked[name] = value
    return checked
