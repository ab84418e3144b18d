"""Amounts, as people read them."""


def duration(seconds: float) -> str:
    """Show a length of time, in two units at most."""
    whole = max(round(seconds), 0)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def size(number: int) -> str:
    """Show a number of bytes."""
    return f"{number / 1e9:,.1f} GB" if number >= 10**9 else f"{number / 1e6:,.1f} MB"
