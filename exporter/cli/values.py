"""Values of options, as people write them: whole numbers, sizes, lengths of time, lists of fields."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from cyclopts import Parameter, Token

_SIZES = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE | re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.IGNORECASE | re.ASCII)


def _whole(_kind: type, tokens: Sequence[Token]) -> int:
    """Convert a whole number; the library's own way would round 149.7."""
    text = tokens[0].value
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        raise ValueError(f"{text!r} is not a whole number.")
    return int(text)


def _bytes(_kind: type, tokens: Sequence[Token]) -> int:
    """Convert a size: a number of bytes, or one with a unit such as MB (10^6) or MiB (2^20)."""
    match = _SIZE.fullmatch(tokens[0].value)
    if match is None or (match[3] and not match[2]):
        raise ValueError(f"{tokens[0].value!r} is not a size such as 500MB or 2GiB.")
    return int(Decimal(match[1]) * (1024 if match[3] else 1000) ** _SIZES[match[2].lower()])


def _seconds(_kind: type, tokens: Sequence[Token]) -> float:
    """Convert a length of time: seconds, or a number with s, m, h or d."""
    match = _DURATION.fullmatch(tokens[0].value)
    if match is None:
        raise ValueError(f"{tokens[0].value!r} is not a length of time such as 90, 15m or 6h.")
    return float(match[1]) * _SECONDS[match[2].lower()]


def _paths(_kind: type, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Convert lists of fields, separated by commas."""
    return tuple(path.strip() for token in tokens for path in token.value.split(","))


Size = Annotated[int, Parameter(converter=_bytes)]
SizeOrNone = Annotated[int | None, Parameter(converter=_bytes)]
Seconds = Annotated[float, Parameter(converter=_seconds)]
SecondsOrNone = Annotated[float | None, Parameter(converter=_seconds)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Whole = Annotated[int, Parameter(converter=_whole)]
WholeOrNone = Annotated[int | None, Parameter(converter=_whole)]
Paths = Annotated[tuple[str, ...], Parameter(converter=_paths, negative="", consume_multiple=False, show_default=False)]
Words = Annotated[list[str] | None, Parameter(negative="")]
