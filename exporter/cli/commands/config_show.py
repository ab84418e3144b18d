"""The command `config show`: prints each setting of a command, and where it came from."""

import json as json_library
import os
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from cyclopts import Argument, MissingArgumentError, Parameter

from exporter.cli.converters import Flag
from exporter.cli.credentials import TOKEN_VARIABLE
from exporter.cli.exit_codes import COMPLETE
from exporter.cli.parser import app, recorder
from exporter.errors import ConfigError
from exporter.text import one_line

_DEFAULT = "default"
_REDACTED = "(not shown)"
_SECRET_SETTINGS = ("token", "token-command")  # a sandbox's, and a program whose arguments may hold one
_HEADINGS = ("setting", "value", "from")
_Row = tuple[str, Any, str]
"""The name of a setting, its value, and where that came from."""


def show(
    *argv: Annotated[str, Parameter(allow_leading_hyphen=True, name="command", metavar="WORD")],
    json: Flag = False,
) -> int:
    """Show each setting of a command and where it came from: option, environment, file or default.

    It shows no access token and needs none.

    Parameters
    ----------
    argv
        A command and its options, as they would be given to it; `contacts` if none is named.
    json
        Print one JSON object instead of a table.
    """
    rows = sorted(_rows(_parse(argv)))
    print(_render_json(rows) if json else _render_table(rows))  # noqa: T201
    return COMPLETE


def _parse(argv: Sequence[str]) -> Sequence[Argument]:
    """Parse a command line without running it; return its arguments.

    Args:
        argv: the command's name, ``contacts`` if it is missing, and its options.

    Raises:
        ConfigError: the settings file cannot be used.
        CycloptsError: the command line is wrong.
    """
    starts_with_command = bool(argv) and not argv[0].startswith("-")
    words = list(argv) if starts_with_command else ["contacts", *argv]
    if words[0] in app and app[words[0]].config == ():
        raise ConfigError(f"{words[0]!r} has no settings")
    recorder.arguments, recorder.is_showing = (), True
    try:
        app.parse_args(words, print_error=False, exit_on_error=False)
    except MissingArgumentError:  # a path, which is not a setting
        app.parse_args([*words, "PATH"], print_error=False, exit_on_error=False)
    return recorder.arguments


def _render_json(rows: Sequence[_Row]) -> str:
    return json_library.dumps({name: {"value": value, "from": origin} for name, value, origin in rows}, indent=2)


def _render_table(rows: Sequence[_Row]) -> str:
    table = [_HEADINGS, *((name, _text(value), origin) for name, value, origin in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def _rows(arguments: Sequence[Argument]) -> Iterator[_Row]:
    for argument in arguments:
        if argument.children or not argument.name.startswith("--"):
            continue
        name = argument.name.removeprefix("--")
        value, origin = _value_of(argument)
        yield name, _REDACTED if _is_secret(name, value) else value, origin
    if any(argument.name == "--token-file" for argument in arguments):
        yield TOKEN_VARIABLE, _REDACTED if os.environ.get(TOKEN_VARIABLE, "").strip() else None, "environment"


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
    """Return whether a value is not shown: an address with a password, or any value that holds the token."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not isinstance(value, str):
        return False
    return (
        name in _SECRET_SETTINGS
        or (name == "base-url" and ("@" in value or "?" in value))
        or bool(token and token in value)
    )


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
