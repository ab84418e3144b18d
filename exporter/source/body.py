"""The bytes of a response: read up to a maximum, decompressed up to a maximum, and checked to be complete.

`aiohttp` returns a gzip body that is truncated, or has no checksum, without an
error, and it inflates without a limit. So aiohttp leaves bodies compressed, and
this module inflates them.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import TYPE_CHECKING

from exporter import compression
from exporter.errors import ContractError
from exporter.source.envelope import MalformedBody

if TYPE_CHECKING:
    from aiohttp import StreamReader

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_MESSAGE_BYTES = 64 * 1024

_DEFLATE_METHOD = 8
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_ENCODINGS = 2
_MAX_FURTHER_MEMBERS = 1_000
_CHUNK_BYTES = 64 * 1024


async def read_body(content: "StreamReader") -> bytes:
    """Read a whole body, still encoded.

    Raises:
        ContractError: it has more than 64 MiB.
    """
    chunks = []
    size = 0
    async for chunk in content.iter_any():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
    return b"".join(chunks)


async def read_prefix(content: "StreamReader", prefix: bytearray) -> None:
    """Read the beginning of a body into `prefix`: as much as an error message can need."""
    async for chunk in content.iter_any():
        prefix += chunk
        if len(prefix) > MAX_MESSAGE_BYTES:
            return


def inflate(body: bytes, content_encoding: str, max_bytes: int | None = None) -> bytes:
    """Undo a response's ``Content-Encoding``: gzip, deflate, none, or two of them one after the other.

    Args:
        body: still encoded.
        content_encoding: the header.
        max_bytes: maximum length once inflated; None for 64 MiB.

    Raises:
        MalformedBody: the body is truncated, damaged, followed by other bytes, or
            in an encoding that was not requested.
        ContractError: it inflates to more than `max_bytes`.
    """
    max_bytes = MAX_BODY_BYTES if max_bytes is None else max_bytes
    names = [name.strip().lower() for name in content_encoding.split(",")]
    encodings = [name for name in names if name not in ("", "identity")]
    if len(encodings) > _MAX_ENCODINGS:
        raise MalformedBody("in more content encodings than are supported")
    for encoding in reversed(encodings):
        body = _undo(encoding, body, max_bytes)
    return body


def without_byte_order_mark(body: bytes) -> bytes:
    """Return a body without a byte-order mark, which some gateways put before JSON."""
    return body.removeprefix(BOM_UTF8)


def _undo(encoding: str, body: bytes, max_bytes: int) -> bytes:
    if encoding in ("gzip", "x-gzip"):
        container = compression.GZIP
    elif encoding == "deflate":  # the standard says zlib, but some servers send bare deflate
        container = compression.ZLIB if body and body[0] & 0x0F == _DEFLATE_METHOD else compression.BARE_DEFLATE
    else:
        raise MalformedBody("in a content encoding that was not requested")
    if container == compression.GZIP and not body.startswith(_GZIP_MAGIC[: len(body)]):
        raise MalformedBody("not in the content encoding that it names")
    inflater = compression.inflater(container)
    inflated = _inflate_some(inflater, body, max_bytes)
    if not inflater.eof:
        raise MalformedBody("its compressed body is truncated")
    if inflater.unused_data and container == compression.GZIP:
        return b"".join([inflated, *_further_members(inflater.unused_data, max_bytes - len(inflated))])
    if inflater.unused_data:
        raise MalformedBody("something follows its compressed body")
    return inflated


def _further_members(body: bytes, max_bytes: int) -> Iterator[bytes]:
    """Inflate the gzip members after a first one, piece by piece: no member copies the rest of the body."""
    position = members = 0
    while position < len(body):
        if not body.startswith(_GZIP_MAGIC, position):
            raise MalformedBody("something follows its compressed body")
        members += 1
        if members > _MAX_FURTHER_MEMBERS:
            raise MalformedBody(f"its compressed body has more than {_MAX_FURTHER_MEMBERS + 1:,} gzip members")
        inflater = compression.inflater(compression.GZIP)
        while not inflater.eof:
            if not (piece := body[position : position + _CHUNK_BYTES]):
                raise MalformedBody("its compressed body is truncated")
            inflated = _inflate_some(inflater, piece, max_bytes)
            max_bytes -= len(inflated)
            position += len(piece) - len(inflater.unused_data)
            yield inflated


def _inflate_some(inflater: compression.Inflater, body: bytes, max_bytes: int) -> bytes:
    try:
        inflated = inflater.decompress(body, max_bytes + 1)
    except compression.ERRORS:
        raise MalformedBody("its content encoding is damaged") from None
    if len(inflated) > max_bytes:
        raise _too_large()
    return inflated


def _too_large() -> ContractError:
    return ContractError(
        f"the API sent a response of more than {MAX_BODY_BYTES >> 20} MiB: request fewer contacts per page"
    )
