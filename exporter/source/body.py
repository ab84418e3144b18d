"""The bytes of a response: read against a cap, decompressed against a cap, proven whole.

`aiohttp` hands out a gzip body that was cut short, or that lost its checksum,
without an error, and would inflate a bomb without bound. So it is told to
leave bodies as they came, and they are inflated here.
"""

from typing import TYPE_CHECKING

from exporter import fastzlib
from exporter.errors import ContractError
from exporter.source.envelope import BrokenBody

if TYPE_CHECKING:
    from aiohttp import StreamReader

LARGEST_BODY_BYTES = 64 * 1024 * 1024
LARGEST_MESSAGE_BYTES = 64 * 1024

_DEFLATE_METHOD = 8


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
    """Undo a response's ``Content-Encoding``: gzip, deflate or none.

    Args:
        body: as it came.
        content_encoding: the header.
        most_bytes: what it may inflate to, 64 MiB if not given.

    Raises:
        BrokenBody: the body is cut short, damaged, followed by something, or
            in an encoding that was not asked for.
        ContractError: it inflates to more than `most_bytes`.
    """
    most_bytes = LARGEST_BODY_BYTES if most_bytes is None else most_bytes
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding in ("gzip", "x-gzip"):
        container = fastzlib.GZIP
    elif encoding == "deflate":  # means zlib, but some servers send bare deflate
        container = fastzlib.ZLIB if body and body[0] & 0x0F == _DEFLATE_METHOD else fastzlib.BARE_DEFLATE
    else:
        raise BrokenBody("in a content encoding that was not asked for")
    inflater = fastzlib.inflater(container)
    try:
        inflated = inflater.decompress(body, most_bytes + 1)
    except fastzlib.ERRORS:
        raise BrokenBody("its compression is damaged") from None
    if len(inflated) > most_bytes:
        raise _too_large()
    if not inflater.eof:
        raise BrokenBody("its compressed body is cut short")
    if inflater.unused_data:
        raise BrokenBody("something follows its compressed body")
    return inflated


def _too_large() -> ContractError:
    return ContractError(
        f"the API sent a response of more than {LARGEST_BODY_BYTES >> 20} MiB: ask for fewer contacts a page"
    )
