"""The journal of the contacts that an export with several cursors has written: their keys, in blocks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from struct import Struct

from exporter.errors import SinkError
from exporter.rawjson.contact_keys import KEY_BYTES

_HEAD = Struct(">12sHH")  # the name of the track, how often it was read again, and the number of keys
_MAX_AGAIN = 2**16 - 1


def encode_block(track: str, again: int, keys: bytes) -> bytes:
    """Return the block of one page.

    Args:
        track: name of the track that the page was written to.
        again: how many times that track was discarded before.
        keys: keys of the page's contacts, as `any_keys` returns them.
    """
    return _HEAD.pack(track.encode(), min(again, _MAX_AGAIN), len(keys) // KEY_BYTES) + keys if keys else b""


def decode_blocks(chunks: Iterable[bytes], again: Mapping[str, int], wanted: Callable[[str], bool]) -> Iterator[bytes]:
    """Yield the keys of each page that was not discarded.

    Args:
        chunks: the content of the journal.
        again: how many times each track was discarded; 0 for others.
        wanted: returns whether the keys of a track are wanted.

    Raises:
        OSError: the journal is damaged.
    """
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        at = 0
        while at + _HEAD.size <= len(buffer):
            name, times, count = _HEAD.unpack_from(buffer, at)
            end = at + _HEAD.size + count * KEY_BYTES
            if end > len(buffer):
                break
            track = name.rstrip(b"\0").decode("ascii", "replace")
            if times == again.get(track, 0) and wanted(track):
                yield buffer[at + _HEAD.size : end]
            at = end
        buffer = buffer[at:]
    if buffer:
        raise OSError("the keys' file is truncated")


@contextmanager
def key_errors_as_sink_errors() -> Iterator[None]:
    """Translate an `OSError` of the block into a `SinkError` about the keys of contacts."""
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise SinkError(
            f"the keys of written contacts cannot be stored or read: {reason}; free disk space, or set TMPDIR to "
            "another folder, then run the same command again"
        ) from exc
