"""The syntax of scheduled faults and changes: a name, and the requests or pages that it affects."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from exporter.validation import texts_of

ScheduleSpec: TypeAlias = str | Iterable[str] | Mapping[str, int]
"""One or several faults or changes as text, or a mapping of name to EVERY."""

SYNTAX_HELP = "write NAME=EVERY, NAME@PAGE or NAME@PAGExTIMES with numbers from 1"
"""The hint for invalid syntax."""

# Python refuses to convert numbers with thousands of digits.
_NUMBER = r"\d{1,18}"
_SYNTAX = re.compile(
    rf"(?P<name>\w+)(?:=(?P<every>{_NUMBER})|@(?P<page>{_NUMBER})(?:x(?P<times>{_NUMBER}))?)", re.ASCII
)


def parse(text: str) -> tuple[str, dict[str, int]] | None:
    """Parse ``NAME=EVERY``, ``NAME@PAGE`` or ``NAME@PAGExTIMES``.

    Returns:
        The name, and the specified numbers among ``every``, ``page`` and
        ``times``; None if the syntax is invalid or a number is zero.
    """
    match = _SYNTAX.fullmatch(text)
    if match is None:
        return None
    numbers = {part: int(match[part]) for part in ("every", "page", "times") if match[part]}
    return None if 0 in numbers.values() else (match["name"], numbers)


def as_list(specs: ScheduleSpec) -> list[str]:
    """Return the faults or changes as a list of texts, in the same order.

    Raises:
        ConfigError: one of them is not a text.
    """
    if isinstance(specs, Mapping):
        return [f"{name}={every}" for name, every in specs.items()]
    return [specs] if isinstance(specs, str) else list(texts_of("faults and changes", specs))
