"""What a server says, made fit for terminals and logs: short, printable, and never with the access token in it."""

import string
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from urllib.parse import unquote

from exporter.errors import one_line

_SHOWN_CHARACTERS = 200
_NOT_LETTERS = bytes(set(range(256)) - set(f"{string.ascii_letters}{string.digits}".encode()))
_TELLING_CHARACTERS, _PIECE_CHARACTERS = 8, 12
_MAX_ENCODINGS = 3
_ESCAPES = frozenset("%&")


class Redaction:
    """Finds one token in text, in whatever spelling.

    Args:
        token: the access token.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        spellings = [token, b64encode(token.encode()).decode()]
        with suppress(ValueError):
            spellings.append(b64decode(token).decode())
        # The end of base64 depends on what follows. What is too short would be found anywhere.
        cores = [core for spelling in spellings if len(core := _letters(spelling)[:-2]) >= _TELLING_CHARACTERS]
        self._pieces = [
            (length, frozenset(_pieces(core, length)))
            for core in cores
            for length in [min(len(core), _PIECE_CHARACTERS)]
        ]

    def printable(self, text: str) -> str:
        """Return the beginning of a text, with control characters escaped; nothing of a text that holds the token."""
        text = text.replace(self._token, "[token]")
        return "[withheld: it holds the token]" if self.finds(text) else one_line(text[:_SHOWN_CHARACTERS])

    def finds(self, text: str) -> bool:
        """Return whether text holds the token, or a good part of it: encoded, decoded, or with something in between."""
        readings = [_letters(reading) for reading in _readings(text)]
        return any(
            not pieces.isdisjoint(_pieces(reading, length)) for length, pieces in self._pieces for reading in readings
        )


def _readings(text: str) -> list[str]:
    """Return a text as it is, and as it is once the escapes of URLs and of HTML are undone, several times over."""
    readings = [text]
    while len(readings) <= _MAX_ENCODINGS and not _ESCAPES.isdisjoint(readings[-1]):
        readings.append(unescape(unquote(readings[-1])))
    return readings


def _pieces(letters: bytes, length: int) -> Iterator[bytes]:
    """Yield all runs of letters of a length."""
    return (letters[at : at + length] for at in range(len(letters) - length + 1))


def _letters(text: str) -> bytes:
    return text.encode("ascii", "ignore").translate(None, _NOT_LETTERS)
