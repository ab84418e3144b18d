"""Make text of a server safe for terminals and logs: short, printable, and without the access token."""

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
    """Finds one token in text, also where it is encoded.

    Args:
        token: the access token.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        content = token.encode()
        # Base64 of a text that holds the token depends on where the token begins in it, and on the text after it.
        spellings = [token, content.hex(), *(b64encode(bytes(k) + content)[4 * bool(k) :].decode() for k in range(3))]
        with suppress(ValueError):
            spellings.append(b64decode(token).decode())
        # A short spelling would be found in any text.
        cores = [core for spelling in spellings if len(core := _letters(spelling)[:-2]) >= _TELLING_CHARACTERS]
        self._pieces: dict[int, set[bytes]] = {}
        for core in cores:
            length = min(len(core), _PIECE_CHARACTERS)
            self._pieces.setdefault(length, set()).update(_pieces(core, length))

    def printable(self, text: str) -> str:
        """Return the beginning of a text with control characters escaped; a fixed text if it holds the token."""
        return one_line(self.redacted(text))

    def redacted(self, text: str) -> str:
        """Return the beginning of a text unchanged; a fixed text if it holds the token."""
        text = text[:_READ_CHARACTERS].replace(self._token, "[token]")
        return "[withheld: it holds the token]" if self.finds_token(text) else text[:_SHOWN_CHARACTERS]

    def finds_token(self, text: str) -> bool:
        """Return whether text holds the token or a large part of it, also if encoded or interrupted."""
        readings = [_letters(reading) for reading in _readings(text)]
        return any(
            not pieces.isdisjoint(_pieces(reading, length))
            for length, pieces in self._pieces.items()
            for reading in readings
        )


def _readings(text: str) -> list[str]:
    """Return a text, and the text with the escapes of URLs, HTML and JSON decoded once, twice and three times."""
    readings = [text if text.isascii() else normalize("NFKC", text)]
    while len(readings) <= _MAX_ENCODINGS and not _ESCAPES.isdisjoint(readings[-1]):
        decoded = unescape(_NUMBER.sub(r"&#\1", unquote(readings[-1])))
        readings.append(_CODE.sub(lambda code: chr(int(code[1] or code[2], 16)), decoded))
    return readings


def _pieces(letters: bytes, length: int) -> Iterator[bytes]:
    """Yield all substrings of a length."""
    return (letters[at : at + length] for at in range(len(letters) - length + 1))


def _letters(text: str) -> bytes:
    """Return the letters and digits of a text, in lower case."""
    return text.encode("ascii", "ignore").translate(None, _NOT_LETTERS).lower()
