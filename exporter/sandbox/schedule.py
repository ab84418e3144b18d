"""How faults and changes are spelled: a name, and when it is its turn."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from exporter.validation import texts_of

ScheduleSpec: TypeAlias = str | Iterable[str] | Mapping[str, int]
"""One or several, or a mapping of name to EVERY."""

SYNTAX_HELP = "write NAME=EVERY, NAME@PAGE or NAME@PAGExTIMES with numbers from 1"
"""What to say where something else is written."""

# Python reads no number of thousands of digits.
_NUMBER = r"\d{1,18}"
_SPELLING = re.compile(
    rf"(?P<name>\w+)(?:=(?P<every>{_NUMBER})|@(?P<page>{_NUMBER})(?:x(?P<times>{_NUMBER}))?)", re.ASCII
)


def parse(text: str) -> tuple[str, dict[str, int]] | None:
    """Read ``NAME=EVERY``, ``NAME@PAGE`` or ``NAME@PAGExTIMES``.

    Returns:
        The name, and those of ``every``, ``page`` and ``times`` that are given;
        None when it is spelled otherwise or a number is zero.
    """
    match = _SPELLING.fullmatch(text)
    if match is None:
        return None
    numbers = {part: int(match[part]) for part in ("every", "page", "times") if match[part]}
    return None if 0 in numbers.values() else (match["name"], numbers)


def as_list(spelled: ScheduleSpec) -> list[str]:
    """Return what is spelled one by one, in the order given.

    Raises:
        ConfigError: something else than texts is given.
    """
    if isinstance(spelled, Mapping):
        return [f"{name}={every}" for name, every in spelled.items()]
    return [spelled] if isinstance(spelled, str) else list(texts_of("faults and changes", spelled))
