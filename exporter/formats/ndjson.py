"""Contacts as lines."""

from collections.abc import Sequence
from itertools import repeat
from operator import contains

_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")


def lines(records: Sequence[bytes]) -> bytes:
    """Put each record on a line of its own, its bytes untouched.

    A record can hold CR and LF only between its tokens (JSON has them escaped
    inside strings); there each becomes a space.
    """
    # Of a usual page nothing is done here for each record but in C.
    if any(map(contains, records, repeat(b"\n"))) or any(map(contains, records, repeat(b"\r"))):
        records = [record.translate(_LINE_BREAKS) for record in records]
    return b"\n".join((*records, b""))
