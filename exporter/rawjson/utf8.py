"""Check that bytes are UTF-8."""

import codecs

_PIECE_BYTES = 64 * 1024


def first_bad_byte(content: bytes) -> int | None:
    """Return the offset of the first byte that is not UTF-8; None if all bytes are.

    It decodes piece by piece: one emoji would make the text of a whole page take four
    bytes per character, which takes four times as long as pieces that stay in the
    processor's cache.
    """
    view, at = memoryview(content), 0
    while at < len(content):
        piece = view[at : at + _PIECE_BYTES]
        try:
            at += codecs.utf_8_decode(piece, "strict", at + len(piece) == len(content))[1]
        except UnicodeDecodeError as exc:
            return at + exc.start
    return None
