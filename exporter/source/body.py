"""The bytes of a response: read against a cap, decompressed against a cap, proven whole.

`aiohttp` hands out a gzip body that is truncated, or that lost its checksum,
without an error, and would inflate a bomb without bound. So it is told to
leave bodies as they came, and they are inflated here.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import TYPE_CHECKING

from exporter import compression
from exporter.errors import ContractError
from exporter.source.envelope import BrokenBody

if TYPE_CHECKING:
    from aiohttp import StreamReader

LARGEST_BODY_BYTES = 64 * 1024 * 1024
LARGEST_MESSAGE_BYTES = 64 * 1024

_DEFLATE_METHOD = 8
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_ENCODINGS = 2
_MAX_FURTHER_MEMBERS = 1_000
_PIECE_BYTES = 64 * 1024


async def read_body(content: "StreamReader") -> bytes:
    """Read a whole body as it came.

    Raises:
        ContractError: it goes beyond 64 MiB.
    """
    chunks = []
    size = 0
    async for chunk in content.iter_any():
        size += len(chunk)
        if size > LARGEST_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
    return b"".join(chunks)


async def read_beginning(content: "StreamReader", beginning: bytearray) -> None:
    """Read as much of a body into `beginning` as a message could need."""
    async for chunk in content.iter_any():
        beginning += chunk
        if len(beginning) > LARGEST_MESSAGE_BYTES:
            return


def inflate(body: bytes, content_encoding: str, most_bytes: int | None = None) -> bytes:
    """Undo a response's ``Content-Encoding``: gzip, deflate, none, or two of them one after the other.

    Args:
        body: as it came.
        content_encoding: the header.
        most_bytes: what it may inflate to, 64 MiB if not given.

    Raises:
        BrokenBody: the body is truncated, damaged, followed by something, or
            in an encoding that was not asked for.
        ContractError: it inflates to more than `most_bytes`.
    """
    most_bytes = LARGEST_BODY_BYTES if most_bytes is None else most_bytes
    names = [name.strip().lower() for name in content_encoding.split(",")]
    encodings = [name for name in names if name not in ("", "identity")]
    if len(encodings) > _MAX_ENCODINGS:
        raise BrokenBody("in more content encodings than are undone")
    for encoding in reversed(encodings):
        body = _undo(encoding, body, most_bytes)
    return body


def without_mark(body: bytes) -> bytes:
    """Return a body without a byte-order mark, which some gateways put before JSON."""
    return body.removeprefix(BOM_UTF8)


def _undo(encoding: str, body: bytes, most_bytes: int) -> bytes:
    if encoding in ("gzip", "x-gzip"):
        container = compression.GZIP
    elif encoding == "deflate":  # means zlib, but some servers send bare deflate
        container = compression.ZLIB if body and body[0] & 0x0F == _DEFLATE_METHOD else compression.BARE_DEFLATE
    else:
        raise BrokenBody("in a content encoding that was not asked for")
    if container == compression.GZIP and not body.startswith(_GZIP_MAGIC[: len(body)]):
        raise BrokenBody("not in the content encoding that it names")
    inflater = compression.inflater(container)
    inflated = _inflate_some(inflater, body, most_bytes)
    if not inflater.eof:
        raise BrokenBody("its compressed body is truncated")
    if inflater.unused_data and container == compression.GZIP:
        return b"".join([inflated, *_further_members(inflater.unused_data, most_bytes - len(inflated))])
    if inflater.unused_data:
        raise BrokenBody("something follows its compressed body")
    return inflated


def _further_members(body: bytes, most_bytes: int) -> Iterator[bytes]:
    """Inflate the gzip members behind a first one, in pieces that keep many small members from being costly."""
    position = members = 0
    while position < len(body):
        if not body.startswith(_GZIP_MAGIC, position):
            raise BrokenBody("something follows its compressed body")
        members += 1
        if members > _MAX_FURTHER_MEMBERS:
            raise BrokenBody(f"its compressed body has more than {_MAX_FURTHER_MEMBERS + 1:,} gzip members")
        inflater = compression.inflater(compression.GZIP)
        while not inflater.eof:
            if not (piece := body[position : position + _PIECE_BYTES]):
                raise BrokenBody("its compressed body is truncated")
            inflated = _inflate_some(inflater, piece, most_bytes)
            most_bytes -= len(inflated)
            position += len(piece) - len(inflater.unused_data)
            yield inflated


def _inflate_some(inflater: compression.Inflater, body: bytes, most_bytes: int) -> bytes:
    try:
        inflated = inflater.decompress(body, most_bytes + 1)
    except compression.ERRORS:
        raise BrokenBody("its content encoding is damaged") from None
    if len(inflated) > most_bytes:
        raise _too_large()
    return inflated


def _too_large() -> ContractError:
    return ContractError(
        f"the API sent a response of more than {LARGEST_BODY_BYTES >> 20} MiB: ask for fewer contacts a page"
    )
