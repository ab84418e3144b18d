"""The check of a finished CSV file's header and rows, and a reader of its rows."""

import io
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence

from exporter.archive.line_checker import MAX_LINE_BYTES, LineChecker
from exporter.rawjson.utf8 import first_bad_byte

_BYTE_ORDER_MARK = BOM_UTF8  # only with --csv-bom
_CELL = re.compile(rb'("[^"]*+(?:""[^"]*+)*+"|[^",\n]*+)([,\n])')


class CsvChecker(LineChecker):
    """A checker of a CSV file's rows, which gets the content chunk by chunk.

    Args:
        on_ids: called with the ids of a number of rows.
        on_problem: called with the number of an invalid row, 0 for the header, and the problem.
        columns: the column names that the header must have.
        with_ids: whether each row must have an id, in the column ``id``.

    Attributes:
        bytes: number of bytes so far.
        count: number of rows so far, without the header.
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
        """Check the end of the file: the caller has no more content."""
        super().end()
        if self._row:
            self._on_problem(self.count + 1, "truncated inside quotes")
        elif not self._had_header:
            self._on_problem(0, "not the one in the manifest")

    def _check(self, block: bytes) -> None:
        """Check a block of complete lines; one row may have several lines."""
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
        self._on_problem(
            self.count + 1, f"longer than {MAX_LINE_BYTES >> 20} MiB, and the rows after it are not checked"
        )
        self._row, self._stopped = [], True

    def _with_formula_guard(self, cells: Sequence[bytes]) -> list[bytes]:
        """Return the column names, each with an apostrophe in front if the header's cell has one."""
        names = map(_content, cells)
        return [cell if cell == b"'" + name else name for cell, name in zip(names, self._columns, strict=False)]

    def _take_row(self, row: bytes, ids: list[bytes]) -> None:
        if not self._had_header:
            row = row.removeprefix(_BYTE_ORDER_MARK)
        cells = _cells_of(row, len(self._columns) + 1)
        if not self._had_header:
            self._had_header = True
            # The export puts an apostrophe before a name that a spreadsheet would run as a formula.
            if [_content(cell) for cell in cells] not in (self._columns, self._with_formula_guard(cells)):
                self._on_problem(0, "not the one in the manifest")
            return
        self.count += 1
        if first_bad_byte(row) is not None:
            self._on_problem(self.count, "not UTF-8")
        elif len(cells) != len(self._columns):
            self._on_problem(self.count, f"not a row of {len(self._columns)} cells")
        elif self._id is not None and (contact_id := _content(cells[self._id])):
            ids.append(contact_id)
        elif self._with_ids:
            self._on_problem(self.count, "without an id")


class CsvReader(CsvChecker):
    """A reader of a CSV file's rows: the rows are returned instead of being checked.

    Args:
        columns: the column names; a row has as many cells.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(lambda _ids: None, lambda _number, _what: None, columns)
        self._rows: list[list[bytes]] = []

    def take(self) -> list[list[bytes]]:
        """Return the complete rows since the last call, without the header."""
        rows, self._rows = self._rows, []
        return rows

    def _take_row(self, row: bytes, ids: list[bytes]) -> None:
        del ids
        if self._had_header:
            self._rows.append(_cells_of(row, len(self._columns) + 1))
        self._had_header = True


def _cells_of(row: bytes, max_cells: int) -> list[bytes]:
    """Split a row into at most `max_cells` cells; return an empty list if the row is malformed."""
    cells: list[bytes] = []
    start = 0
    while len(cells) < max_cells and (cell := _CELL.match(row, start)):
        cells.append(cell[1])
        start = cell.end()
        if cell[2] == b"\n":
            return cells if start == len(row) else []
    return cells if len(cells) == max_cells else []


def _content(cell: bytes) -> bytes:
    return cell[1:-1].replace(b'""', b'"') if cell.startswith(b'"') else cell
