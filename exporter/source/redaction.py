"""What a server says, made fit for terminals and logs: short, printable, and never with the access token in it."""

import re
import string
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from unicodedata import normalize
from urllib.parse import unquote

from exporter.text import one_line

_SHOWN_CHARACTERS, _READ_CHARACTERS = 200, 2_000
_NOT_LETTERS = bytes(set(range(256)) - set(f"{string.ascii_letters}{string.digits}".encode()))
_TELLING_CHARACTERS, _PIECE_CHARACTERS = 8, 12
_MAX_ENCODINGS = 3
_ESCAPES = frozenset("%&\\")
_CODE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
_NUMBER = re.compile(r"&#0*([0-9]{0,8})[0-9]*")  # Python refuses to convert numbers of thousands of digits


class Redaction:
    """Finds one token in text, in whatever spelling.

    Args:
        token: the access token.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        content = token.encode()
        # Base64 of a text that holds the token depends on where in it the token begins, and on what follows.
        spellings = [token, content.hex(), *(b64encode(bytes(k) + content)[4 * bool(k) :].decode() for k in range(3))]
        with suppress(ValueError):
            spellings.append(b64decode(token).decode())
        # What is too short would be found anywhere.
        cores = [core for spelling in spellings if len(core := _letters(spelling)[:-2]) >= _TELLING_CHARACTERS]
        self._pieces: dict[int, set[bytes]] = {}
        for core in cores:
            length = min(len(core), _PIECE_CHARACTERS)
            self._pieces.setdefault(length, set()).update(_pieces(core, length))

    def printable(self, text: str) -> str:
        """Return the beginning of a text, with control characters escaped; nothing of a text that holds the token."""
        return one_line(self.redacted(text))

    def redacted(self, text: str) -> str:
        """Return the beginning of a text as it is; nothing of a text that holds the token."""
        text = text[:_READ_CHARACTERS].replace(self._token, "[token]")
        return "[withheld: it holds the token]" if self.finds_token(text) else text[:_SHOWN_CHARACTERS]

    def finds_token(self, text: str) -> bool:
        """Return whether text holds the token, or a good part of it: encoded, decoded, or with something in between."""
        readings = [_letters(reading) for reading in _readings(text)]
        return any(
            not pieces.isdisjoint(_pieces(reading, length))
            for length, pieces in self._pieces.items()
            for reading in readings
        )


def _readings(text: str) -> list[str]:
    """Return a text as it is, and as it is once the escapes of URLs, HTML and JSON are undone, several times over."""
    readings = [text if text.isascii() else normalize("NFKC", text)]
    while len(readings) <= _MAX_ENCODINGS and not _ESCAPES.isdisjoint(readings[-1]):
        decoded = unescape(_NUMBER.sub(r"&#\1", unquote(readings[-1])))
        readings.append(_CODE.sub(lambda code: chr(int(code[1] or code[2], 16)), decoded))
    return readings


def _pieces(letters: bytes, length: int) -> Iterator[bytes]:
    """Yield all runs of letters of a length."""
    return (letters[at : at + length] for at in range(len(letters) - length + 1))


def _letters(text: str) -> bytes:
    """Return the letters and digits of a text, in lower case."""
    return text.encode("ascii", "ignore").translate(None, _NOT_LETTERS).lower()
