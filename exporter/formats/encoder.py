"""The encoder of an export: format, field selection, columns and schema checks in one object."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.errors import ConfigError, ContractError
from exporter.formats.csv import BYTE_ORDER_MARK
from exporter.formats.drift import DriftDetector
from exporter.formats.ndjson import lines
from exporter.formats.registry import NDJSON, Format, RowEncoder
from exporter.formats.selection import EVERY_FIELD, FieldSelection
from exporter.formats.strict_readers import NO_CHECK, Strictness
from exporter.model import Frame, Page
from exporter.rawjson.normalization import Records

OpenWriter = Callable[[io.BufferedIOBase], Any]
_FIRST_PAGES_CHECKED, _CHECKED_PAGE_INTERVAL = 100, 16
_PAGES_CHECKED_IN_FULL, _CHECKED_CONTACT_INTERVAL = 1, 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """An encoder of pages as frames; it also encodes the header of a file, and an empty file.

    Attributes:
        output_format: the output format.
        selection: the fields that are written.
        records: ``exact`` or ``normalized``.
        csv_raw: whether formulas in CSV stay unescaped.
        csv_bom: whether each CSV file begins with a UTF-8 byte-order mark.
        columns: paths of a table's columns; empty for other formats, and until they are known.
        pages_written_before: pages that earlier runs have written; a resumed export samples the same pages.

    Raises:
        ConfigError: an option belongs to another format.
    """

    output_format: Format = NDJSON
    selection: FieldSelection = EVERY_FIELD
    records: Records = "exact"
    csv_raw: bool = False
    csv_bom: bool = False
    columns: tuple[str, ...] = ()
    pages_written_before: int = 0
    _rows: RowEncoder | None = field(init=False, repr=False, compare=False)
    _drift: DriftDetector = field(init=False, repr=False, compare=False, default_factory=DriftDetector)

    def __post_init__(self) -> None:
        for name in ("csv_raw", "csv_bom"):
            if getattr(self, name) and not self.output_format.has_rows:
                raise ConfigError(f"{name} requires a CSV output", name)
        rows = None
        if self.output_format.rows and self.columns:
            rows = self.output_format.rows(self.columns, raw=self.csv_raw, chosen=bool(self.selection.fields))
        object.__setattr__(self, "_rows", rows)

    @property
    def header(self) -> Frame:
        """The beginning of each file: the header of a table; empty for other formats."""
        plain = (BYTE_ORDER_MARK if self.csv_bom else b"") + self._rows.header if self._rows else b""
        return Frame(self._compressed(plain) if plain else plain, 0, len(plain))

    @property
    def empty_file(self) -> Frame:
        """The content of a valid file without contacts."""
        return self.header if self._rows else Frame(self._compressed(b""), 0, 0)

    @property
    def converter(self) -> OpenWriter | None:
        """The function that opens a writer for converting a complete journal; None if the format needs no journal."""
        convert, columns = self.output_format.convert, self.columns
        return None if convert is None else lambda file: convert(file, columns)

    def takes_long(self, page: Page) -> bool:
        """Return whether encoding a page takes milliseconds, so that a thread is worth it. Joining lines is faster."""
        is_checked = self.checks_schema(page) or not page.plain or self.records != "exact"
        return bool(self.output_format.compress or self.selection or self._rows or is_checked)

    def encode(self, page: Page, records: Sequence[bytes] | None = None) -> Frame:
        """Encode a page. Blocks.

        Args:
            page: the page as the API sent it; its contacts are compared with the schema.
            records: contacts to write instead of the page's contacts, for example those with expanded lists.

        Raises:
            ContractError: a contact is nested too deeply, or the page has too many contacts.
        """
        matched, missing_columns, strictness = set[str](), Counter[tuple[str, str]](), self.strictness(page)
        plain = self._plain(page.records if records is None else records, matched, missing_columns, strictness)
        checks = self.checks_schema(page)
        return Frame(
            self._compressed(plain) if plain else plain,
            len(page.records),
            len(plain),
            frozenset(matched),
            schema_checked=len(page.records) if checks else 0,
            schema_drift=missing_columns + self._drift.check(page.records) if checks else missing_columns,
            corrections=strictness.corrections,
            irregular=strictness.irregular,
        )

    def _plain(
        self,
        records: Sequence[bytes],
        matched: set[str],
        missing_columns: Counter[tuple[str, str]],
        strictness: Strictness,
    ) -> bytes:
        """Return contacts as uncompressed lines. Add the paths that matched, and the columns that are missing."""
        try:
            if self.selection:
                records = [self.selection.apply(record, matched) for record in records]
            records = strictness.apply(records) if strictness else records
            return self._rows.encode(records, missing_columns) if self._rows else lines(records)
        except (ValueError, RecursionError):  # the records are valid JSON, so only the depth can be the reason
            raise ContractError(
                "a contact is nested too deeply to be reshaped: export it as NDJSON without a field selection "
                "(--fields, --drop, --pseudonymise)"
            ) from None

    def _compressed(self, plain: bytes) -> bytes:
        compress = self.output_format.compress
        return compress(plain) if compress else plain

    def checks_schema(self, page: Page) -> bool:
        """Return whether to compare a page's contacts with the schema.

        The check adds a third to the time of all other work. So it covers the
        first 100 pages, then every 16th page; for tables it covers every page.
        """
        number = self.pages_written_before + page.number
        return bool(self.columns) or number <= _FIRST_PAGES_CHECKED or number % _CHECKED_PAGE_INTERVAL == 0

    def strictness(self, page: Page) -> Strictness:
        """Return the object that normalizes a page's contacts, or checks some of them.

        A check takes as long as all other work for a contact. So it covers all
        contacts of the first page and of pages that the fast parser refused,
        and one contact in 128 of the other pages whose schema is checked.
        """
        number = self.pages_written_before + page.number
        if self.records != "exact":
            return Strictness(normalized=True)
        if self.output_format.has_rows or self.output_format.convert:
            return NO_CHECK
        if page.plain and not self.checks_schema(page):
            return NO_CHECK
        if number <= _PAGES_CHECKED_IN_FULL or not page.plain:
            return Strictness(every=1)
        return Strictness(every=_CHECKED_CONTACT_INTERVAL, first=number % _CHECKED_CONTACT_INTERVAL)
