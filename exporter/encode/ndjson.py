"""Contacts as lines."""

from collections.abc import Sequence

_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")


def lines(records: Sequence[bytes]) -> bytes:
    """Put each record on a line of its own, its bytes untouched.

    A record can hold CR and LF only between its tokens (JSON has them escaped
    inside strings); there each becomes a space.
    """
    if any(b"\n" in record or b"\r" in record for record in records):
        records = [record.translate(_LINE_BREAKS) for record in records]
    return b"\n".join((*records, b""))
