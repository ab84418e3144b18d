"""A finished file, read once: its bytes hashed and inflated, its lines proven to be contacts."""

import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from exporter import fastzlib
from exporter.utf8 import first_bad_byte

LONGEST_LINE_BYTES = 128 * 1024 * 1024
"""No line of ours is longer: a whole page may have half of that."""

_CHUNK_BYTES = 128 * 1024
_GZIP_CHUNK_BYTES = 32 * 1024  # a byte of deflate becomes 1,032 at most: a bomb inflates 34 MB at a time
_WINDOW_BYTES = 128 * 1024
_ESCAPE = re.compile(
    rb"""\\(?: u[dD][89abAB]..\\u[dD][c-fC-F]..   # a whole pair of surrogates,
         |   u([dD])[89a-fA-F]..                 # a lone one,
         |   . )                                 # any other escape""",
    re.DOTALL | re.VERBOSE,
)
_INTEGER = re.compile(rb"-?[0-9]+")
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class BadLine(ValueError):  # noqa: N818 - a finding about a line; `str()` completes "the line is …"
    """A line is no contact."""


class _Contact(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Contact).decode


def contact_id(line: bytes) -> bytes:
    """Prove that a line of UTF-8 is one JSON object with an id.

    As tolerant as the export is: integers of any length, keys that come twice
    and lone surrogates stay what they are.

    Returns:
        The id as UTF-8, its escapes resolved; of a number its digits.

    Raises:
        BadLine: it is something else.
    """
    try:
        contact = _decode(line)
    except (msgspec.DecodeError, RecursionError):
        contact = _decode_tolerantly(line)
    raw = bytes(contact.id)
    if raw.startswith(b'"'):
        text = raw[1:-1] if b"\\" not in raw else msgspec.json.decode(raw, type=str).encode()
        if text:
            return text
    elif _INTEGER.fullmatch(raw):
        return raw
    raise BadLine("without an id")


def _contact_id_of_bytes(line: bytes) -> bytes:
    if first_bad_byte(line) is not None:
        raise BadLine("not UTF-8")
    return contact_id(line)


def _decode_tolerantly(line: bytes) -> _Contact:
    try:
        return _decode(_without_lone_surrogates(line))
    except msgspec.DecodeError:
        raise BadLine("not one JSON object") from None
    except RecursionError:
        raise BadLine("nested too deeply to be checked") from None


def _without_lone_surrogates(line: bytes) -> bytes:
    r"""Move escapes of lone surrogates into the private area: ``\ud800`` becomes ``\ue800``.

    They are JSON, but `msgspec` refuses them. Python's own parser does not,
    but would make objects of a whole line: many times its size, were it one
    that somebody made for that. An id that has one is compared in this form.
    """
    mended = bytearray(line)
    for escape in _ESCAPE.finditer(line):
        if escape[1]:
            mended[escape.start(1)] = ord("e")
    return bytes(mended)


class Contents:
    """A data file, read once from its beginning to its end, never through a link.

    Attributes:
        bytes: read so far.
        sha256: of those.
        failure: why it could not be read to its end, None if it could; completes "the file …".
        damage: what is wrong with its compression, None if nothing is; the same.
    """

    def __init__(self, path: Path) -> None:
        self.bytes = 0
        self.sha256 = hashlib.sha256()
        self.failure: str | None = None
        self.damage: str | None = None
        self._path = path
        self._is_gzip = path.name.endswith(".gz")
        self._inflater: fastzlib.Inflater | None = None

    def pieces(self) -> Iterator[bytes]:
        """Give its content, inflated, in small pieces and as far as that can be had; a piece may be empty."""
        try:
            with open_plainly(self._path) as file:
                while chunk := file.read(_GZIP_CHUNK_BYTES if self._is_gzip else _CHUNK_BYTES):
                    self.bytes += len(chunk)
                    self.sha256.update(chunk)
                    content = self._inflate(chunk) if self._is_gzip else chunk
                    for at in range(0, len(content), _WINDOW_BYTES):  # of a bomb, minutes may pass between two chunks
                        yield content[at : at + _WINDOW_BYTES]
        except OSError as exc:
            self.failure = failure_of(exc)
        if self._inflater is not None and self.damage is None:
            self.damage = "is cut short"

    def _inflate(self, chunk: bytes) -> bytes:
        inflated = []
        rest = chunk if self.damage is None else b""
        try:
            while rest:
                inflater = self._inflater or fastzlib.inflater(fastzlib.GZIP)
                inflated.append(inflater.decompress(rest))
                self._inflater, rest = (None, inflater.unused_data) if inflater.eof else (inflater, b"")
        except fastzlib.ERRORS:
            self.damage = "is damaged, or followed by something that is not gzip"
        return b"".join(inflated)


def open_plainly(path: Path) -> io.FileIO:
    """Open a regular file for reading, never through a link.

    Raises:
        OSError: it is something else, or cannot be read.
    """
    file = io.FileIO(path, "rb", opener=lambda name, _: os.open(name, _FLAGS))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("not a regular file")
    return file


def failure_of(exc: OSError) -> str:
    """Say why a file could not be read; completes "the file …"."""
    if isinstance(exc, FileNotFoundError):
        return "is missing"
    if exc.errno == errno.ELOOP:
        return "is a symbolic link"
    return f"cannot be read: {exc.strerror or exc}"


class Lines:
    """Takes a file's content piece by piece, and hands on the ids of its lines.

    Args:
        take_ids: is given the ids of some lines.
        report: is given the number of a bad line, and what it is.

    Attributes:
        bytes: how many it was given.
        count: lines, one without an end at the end included.
    """

    def __init__(self, take_ids: Callable[[list[bytes]], None], report: Callable[[int, str], None]) -> None:
        self.bytes = 0
        self.count = 0
        self._take_ids = take_ids
        self._report = report
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._gave_up = False

    def feed(self, content: bytes) -> None:
        """Take the next bytes."""
        for at in range(0, len(content), _WINDOW_BYTES):  # lines may be short, and too many at once
            self._feed(content[at : at + _WINDOW_BYTES])

    def end(self) -> None:
        """Take note that nothing follows."""
        if self._pending:
            self._report(self.count + 1, "without a line break at its end")
            self._check(b"".join(self._pending))

    def _feed(self, piece: bytes) -> None:
        self.bytes += len(piece)
        if self._gave_up:
            self.count += piece.count(b"\n")
            return
        end = piece.rfind(b"\n") + 1
        if end:
            block = b"".join((*self._pending, piece[:end]))
            self._forget()
            self._check(block)
        if end < len(piece):
            self._pending.append(piece[end:])
            self._pending_bytes += len(piece) - end
            if self._pending_bytes > LONGEST_LINE_BYTES:
                self._forget()
                self._gave_up = True
                self._report(
                    self.count + 1, f"longer than {LONGEST_LINE_BYTES >> 20} MiB, where looking at lines ended"
                )

    def _forget(self) -> None:
        self._pending.clear()
        self._pending_bytes = 0

    def _check(self, block: bytes) -> None:
        """Look at whole lines."""
        look = contact_id if first_bad_byte(block) is None else _contact_id_of_bytes
        ids = []
        for line in io.BytesIO(block):  # one at a time: all of them at once would leave the processor's cache
            self.count += 1
            try:
                ids.append(look(line))
            except BadLine as bad:
                self._report(self.count, str(bad))
        self._take_ids(ids)
