"""Converters of options: durations, sizes, integers, percentages, lists of fields; each with its range."""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter, Token

TOKEN_PREFIX = "dG9r"  # noqa: S105 - base64 of "tok", with which tokens of Intercom begin
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[\w+/=-]{{12,}}", re.ASCII)
_MAX_DIGITS = 40
_SIZES = {unit: power for power, unit in enumerate(("", "k", "m", "g", "t", "p", "e"))}
_SIZE = re.compile(r"([0-9]{1,40}(?:\.[0-9]{1,40})?)\s*([kmgtpe]?)(i?)b?", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(r"(?:[0-9]{1,20}(?:\.[0-9]{1,20})?\s*(?:ms|min|[smhd])\s*)+", re.IGNORECASE | re.ASCII)
_DURATION_PIECE = re.compile(r"([0-9.]+)\s*([a-z]+)", re.IGNORECASE | re.ASCII)
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "min": 60.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DECIMAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
Render = Callable[[Any], str]


def integer(minimum: int, maximum: int, metavar: str = "N") -> Parameter:
    """Return the converter of an integer within a range."""
    return Parameter(converter=partial(_convert_within, _integer, (minimum, maximum), "{:,}".format), metavar=metavar)


def integer_or(word: str, minimum: int, maximum: int, metavar: str = "N") -> Parameter:
    """Return the converter of an integer within a range, or of one word."""
    convert = partial(_convert_within, _integer, (minimum, maximum), "{:,}".format)

    def convert_or(kind: type, tokens: Sequence[Token]) -> Any:
        return word if tokens[0].value.strip() == word else convert(kind, tokens)

    return Parameter(converter=convert_or, metavar=f"{metavar}|{word}")


def duration(minimum_s: float, maximum_s: float) -> Parameter:
    """Return the converter of a duration within a range, in seconds."""
    convert = partial(_convert_within, _seconds, (minimum_s, maximum_s), duration_text)
    return Parameter(converter=convert, metavar="DURATION", show_default=duration_text)


def size(minimum: int, maximum: int) -> Parameter:
    """Return the converter of a size within a range, in bytes."""
    return Parameter(converter=partial(_convert_within, _bytes, (minimum, maximum), size_text), metavar="SIZE")


def number(minimum: float, maximum: float, metavar: str) -> Parameter:
    """Return the converter of a decimal number within a range; a percent sign behind a percentage is allowed."""
    convert_one = partial(_decimal, percent=metavar == "PERCENT")
    convert = partial(_convert_within, convert_one, (minimum, maximum), "{:,g}".format)
    return Parameter(converter=convert, metavar=metavar)


def quoted(value: str) -> str:
    """Quote a value for a message, unless it may be an access token in the wrong place."""
    return "the value" if TOKEN_PREFIX in value else repr(value)


def redact_tokens(text: str) -> str:
    """Return a message without what looks like an access token: a user may put one anywhere."""
    return _TOKEN.sub("[token]", text)


def duration_text(seconds: float) -> str:
    """Format a duration as an option takes it, in its largest exact unit: 6h, 90s, 1ms."""
    for unit in ("d", "h", "m"):
        if seconds >= 2 * _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:,.0f}{unit}"
    return f"{seconds * 1000:g}ms" if 0 < seconds < 1 else f"{seconds:g}s" if seconds else "0"


def size_text(number_of_bytes: int) -> str:
    """Format a size as an option takes it, in its largest exact unit: 1GB, 0."""
    for unit in "EPTGMk":
        if number_of_bytes and number_of_bytes % 1000 ** _SIZES[unit.lower()] == 0:
            return f"{number_of_bytes // 1000 ** _SIZES[unit.lower()]}{unit}B"
    return str(number_of_bytes)


def _convert_within(
    convert: Callable[[str], Any], bounds: tuple[Any, Any], render: Render, _kind: type, tokens: Sequence[Token]
) -> Any:
    """Convert a value, and check its range."""
    text = tokens[0].value.strip()
    value = convert(text)
    minimum, maximum = bounds
    if not minimum <= value <= maximum:
        raise ValueError(f"must be from {render(minimum)} to {render(maximum)}, not {quoted(text)}")
    return value


def _integer(text: str) -> int:
    """Convert an integer; the parser itself would round 149.7."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"must be a whole number, not {quoted(text)}")
    return int(text[:_MAX_DIGITS])  # what is longer is out of any range, and Python refuses to convert it


def _bytes(text: str) -> int:
    """Convert a size: a number of bytes, or one with a unit such as MB (10^6) or MiB (2^20)."""
    match = _SIZE.fullmatch(text)
    if match is None or (match[3] and not match[2]):
        raise ValueError(f"must be a size such as 500MB, 1GB or 64MiB, not {quoted(text)}")
    return int(Decimal(match[1]) * (1024 if match[3] else 1000) ** _SIZES[match[2].lower()])


def _seconds(text: str) -> float:
    """Convert a duration: seconds, or numbers with units, the largest unit first."""
    if _DECIMAL.fullmatch(text):
        return float(text)
    pieces = _DURATION_PIECE.findall(text) if _DURATION.fullmatch(text) else []
    units = [_SECONDS[unit.lower()] for _, unit in pieces]
    if not pieces or units != sorted(set(units), reverse=True):
        raise ValueError(f"must be a duration such as 90, 15m or 1h30m, not {quoted(text)}")
    return sum(float(amount) * unit for (amount, _), unit in zip(pieces, units, strict=True))


def _decimal(text: str, *, percent: bool) -> float:
    """Convert a decimal number."""
    digits = text.removesuffix("%").rstrip() if percent else text
    if not _DECIMAL.fullmatch(digits.removeprefix("-")):
        raise ValueError(f"must be a number, not {quoted(text)}")
    return float(digits)


def _field_paths(_kind: type, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Convert lists of fields, separated by commas."""
    return tuple(path.strip() for token in tokens for path in token.value.split(","))


DAY_S, YEAR_S = 86_400.0, 365 * 86_400.0
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Port = Annotated[int, integer(0, 65_535, "PORT")]
PathToExport = Annotated[str, Parameter(metavar="PATH")]
File = Annotated[str | None, Parameter(metavar="FILE")]
FieldPaths = Annotated[
    tuple[str, ...],
    Parameter(converter=_field_paths, negative="", consume_multiple=False, show_default=False, metavar="FIELDS"),
]
RepeatedText = Annotated[list[str] | None, Parameter(negative="", metavar="WHAT")]
