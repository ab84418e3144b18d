"""The rows of a finished CSV file, proven to be as many and as wide as they should be."""

import io
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence

from exporter.archive.line_checker import MAX_LINE_BYTES, LineChecker
from exporter.rawjson.utf8 import first_bad_byte

_BYTE_ORDER_MARK = BOM_UTF8  # where it was asked for
_CELL = re.compile(rb'("[^"]*+(?:""[^"]*+)*+"|[^",\n]*+)([,\n])')


class CsvChecker(LineChecker):
    """Takes a CSV file's content piece by piece, and hands on the ids of its rows.

    Args:
        on_ids: is given the ids of some rows.
        report: is given the number of a bad row, its header not counted, and what it is.
        columns: what the header must say.
        with_ids: whether each row must have an id, in the column ``id``.

    Attributes:
        bytes: how many it was given.
        count: rows without the header.
    """

    unit = "row"

    def __init__(
        self,
        on_ids: Callable[[list[bytes]], None],
        on_problem: Callable[[int, str], None],
        columns: Sequence[str],
        *,
        with_ids: bool = True,
    ) -> None:
        super().__init__(on_ids, on_problem, with_ids=with_ids)
        self._columns = [column.encode(errors="backslashreplace").replace(b"\0", b"\\u0000") for column in columns]
        self._id = self._columns.index(b"id") if b"id" in self._columns else None
        self._row: list[bytes] = []
        self._row_bytes = 0
        self._is_open = False
        self._had_header = False

    def end(self) -> None:
        """Take note that nothing follows."""
        super().end()
        if self._row:
            self._on_problem(self.count + 1, "truncated inside of quotes")
        elif not self._had_header:
            self._on_problem(0, "not the one that the manifest tells of")

    def _check(self, block: bytes) -> None:
        """Look at whole lines, of which a row may have several."""
        ids: list[bytes] = []
        for line in io.BytesIO(block):
            self._row.append(line)
            self._row_bytes += len(line)
            self._is_open ^= bool(line.count(b'"') % 2)
            if self._row_bytes > MAX_LINE_BYTES:
                self._stop()
                break
            if not self._is_open:
                self._take_row(b"".join(self._row), ids)
                self._row, self._row_bytes = [], 0
        self._on_ids(ids)

    def _stop(self) -> None:
        self._on_problem(self.count + 1, f"longer than {MAX_LINE_BYTES >> 20} MiB, where looking at rows ended")
        self._row, self._stopped = [], True

    def _with_formula_guard(self, cells: Sequence[bytes]) -> list[bytes]:
        """Give the header's names as they are there, where only an apostrophe makes the difference."""
        found = map(_content, cells)
        return [cell if cell == b"'" + name else name for cell, name in zip(found, self._columns, strict=False)]

    def _take_row(self, row: bytes, ids: list[bytes]) -> None:
        if not self._had_header:
            row = row.removeprefix(_BYTE_ORDER_MARK)
        cells = _cells_of(row, len(self._columns) + 1)
        if not self._had_header:
            self._had_header = True
            # A name that a spreadsheet would run has an apostrophe before it.
            if [_content(cell) for cell in cells] not in (self._columns, self._with_formula_guard(cells)):
                self._on_problem(0, "not the one that the manifest tells of")
            return
        self.count += 1
        if first_bad_byte(row) is not None:
            self._on_problem(self.count, "not UTF-8")
        elif len(cells) != len(self._columns):
            self._on_problem(self.count, f"not a row of {len(self._columns)} cells")
        elif self._id is not None and (found := _content(cells[self._id])):
            ids.append(found)
        elif self._with_ids:
            self._on_problem(self.count, "without an id")


class CsvReader(CsvChecker):
    """Rows that are collected instead of being looked at.

    Args:
        columns: what they are cells of.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(lambda _ids: None, lambda _number, _what: None, columns)
        self._rows: list[list[bytes]] = []

    def take(self) -> list[list[bytes]]:
        """Give those that are whole, without the header."""
        rows, self._rows = self._rows, []
        return rows

    def _take_row(self, row: bytes, ids: list[bytes]) -> None:
        del ids
        if self._had_header:
            self._rows.append(_cells_of(row, len(self._columns) + 1))
        self._had_header = True


def _cells_of(row: bytes, most: int) -> list[bytes]:
    """Cut a row into its cells, so many at most; none if it is no row."""
    cells: list[bytes] = []
    at = 0
    while len(cells) < most and (cell := _CELL.match(row, at)):
        cells.append(cell[1])
        at = cell.end()
        if cell[2] == b"\n":
            return cells if at == len(row) else []
    return cells if len(cells) == most else []


def _content(cell: bytes) -> bytes:
    return cell[1:-1].replace(b'""', b'"') if cell.startswith(b'"') else cell
