"""What becomes of a page: one object for the format, the selection, the columns and the checks of an export."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.errors import ConfigError, ContractError
from exporter.formats.csv import BYTE_ORDER_MARK, CsvEncoder
from exporter.formats.drift import DriftDetector
from exporter.formats.ndjson import lines
from exporter.formats.registry import NDJSON, Format
from exporter.formats.selection import EVERY_FIELD, FieldSelection
from exporter.formats.strict_readers import NO_CHECK, Strictness
from exporter.model import Frame, Page
from exporter.rawjson.normalization import Records

Make = Callable[[io.BufferedIOBase], Any]
_CHECKED_AT_FIRST, _CHECKED_EVERY = 100, 16
_WHOLLY_CHECKED, _CONTACTS_CHECKED_EVERY = 1, 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Turns pages into frames, and gives what stands in a file before and without them.

    Attributes:
        output_format: the output format.
        selection: what is written of each contact.
        records: ``exact`` or ``normalized``.
        csv_raw: whether formulas in CSV stay unescaped.
        csv_bom: whether each CSV file begins with a UTF-8 byte-order mark.
        columns: of a table, the paths of the fields that are its columns; empty until they are known.
        pages_before: pages that earlier runs have written, so that samples do not depend on them.

    Raises:
        ConfigError: an option is for another format.
    """

    output_format: Format = NDJSON
    selection: FieldSelection = EVERY_FIELD
    records: Records = "exact"
    csv_raw: bool = False
    csv_bom: bool = False
    columns: tuple[str, ...] = ()
    pages_before: int = 0
    _rows: CsvEncoder | None = field(init=False, repr=False, compare=False)
    _drift: DriftDetector = field(init=False, repr=False, compare=False, default_factory=DriftDetector)

    def __post_init__(self) -> None:
        for name in ("csv_raw", "csv_bom"):
            if getattr(self, name) and not self.output_format.has_rows:
                raise ConfigError(f"{name} is for CSV, and the output has another format", name)
        rows = None
        if self.output_format.has_rows and self.columns:
            rows = CsvEncoder(self.columns, raw=self.csv_raw, chosen=bool(self.selection.fields))
        object.__setattr__(self, "_rows", rows)

    @property
    def header(self) -> Frame:
        """What stands at the beginning of each file: nothing, or a table's header."""
        plain = (BYTE_ORDER_MARK if self.csv_bom else b"") + self._rows.header if self._rows else b""
        return Frame(self._compressed(plain) if plain else plain, 0, len(plain))

    @property
    def empty_file(self) -> Frame:
        """No contact at all, as a valid file: of a table its header."""
        return self.header if self._rows else Frame(self._compressed(b""), 0, 0)

    @property
    def converter(self) -> Make | None:
        """What begins a file that is made of lines once all are there; None where the lines are the file."""
        convert, columns = self.output_format.convert, self.columns
        return None if convert is None else lambda file: convert(file, columns)

    def takes_long(self, page: Page) -> bool:
        """Return whether encoding a page takes milliseconds: worth a thread. Joining lines does not."""
        is_checked = self.checks(page) or not page.plain or self.records != "exact"
        return bool(self.output_format.compress or self.selection or self._rows or is_checked)

    def encode(self, page: Page, records: Sequence[bytes] | None = None) -> Frame:
        """Encode a page. Blocks.

        Args:
            page: as the API sent it; its contacts are what is compared with the schema.
            records: what is written instead of its contacts, such as those with expanded lists.

        Raises:
            ContractError: a contact is nested too deeply, or there are too many.
        """
        matched, drift, strictness = set[str](), Counter[tuple[str, str]](), self.strictness(page)
        plain = self._plain(page.records if records is None else records, matched, drift, strictness)
        checks = self.checks(page)
        return Frame(
            self._compressed(plain) if plain else plain,
            len(page.records),
            len(plain),
            frozenset(matched),
            schema_checked=len(page.records) if checks else 0,
            schema_drift=drift + self._drift.check(page.records) if checks else drift,
            corrections=strictness.corrections,
            irregular=strictness.irregular,
        )

    def _plain(
        self, records: Sequence[bytes], matched: set[str], drift: Counter[tuple[str, str]], strictness: Strictness
    ) -> bytes:
        """Return contacts as lines, uncompressed. Add the paths that matched, and columns that are missing."""
        try:
            if self.selection:
                records = [self.selection.apply(record, matched) for record in records]
            records = strictness.of(records) if strictness else records
            return self._rows.encode(records, drift) if self._rows else lines(records)
        except (ValueError, RecursionError):  # they are JSON, so it is the only thing that can be wrong
            raise ContractError(
                "a contact is nested too deeply to be taken apart: NDJSON without a choice of fields can hold it"
            ) from None

    def _compressed(self, plain: bytes) -> bytes:
        compress = self.output_format.compress
        return compress(plain) if compress else plain

    def checks(self, page: Page) -> bool:
        """Return whether a page's contacts are compared with the schema.

        That takes a third of the time of everything else: so each of the first
        pages is, and of the others a few. Of tables all are.
        """
        number = self.pages_before + page.number
        return bool(self.columns) or number <= _CHECKED_AT_FIRST or number % _CHECKED_EVERY == 0

    def strictness(self, page: Page) -> Strictness:
        """Return what normalizes a page's contacts, or checks some of them for what strict readers refuse.

        A check takes as long as everything else that is done for a contact.
        The first page is checked completely, and so are pages that a fast
        parser refused; of other pages whose schema is checked, one contact in 128.
        """
        number = self.pages_before + page.number
        if self.records != "exact":
            return Strictness(normalized=True)
        if self.output_format.has_rows or self.output_format.convert or not (self.checks(page) or not page.plain):
            return NO_CHECK
        if number <= _WHOLLY_CHECKED or not page.plain:
            return Strictness(every=1)
        return Strictness(every=_CONTACTS_CHECKED_EVERY, first=number % _CONTACTS_CHECKED_EVERY)
