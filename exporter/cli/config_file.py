"""Settings from a file, and their order: option, environment, file, default.

These are steps of the parser: each fills in what an earlier one left open.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cyclopts import App, ArgumentCollection
from cyclopts.config import Dict

from exporter.cli.arguments import value_so_far
from exporter.cli.input_text import decode_text, unquote
from exporter.errors import ConfigError

_MAX_FILE_BYTES = 1 << 20
_TOKEN_KEYS = ("token", "access-token", "intercom-access-token")
_COMMAND_WITH_TOKEN = "sandbox"  # noqa: S105 - the command whose token is no secret


class ConfigFile:
    """A step of the parser that reads the file of ``--config``, for what is set nowhere else.

    Args:
        root: returns the app with all commands; the file may hold their options.
    """

    def __init__(self, root: Callable[[], App]) -> None:
        self._root = root

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Apply the settings that the file has for the command.

        Raises:
            ConfigError: the file cannot be read, or has an unknown setting.
        """
        path = value_so_far(arguments, "--config")
        if path is None:
            return
        root = self._root()
        commands_with_settings = (name for name in root if not name.startswith("-") and root[name].config != ())
        known = {name: _option_names(root[name]) for name in commands_with_settings}
        settings = _settings_for(_read(path), commands[0], known, path)
        Dict({commands[0]: settings}, source=f"file {path}")(app, commands, arguments)


def ignore_empty_env_vars(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Ignore empty variables, and remove what env files leave around a value."""
    for argument in arguments:
        for index, token in enumerate(argument.tokens):
            if token.source == "env":
                argument.tokens[index] = token.evolve(value=unquote(token.value))
        if any(token.source == "env" and not token.value for token in argument.tokens):
            argument.tokens.clear()


def _option_names(app: App) -> set[str]:
    """Return the names of a command's options, as a file has them."""
    arguments = app.assemble_argument_collection()
    names = {name for argument in arguments for name in argument.names if name not in argument.negatives}
    return {name.removeprefix("--") for name in names if name.startswith("--")} - {"config"}


def _read(path: str) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"the settings {path!r} cannot be read: {exc.strerror}") from None
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigError(f"the settings {path!r} exceed 1 MiB")
    try:
        return tomllib.loads(decode_text(content, f"the settings file {path!r}"))
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"the settings {path!r} are not valid TOML: {exc}") from None


def _settings_for(content: Mapping[str, Any], command: str, known: Mapping[str, set[str]], path: str) -> dict[str, Any]:
    """Return the settings of a command: those of its table, and those outside of tables.

    Args:
        content: of the file.
        command: its name.
        known: the options of each command.
        path: the file, for messages.
    """
    top_level = {name: value for name, value in content.items() if not isinstance(value, dict)}
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    if unknown_table := next((name for name in tables if name not in known), None):
        raise ConfigError(f"{path!r} has an unknown command table [{unknown_table}]")
    chosen = _checked(top_level, set().union(*known.values()), path, secrets=_TOKEN_KEYS)
    for name, table in tables.items():
        secrets = () if name == _COMMAND_WITH_TOKEN else _TOKEN_KEYS
        of_table = _checked(table, known[name], f"{path} [{name}]", secrets=secrets)
        if name == command:
            chosen |= of_table
    return {name: value for name, value in chosen.items() if name in known[command]}


def _checked(settings: Mapping[str, Any], known: set[str], where: str, *, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return settings under the names of their options; a setting that is an empty list is ignored.

    Raises:
        ConfigError: one is unknown, set twice, a secret, or of a type that no option has.
    """
    checked: dict[str, Any] = {}
    for key, value in settings.items():
        name = key.replace("_", "-")
        if name.lower() in secrets:
            raise ConfigError(f"{where!r} holds a token: set where to read it instead, such as token-command")
        if name not in known:
            raise ConfigError(f"{where!r} has an unknown setting {key!r}")
        if name in checked:
            raise ConfigError(f"{where!r} has the setting {key!r} twice")
        if not all(isinstance(one, str | int | float) for one in (value if isinstance(value, list) else [value])):
            raise ConfigError(f"{where!r}: {key} must be text, a number, true or false, or a list of these")
        if value != []:
            checked[name] = value
    return checked
