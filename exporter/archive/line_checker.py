"""The lines of a finished file, proven to be contacts."""

import io
import re
from collections import Counter
from collections.abc import Callable

import msgspec

from exporter.rawjson.normalization import NAMES, normalize
from exporter.rawjson.utf8 import first_bad_byte

MAX_LINE_BYTES = 128 * 1024 * 1024
"""No line of ours is longer: a whole page may have half of that."""

_WINDOW_BYTES = 128 * 1024
_ESCAPE = re.compile(
    rb"""\\(?: u[dD][89abAB]..\\u[dD][c-fC-F]..   # a whole pair of surrogates,
         |   u([dD])[89a-fA-F]..                 # a lone one,
         |   . )                                 # any other escape""",
    re.DOTALL | re.VERBOSE,
)
_INTEGER = re.compile(rb"-?[0-9]+")


class InvalidLine(ValueError):  # noqa: N818 - a finding about a line; `str()` completes "the line is …"
    """A line is no contact."""


class MissingId(InvalidLine):
    """A line is a JSON object without an id."""


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
        MissingId: it has none.
        InvalidLine: it is something else.
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
    raise MissingId("without an id")


def _contact_id_of_bytes(line: bytes) -> bytes:
    if first_bad_byte(line) is not None:
        raise InvalidLine("not UTF-8")
    return contact_id(line)


def _refuse_irregular(line: bytes) -> None:
    """Prove that strict JSON readers take a line as it is.

    Raises:
        InvalidLine: they refuse or change something in it.
    """
    found = Counter[str]()
    normalize(line.rstrip(b"\n"), found)
    if found:
        raise InvalidLine(f"not normalized: it has {', '.join(NAMES[kind] for kind in sorted(found))}")


def _decode_tolerantly(line: bytes) -> _Contact:
    try:
        return _decode(_without_lone_surrogates(line))
    except msgspec.DecodeError:
        raise InvalidLine("not one JSON object") from None
    except RecursionError:
        raise InvalidLine("nested too deeply to be checked") from None


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


class LineChecker:
    """Takes a file's content piece by piece, and hands on the ids of its lines.

    Args:
        on_ids: is given the ids of some lines.
        report: is given the number of a bad line, and what it is.
        with_ids: whether each line must have an id.
        strict: whether strict JSON readers must take each line as it is.

    Attributes:
        bytes: how many it was given.
        count: lines, one without an end at the end included.
    """

    unit = "line"
    """What they are called in a sentence."""

    def __init__(
        self,
        on_ids: Callable[[list[bytes]], None],
        on_problem: Callable[[int, str], None],
        *,
        with_ids: bool = True,
        strict: bool = False,
    ) -> None:
        self.bytes = 0
        self.count = 0
        self._on_ids = on_ids
        self._on_problem = on_problem
        self._with_ids = with_ids
        self._strict = strict
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._stopped = False

    def feed(self, content: bytes) -> None:
        """Take the next bytes."""
        for at in range(0, len(content), _WINDOW_BYTES):  # lines may be short, and too many at once
            self._feed(content[at : at + _WINDOW_BYTES])

    def end(self) -> None:
        """Take note that nothing follows."""
        if self._pending:
            self._on_problem(self.count + 1, "without a line break at its end")
            self._check(b"".join(self._pending))

    def _feed(self, piece: bytes) -> None:
        self.bytes += len(piece)
        if self._stopped:
            self.count += piece.count(b"\n")
            return
        end = piece.rfind(b"\n") + 1
        if end:
            block = b"".join((*self._pending, piece[:end]))
            self._clear()
            self._check(block)
        if end < len(piece):
            self._pending.append(piece[end:])
            self._pending_bytes += len(piece) - end
            if self._pending_bytes > MAX_LINE_BYTES:
                self._clear()
                self._stopped = True
                self._on_problem(
                    self.count + 1, f"longer than {MAX_LINE_BYTES >> 20} MiB, where looking at lines ended"
                )

    def _clear(self) -> None:
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
                if self._strict:
                    _refuse_irregular(line)
            except InvalidLine as bad:
                if self._with_ids or not isinstance(bad, MissingId):
                    self._on_problem(self.count, str(bad))
        self._on_ids(ids)
