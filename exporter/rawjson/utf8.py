"""Whether bytes are UTF-8."""

import codecs

_PIECE_BYTES = 64 * 1024


def first_bad_byte(content: bytes) -> int | None:
    """Find the first byte that is no UTF-8, a piece at a time; None when all is well.

    One emoji would make the text of a whole page four bytes a character: that
    costs four times as long as texts that stay in the processor's cache.
    """
    view, at = memoryview(content), 0
    while at < len(content):
        piece = view[at : at + _PIECE_BYTES]
        try:
            at += codecs.utf_8_decode(piece, "strict", at + len(piece) == len(content))[1]
        except UnicodeDecodeError as exc:
            return at + exc.start
    return None
