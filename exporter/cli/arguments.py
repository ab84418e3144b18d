"""The arguments of the command that runs: their values so far, and where each came from."""

from collections.abc import Sequence

from cyclopts import Argument, ArgumentCollection, Token

_FALSE_VALUES = ("0", "false", "no", "n", "f", "off")


class _RunningCommand:
    """The arguments of the command that runs."""

    arguments: Sequence[Argument] = ()


def record_arguments(arguments: Sequence[Argument]) -> None:
    """Record the arguments of the command that runs."""
    _RunningCommand.arguments = arguments


def is_on_command_line(name: str) -> bool:
    """Return whether an option stands on the command line, and not in a variable or a file."""
    return any(token.source == "cli" for one in _RunningCommand.arguments if one.name == name for token in one.tokens)


def origin_of_option(option: str) -> str:
    """Return the option, variable or setting that the value of an option came from; the option if it is not set."""
    argument = next((one for one in _RunningCommand.arguments if one.name == option and one.tokens), None)
    return origin_of(argument.tokens[0]) if argument else option


def origin_of(token: Token) -> str:
    """Return the option, the variable, or the setting and its file that a value came from."""
    name = token.keyword or "the argument"
    if token.source.startswith("file "):
        return f"{name.strip('[]').rpartition('.')[2]} in {token.source.removeprefix('file ')!r}"
    return name


def value_so_far(arguments: ArgumentCollection, name: str) -> str | None:
    """Return what an option is set to so far, anywhere; None if it is not set."""
    return next((one.tokens[-1].value for one in arguments if one.name == name and one.tokens), None)


def is_set(argument: Argument) -> bool:
    """Return whether an argument has a value; a flag one that is not false."""
    return bool(argument.tokens) and not _is_false(argument)


def is_on(arguments: ArgumentCollection, name: str) -> bool:
    """Return whether a flag is set, and not to false."""
    return any(one.name == name and is_set(one) for one in arguments)


def _is_false(argument: Argument) -> bool:
    """Return whether a flag is set to false: of a number, such as port 0, zero is a value."""
    return argument.hint is bool and argument.tokens[-1].value.lower() in _FALSE_VALUES
