"""What `config show` says: each setting of a command, and where it came from."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from cyclopts import App, Argument, ArgumentCollection, MissingArgumentError

from exporter.cli import exits
from exporter.cli.config import said
from exporter.cli.credentials import TOKEN_VARIABLE
from exporter.cli.usage import remember
from exporter.errors import ConfigError
from exporter.text import one_line

_DEFAULT = "default"
_WITHHELD = "(not shown)"
_SECRETS = ("token", "token-command")  # a sandbox's, and a program whose words may be one
_HEADINGS = ("setting", "value", "from")


class Recorder:
    """A step of the parser that remembers what those before gave, and opens the log file for what follows.

    Attributes:
        arguments: those of the latest command line.
        is_showing: whether settings are only shown: then no file is opened.
    """

    def __init__(self) -> None:
        self.arguments: Sequence[Argument] = ()
        self.is_showing = False

    def __call__(self, _app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Take note of the arguments; from here on errors are printed as the user wants his lines."""
        self.arguments = arguments
        remember(arguments)
        exits.log_as(said(arguments, "--log-format") or "text")
        if not self.is_showing and (name := said(arguments, "--log-file")) is not None:
            from exporter.cli.log_file import open_log_file

            open_log_file(name, commands[0], arguments)


def settings_shown(app: App, recorder: Recorder, words: Sequence[str], *, as_json: bool) -> str:
    """Show the settings that a command would have with these words.

    Args:
        app: all commands.
        recorder: their parser's last step.
        words: the command's name, ``contacts`` if it is not there, and its options.
        as_json: as one JSON object instead of a table.

    Raises:
        ConfigError: the settings' file cannot be used.
        CycloptsError: the words make no sense.
    """
    names_a_command = bool(words) and not words[0].startswith("-")
    words = list(words) if names_a_command else ["contacts", *words]
    if words[0] in app and app[words[0]].config == ():
        raise ConfigError(f"{words[0]!r} has no settings")
    recorder.arguments, recorder.is_showing = (), True
    try:
        app.parse_args(words, print_error=False, exit_on_error=False)
    except MissingArgumentError:  # a path, which is no setting
        app.parse_args([*words, "PATH"], print_error=False, exit_on_error=False)
    rows = sorted(_rows(recorder.arguments))
    if as_json:
        return json.dumps({name: {"value": value, "from": origin} for name, value, origin in rows}, indent=2)
    table = [_HEADINGS, *((name, _text(value), origin) for name, value, origin in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def _rows(arguments: Sequence[Argument]) -> Iterator[tuple[str, Any, str]]:
    """Give each setting: its name, its value, and where that came from."""
    for argument in arguments:
        if argument.children or not argument.name.startswith("--"):
            continue
        name = argument.name.removeprefix("--")
        value, origin = _value_of(argument)
        yield name, _WITHHELD if _is_secret(name, value) else value, origin
    if any(argument.name == "--token-file" for argument in arguments):
        yield TOKEN_VARIABLE, _WITHHELD if os.environ.get(TOKEN_VARIABLE, "").strip() else None, "environment"


def _value_of(argument: Argument) -> tuple[Any, str]:
    if not argument.tokens:
        return argument.field_info.default, _DEFAULT
    token = argument.tokens[0]
    match token.source:
        case "cli":
            origin = f"option {token.keyword}"
        case "env":
            origin = f"environment {token.keyword}"
        case file:
            origin = file
    return argument.value, origin


def _is_secret(name: str, value: Any) -> bool:
    """Whether it must not be shown: an address with a password, or the token itself in whatever place."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not isinstance(value, str):
        return False
    return name in _SECRETS or (name == "base-url" and ("@" in value or "?" in value)) or bool(token and token in value)


def _text(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple() | list():
            return one_line(",".join(map(str, value))) or "-"
        case _:
            return one_line(str(value))
