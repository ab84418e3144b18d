"""Messages about wrong options and settings: each names the option, variable or setting that the value came from."""

import re
from typing import Literal, get_args, get_origin

from cyclopts import (
    Argument,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    Token,
    UnusedCliTokensError,
)

from exporter.cli.arguments import origin_of, origin_of_option
from exporter.cli.converters import TOKEN_PREFIX, quoted
from exporter.errors import ConfigError, ExporterError

_POSSIBLE_TOKEN = re.compile(rf"[^\s\"']*{TOKEN_PREFIX}[^\s\"']*")

_OPTION_OF_KEYWORD = {
    "request_timeout_s": "--timeout",
    "idle_timeout_s": "--idle-timeout",
    "page_budget_s": "--max-retry-time",
    "run_budget_s": "--max-run-retry-time",
    "reserve_percent": "--reserve",
    "insecure_http=True": "--insecure-http",
    "checkpoint_every_s": "--checkpoint-every",
    "min_free_bytes": "--min-free-disk",
    "file_format": "--format",
    "concurrency": "--expand-concurrency",
    "lists": "--expand",
    "key": "--key-file",
    "faults": "--fault",
    "changes": "--change",
    "path": "--output",
}
"""Keywords of the library whose option has another name."""


def message_of(error: ExporterError) -> str:
    """Return an error's message, with options, variables or settings in the place of the library's keywords."""
    message = str(error)
    for keyword in error.keywords if isinstance(error, ConfigError) else ():
        option = _OPTION_OF_KEYWORD.get(keyword, f"--{keyword.replace('_', '-')}")
        message = message.replace(keyword, origin_of_option(option), 1)
    return message


def usage_message(error: CycloptsError) -> str:
    """Return what is wrong with the command line, and where its help is."""
    command = " ".join(["intercom-exporter", *(error.command_chain or ())])
    description = _describe(error)
    end = "" if description.endswith("?") else "."
    return f"{description}{end} See {command} --help."


def _describe(error: CycloptsError) -> str:
    match error:
        case UnusedCliTokensError():  # not quoted: it could be a token
            return "unexpected positional argument"
        case CoercionError(token=Token() as token):
            return f"{origin_of(token)} {_expected(error, token)}"
        case MissingArgumentError(argument=Argument(tokens=tokens) as argument) if argument.name.startswith("--"):
            return f"{tokens[0].keyword if tokens else argument.name} needs a value"
        case MissingArgumentError(argument=Argument() as argument):
            return f"{argument.name} is missing"
        case RepeatArgumentError(token=Token() as token):
            return f"{token.keyword} is given twice"
        case _:
            text = _POSSIBLE_TOKEN.sub("(not shown)", str(error).removesuffix("."))
            return text[:1].lower() + text[1:]


def _expected(error: CoercionError, token: Token) -> str:
    if error.msg is not None:  # it is one of `converters`
        return str(error.msg)
    if get_origin(error.target_type) is Literal:
        return f"must be one of {', '.join(map(str, get_args(error.target_type)))}, not {quoted(token.value)}"
    if error.target_type is bool:
        return f"must be true or false, not {quoted(token.value)}"
    return f"cannot be {quoted(token.value)}"
