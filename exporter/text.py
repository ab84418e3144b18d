"""Text for people: on one line and printable; and amounts, each kind in one way everywhere."""

_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6))


def duration(seconds: float) -> str:
    """Show a length of time, in two units at most; below ten seconds with a tenth, where there is one."""
    if 0 < seconds < 9.95:  # noqa: PLR2004 - what is rounded to less than ten
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = max(round(seconds), 0)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def size(number: int) -> str:
    """Show a number of bytes."""
    for unit, factor in _UNITS:
        if number >= factor:
            return f"{number / factor:,.1f} {unit}"
    return f"{number / 1000:.0f} kB" if number >= 1000 else f"{number} B"  # noqa: PLR2004 - the unit


def count(number: int, noun: str) -> str:
    """Show how many there are of something: 1 contact, 10,000 contacts."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def one_line(text: str) -> str:
    """Make text fit for one line of a terminal or a log: what cannot be seen is written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escape_surrogates(text: str) -> str:
    """Show lone surrogates, which no UTF-8 can hold, as they were escaped."""
    return text.encode(errors="backslashreplace").decode()
