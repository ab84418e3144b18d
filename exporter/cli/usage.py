"""Sentences about wrong options and settings: each names the option, variable or setting that the value came from."""

import re
from collections.abc import Sequence
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

from exporter.cli.values import TOKENS_BEGIN, quoted
from exporter.errors import ConfigError, ExporterError

_MAYBE_A_TOKEN = re.compile(rf"[^\s\"']*{TOKENS_BEGIN}[^\s\"']*")

_OPTIONS = {
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


class _Given:
    """The arguments of the command that runs."""

    arguments: Sequence[Argument] = ()


def remember(arguments: Sequence[Argument]) -> None:
    """Record where each value came from, for later sentences."""
    _Given.arguments = arguments


def is_option_given(name: str) -> bool:
    """Return whether an option stands on the command line, and not in a variable or a file."""
    return any(token.source == "cli" for one in _Given.arguments if one.name == name for token in one.tokens)


def sentence_of(error: ExporterError) -> str:
    """Return an error's message, with options, variables or settings in the place of the library's keywords."""
    sentence = str(error)
    for keyword in error.keywords if isinstance(error, ConfigError) else ():
        sentence = sentence.replace(keyword, _name_of(keyword), 1)
    return sentence


def usage_sentence(error: CycloptsError) -> str:
    """Say what is wrong with the command line, and where its help is."""
    words = ["intercom-exporter", *(error.command_chain or ())]
    what = _what_is_wrong(error)
    return f"{what if what.endswith('?') else f'{what}.'} See {' '.join(words)} --help."


def _what_is_wrong(error: CycloptsError) -> str:
    match error:
        case UnusedCliTokensError():  # not quoted: it could be a token
            return "there is an argument too many, with no option before it"
        case CoercionError(token=Token() as token):
            return f"{origin_of(token)} {_expected(error, token)}"
        case MissingArgumentError(argument=Argument(tokens=tokens) as argument) if argument.name.startswith("--"):
            return f"{tokens[0].keyword if tokens else argument.name} needs a value"
        case MissingArgumentError(argument=Argument() as argument):
            return f"{argument.name} is missing"
        case RepeatArgumentError(token=Token() as token):
            return f"{token.keyword} is given twice"
        case _:
            text = _MAYBE_A_TOKEN.sub("(not shown)", str(error).removesuffix("."))
            return text[:1].lower() + text[1:]


def _expected(error: CoercionError, token: Token) -> str:
    if error.msg is not None:  # it is one of `values`
        return str(error.msg)
    if get_origin(error.target_type) is Literal:
        return f"must be one of {', '.join(map(str, get_args(error.target_type)))}, not {quoted(token.value)}"
    if error.target_type is bool:
        return f"must be true or false, not {quoted(token.value)}"
    return f"cannot be {quoted(token.value)}"


def origin_of(token: Token) -> str:
    """Name the option, the variable, or the setting and its file that a value came from."""
    name = token.keyword or "the argument"
    if token.source.startswith("file "):
        return f"{name.strip('[]').rpartition('.')[2]} in {token.source.removeprefix('file ')!r}"
    return name


def _name_of(keyword: str) -> str:
    option = _OPTIONS.get(keyword, f"--{keyword.replace('_', '-')}")
    given = next((one for one in _Given.arguments if one.name == option and one.tokens), None)
    return origin_of(given.tokens[0]) if given else option
