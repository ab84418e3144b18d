"""Keys of twelve bytes that identify contacts by their ids."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from operator import itemgetter

import msgspec

from exporter.rawjson.objects import RawObject, decode_string

KEY_BYTES = 12
"""Length of a key. Equal ids have equal keys; two different ids have equal keys in 1 of 2^96 cases."""

_USUAL = b'{"type":"contact","id":"'
_DIGITS = 2 * KEY_BYTES
# These read a whole page without a step of Python for each contact.
_beginning = itemgetter(slice(len(_USUAL)))
_quoted_id = itemgetter(slice(len(_USUAL), len(_USUAL) + _DIGITS + 1))  # with the quote after it
_USUAL_ID = re.compile(rf"[0-9a-f]{{{_DIGITS}}}", re.ASCII)
_INTEGER = re.compile(rb"-?[0-9]+")


class _Contact(msgspec.Struct, gc=False):
    id: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Contact).decode


def page_keys(records: Sequence[bytes]) -> bytes:
    """Return the keys of a page's contacts, joined in the order of the page.

    An id of 24 hexadecimal digits, as Intercom gives them, is its own key; any
    other id is represented by a hash. A record without an id has no key.

    Args:
        records: JSON of each contact, as the API sent it.
    """
    keys = _usual_keys(records)
    return b"".join(map(_key, records)) if keys is None else keys


def content_keys(records: Sequence[bytes]) -> bytes:
    """Return keys for records without ids: a hash of all bytes of each record."""
    return b"".join(blake2b(record, digest_size=KEY_BYTES).digest() for record in records)


def any_keys(records: Sequence[bytes]) -> bytes:
    """Return one key for each contact of a page: that of its id, or of all its bytes if it has none."""
    keys = page_keys(records)
    if len(keys) == len(records) * KEY_BYTES:
        return keys
    return b"".join(_key(record) or content_keys((record,)) for record in records)


def _usual_keys(records: Sequence[bytes]) -> bytes | None:
    """Return the keys of contacts that all begin as Intercom writes them; None if one does not."""
    count = len(records)
    if b"".join(map(_beginning, records)) != _USUAL * count:
        return None
    quoted = b"".join(map(_quoted_id, records))
    if quoted[_DIGITS :: _DIGITS + 1] != b'"' * count or len(quoted) != count * (_DIGITS + 1):
        return None
    try:
        digits = quoted.replace(b'"', b"").decode()
        keys = bytes.fromhex(digits)
    except ValueError:
        return None
    return keys if keys.hex() == digits else None  # `fromhex` accepts capitals and white space


def _key(record: bytes) -> bytes:
    """Return the key of one contact; nothing for a record without an id.

    The same record has the same key here and in `_usual_keys`.
    """
    if usual := _usual_keys((record,)):
        return usual
    try:
        value = bytes(_decode(record).id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _id_slow(record)
    if value.startswith(b'"'):
        return _key_of(decode_string(value))
    return _key_of(value.decode()) if _INTEGER.fullmatch(value) else b""


def _id_slow(record: bytes) -> bytes:
    """Return the JSON of the id of a record that the fast parser refuses, such as one with a lone surrogate."""
    try:
        return RawObject.parse(record).last("id") or b""
    except (ValueError, RecursionError):
        return b""


def _key_of(contact_id: str) -> bytes:
    if _USUAL_ID.fullmatch(contact_id):
        return bytes.fromhex(contact_id)
    return blake2b(contact_id.encode(errors="surrogatepass"), digest_size=KEY_BYTES).digest() if contact_id else b""
