"""The check that each line of a finished file is a contact."""

import io
import re
from collections import Counter
from collections.abc import Callable

import msgspec

from exporter.rawjson.normalization import NAMES, normalize
from exporter.rawjson.utf8 import first_bad_byte

MAX_LINE_BYTES = 128 * 1024 * 1024
"""The maximum length of a line; a page of contacts has at most half of that."""

_WINDOW_BYTES = 128 * 1024
_ESCAPE = re.compile(
    rb"""\\(?: u[dD][89abAB]..\\u[dD][c-fC-F]..   # a complete pair of surrogates,
         |   u([dD])[89a-fA-F]..                 # a lone surrogate,
         |   . )                                 # any other escape""",
    re.DOTALL | re.VERBOSE,
)
_INTEGER = re.compile(rb"-?[0-9]+")


class InvalidLine(ValueError):  # noqa: N818 - the name describes the line; `str()` completes "the line is …"
    """A line is not a contact."""


class MissingId(InvalidLine):
    """A line is a JSON object without an id."""


class _Contact(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Contact).decode


def contact_id(line: bytes) -> bytes:
    """Check that a line of UTF-8 is one JSON object with an id, and return the id.

    The check allows the same as the export: integers of any length, duplicate
    keys and lone surrogates.

    Returns:
        The id as UTF-8, with its escapes decoded; for a number, its digits.

    Raises:
        MissingId: the object has no id.
        InvalidLine: the line is not one JSON object.
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


def _check_normalized(line: bytes) -> None:
    """Check that strict JSON readers accept a line without a change.

    Raises:
        InvalidLine: they reject or change a value in it.
    """
    corrections = Counter[str]()
    normalize(line.rstrip(b"\n"), corrections)
    if corrections:
        raise InvalidLine(f"not normalized: it has {', '.join(NAMES[kind] for kind in sorted(corrections))}")


def _decode_tolerantly(line: bytes) -> _Contact:
    try:
        return _decode(_without_lone_surrogates(line))
    except msgspec.DecodeError:
        raise InvalidLine("not one JSON object") from None
    except RecursionError:
        raise InvalidLine("nested too deeply to be checked") from None


def _without_lone_surrogates(line: bytes) -> bytes:
    r"""Replace each escape of a lone surrogate by one of a private-use character: ``\ud800`` becomes ``\ue800``.

    Such escapes are valid JSON, but `msgspec` rejects them. Python's own parser
    accepts them, but it creates Python objects for the complete line: a malicious
    line could need many times its size. An id with such an escape is compared in
    the replaced form.
    """
    replaced = bytearray(line)
    for escape in _ESCAPE.finditer(line):
        if escape[1]:
            replaced[escape.start(1)] = ord("e")
    return bytes(replaced)


class LineChecker:
    """A checker of a file's lines, which gets the content chunk by chunk.

    Args:
        on_ids: called with the ids of a number of lines.
        on_problem: called with the number of an invalid line and the problem; the text completes "the line is …".
        with_ids: whether each line must have an id.
        strict: whether strict JSON readers must accept each line without a change.

    Attributes:
        bytes: number of bytes so far.
        count: number of lines so far, including a last one without a line break.
    """

    unit = "line"
    """The noun for one record of the file, for messages."""

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
        """Check the next bytes of the file."""
        for start in range(0, len(content), _WINDOW_BYTES):  # limits the number of lines, which may be short
            self._feed(content[start : start + _WINDOW_BYTES])

    def end(self) -> None:
        """Check the end of the file: the caller has no more content."""
        if self._pending:
            self._on_problem(self.count + 1, "without a line break at its end")
            self._check(b"".join(self._pending))

    def _feed(self, content: bytes) -> None:
        self.bytes += len(content)
        if self._stopped:
            self.count += content.count(b"\n")
            return
        end = content.rfind(b"\n") + 1
        if end:
            block = b"".join((*self._pending, content[:end]))
            self._clear()
            self._check(block)
        if end < len(content):
            self._pending.append(content[end:])
            self._pending_bytes += len(content) - end
            if self._pending_bytes > MAX_LINE_BYTES:
                self._clear()
                self._stopped = True
                self._on_problem(
                    self.count + 1, f"longer than {MAX_LINE_BYTES >> 20} MiB, and the lines after it are not checked"
                )

    def _clear(self) -> None:
        self._pending.clear()
        self._pending_bytes = 0

    def _check(self, block: bytes) -> None:
        """Check a block of complete lines."""
        get_id = contact_id if first_bad_byte(block) is None else _contact_id_of_bytes
        ids = []
        for line in io.BytesIO(block):  # one at a time: a list of all lines does not fit into the processor's cache
            self.count += 1
            try:
                ids.append(get_id(line))
                if self._strict:
                    _check_normalized(line)
            except InvalidLine as problem:
                if self._with_ids or not isinstance(problem, MissingId):
                    self._on_problem(self.count, str(problem))
        self._on_ids(ids)
