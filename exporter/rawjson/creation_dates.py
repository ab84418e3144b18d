"""The creation dates of contacts, read without decoding the rest."""

from collections.abc import Sequence

import msgspec

from exporter.rawjson.objects import RawObject

_MAX_DATE = 2**53


class _Contact(msgspec.Struct, gc=False):
    created_at: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Contact).decode


def creation_dates(records: Sequence[bytes]) -> list[int | None]:
    """Return ``created_at`` of each contact, in UNIX seconds; None for a contact without that date.

    Args:
        records: JSON of each contact, as the API sent it.
    """
    return [_date_of(record) for record in records]


def _date_of(record: bytes) -> int | None:
    try:
        value = bytes(_decode(record).created_at)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _date_slow(record)
    try:
        date = int(float(value))
    except (ValueError, OverflowError):
        return None
    return date if abs(date) < _MAX_DATE else None


def _date_slow(record: bytes) -> bytes:
    """Return the JSON of the date of a record that the fast parser refuses."""
    try:
        return RawObject.parse(record).last("created_at") or b""
    except (ValueError, RecursionError):
        return b""
