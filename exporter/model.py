"""The data of an export: frozen dataclasses, almost without behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn, Protocol

from exporter.errors import ConfigError


class ResumeToken(Protocol):
    """The state of a listing at one page, besides the cursor, for another run that resumes there. Immutable."""

    def dump(self) -> str:
        """Return it as text, for a checkpoint."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of contacts, as the API sent it.

    Attributes:
        number: position in the listing, from 1 where the listing began.
        records: raw JSON bytes of each contact, in API order, unchanged.
        next_cursor: opaque cursor of the next page, None on the last page.
        total_count: contacts that the API counted when it sent this page, None without a
            count. It changes while a listing runs: use it for progress, not as a proof
            of completeness.
        is_truncated: True when a limit removed contacts from its end: the page at
            `next_cursor` does not begin with them.
        plain: False when the fast parser refused the page, such as for a lone
            surrogate.
        keys: twelve bytes for each contact that has an id, to find duplicates;
            see `exporter.rawjson.contact_keys`.
        resume: state of the listing at this page, besides `next_cursor`, for another run that resumes there.
    """

    number: int
    records: tuple[bytes, ...] = field(repr=False)
    next_cursor: str | None
    total_count: int | None
    is_truncated: bool = False
    plain: bool = True
    keys: bytes = field(default=b"", repr=False, compare=False)
    resume: "ResumeToken | None" = field(default=None, repr=False, compare=False)

    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise ConfigError("a Page cannot be iterated over: use page.records, the JSON bytes of each contact")


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded page. A file can be truncated after any frame and stays valid.

    Attributes:
        content: the bytes to write: lines of NDJSON or rows of CSV, or one gzip member of them.
        contacts: number of contacts in the content.
        uncompressed_bytes: length of the content before compression.
        matched_fields: the named fields that at least one contact of the page has.
        lists_expanded: number of lists that were completed.
        lists_missing: number of lists that could not be completed, by cause; they keep their embedded items.
        schema_checked: number of contacts that were compared with the schema.
        schema_drift: by path and kind, in how many of those a field had another type.
        corrections: number of corrections that normalized the contacts, by kind.
        irregular: number of checked contacts that strict JSON readers refuse or change.
    """

    content: bytes = field(repr=False)
    contacts: int
    uncompressed_bytes: int
    matched_fields: frozenset[str] = frozenset()
    lists_expanded: int = 0
    lists_missing: Mapping[str, int] = field(default_factory=dict)
    schema_checked: int = 0
    schema_drift: Mapping[tuple[str, str], int] = field(default_factory=dict)
    corrections: Mapping[str, int] = field(default_factory=dict)
    irregular: int = 0


def prepend_header(first: Frame, second: Frame) -> Frame:
    """Return the first frame of a file with the header of the file before it."""
    return replace(
        second,
        content=first.content + second.content,
        uncompressed_bytes=first.uncompressed_bytes + second.uncompressed_bytes,
    )


@dataclass(frozen=True, slots=True)
class Position:
    """A position in an output: everything before it is written.

    Attributes:
        next_cursor: cursor of the page after the last written page; None before
            the first page and after the last. If a limit truncated that page, the
            output lacks the contacts that were removed from its end.
        pages: pages written.
        contacts: contacts written.
        written_bytes: length of all files of the output together; for Parquet, of the journals of its files.
        uncompressed_bytes: its length before compression.
        reached_end: whether the last written page was the last of the list.
    """

    next_cursor: str | None = None
    pages: int = 0
    contacts: int = 0
    written_bytes: int = 0
    uncompressed_bytes: int = 0
    reached_end: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """The progress of an export over time, in slices of equal length. Time between its runs does not count.

    Attributes:
        slice_s: seconds of each slice.
        contacts: contacts written in each slice.
        retries: requests repeated in each slice.
        waited_s: seconds waited for the rate limit in each slice, counted with the next page.
        ran_s: seconds of all runs, each up to its last page.
    """

    slice_s: float = 1.0
    contacts: tuple[int, ...] = ()
    retries: tuple[int, ...] = ()
    waited_s: tuple[float, ...] = ()
    ran_s: float = 0.0

    @property
    def is_valid(self) -> bool:
        """Whether the values are plausible: the manifest may come from another program."""
        numbers = (*self.contacts, *self.retries, *self.waited_s)
        lengths = {len(self.contacts), len(self.retries), len(self.waited_s)}
        return (
            1 <= self.slice_s < _MAX_SLICE_S
            and 0 <= self.ran_s < _MAX_VALUE
            and len(lengths) == 1
            and len(numbers) <= _MAX_NUMBERS
            and all(0 <= number < _MAX_VALUE for number in numbers)
            and sum(numbers) < _MAX_VALUE
        )


_MAX_VALUE, _MAX_NUMBERS, _MAX_SLICE_S = 2**53, 3 * 1_000, 2**31


@dataclass(frozen=True, slots=True)
class FileSummary:
    """One finished file of an export.

    Attributes:
        name: file name, without its folder.
        bytes: its length.
        sha256: hex digest of its bytes.
        contacts: contacts in it.
        uncompressed_bytes: its length before compression.
    """

    name: str
    bytes: int
    sha256: str
    contacts: int
    uncompressed_bytes: int


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """The API that an export read.

    Attributes:
        base_url: the API's address, or the fixed name of a sandbox.
        endpoint: path of the listing.
        api_version: the requested API version.
        api_version_echoed: the version that the responses named, None if they named none.
        per_page: the requested number of contacts per page.
    """

    base_url: str
    endpoint: str
    api_version: str
    api_version_echoed: str | None
    per_page: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A finished export, as its manifest records it.

    Attributes:
        tool: name and version of the program that wrote it.
        complete: True only if the export reached the last page of the list.
        limited_to_contacts: the limit that the user set, None without one.
        source: the API that it read.
        started_at: start, UTC, ISO 8601 with a ``Z``.
        finished_at: end, in the same form.
        runs: number of runs, from the first to the one that finished it.
        interruptions: number of runs that ended before the end of the list, for any reason.
        pages: pages received.
        contacts: contacts written.
        total_count_first: the API's count on the first page, None without a count.
        total_count_last: the API's count on the last page, None without a count.
        shortfall: how many more contacts the API counts than it listed, if that is
            more than a page and a tenth of them; else None.
        requests: HTTP requests sent, every attempt counted.
        retries: attempts repeated, by cause: ``http_<status>``, ``network``,
            ``timeout``, ``broken_body``, ``shortfall``.
        rate_limit_wait_s: seconds spent waiting for the API's rate-limit window.
        part_contacts: maximum contacts in a file of a folder, None without that limit.
        part_bytes: maximum bytes in a file of a folder, for Parquet in its journal; None for a single file.
        fields: the selected fields, empty for all.
        dropped: the fields that were removed.
        pseudonymised: the fields whose values were replaced by pseudonyms.
        pseudonym_key: hexadecimal digits that identify the key, but do not reveal it;
            None without pseudonyms.
        unknown_fields: the fields named above that no contact has.
        expanded: the lists that were completed from their own endpoints.
        tag_names: whether names were added to tags.
        lists_expanded: number of lists that were completed.
        lists_missing: number of lists that could not be completed; they keep their embedded items.
        lists_missing_causes: same by cause: ``gone`` for contacts that were merged or deleted in the
            meantime, ``no_id``, ``http_<status>``, ``network``, ``timeout``, ``broken_body``.
        schema_checked: number of contacts that were compared with the documented schema.
        columns: for a table, the paths of its columns.
        csv_raw: for CSV, whether formulas stayed unescaped; None for other formats.
        schema_drift: by path and kind, in how many of the checked contacts a field differed
            from the schema: the JSON type that it had instead, ``unknown``, or
            ``out_of_range``; for CSV also ``no_column``, for custom attributes without
            a column. A value that fits no column is not in the table; Parquet keeps
            it in its column ``raw``. Other formats write it as sent.
        csv_bom: for CSV, whether each file begins with a UTF-8 byte-order mark.
        csv_phones: for CSV, whether phone numbers stayed unescaped although they begin like formulas.
        records: how contacts were written: ``exact``, byte for byte as sent, or
            ``normalized`` for strict JSON readers.
        corrections: number of corrections that normalized the contacts, by kind.
        duplicates: number of contacts that were listed more than once; None if unknown.
        irregular_contacts: for an exact export, number of contacts with values that
            strict JSON readers refuse or change, at least: not all contacts are checked.
        timeline: its progress over time.
        files: the files written, in the order of their contacts.
    """

    tool: str
    complete: bool
    limited_to_contacts: int | None = None
    source: SourceSummary
    started_at: str
    finished_at: str
    runs: int
    interruptions: int = 0
    pages: int
    contacts: int
    total_count_first: int | None
    total_count_last: int | None
    shortfall: int | None = None
    requests: int
    retries: Mapping[str, int]
    rate_limit_wait_s: float
    part_contacts: int | None = None
    part_bytes: int | None = None
    fields: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    pseudonymised: tuple[str, ...] = ()
    pseudonym_key: str | None = None
    unknown_fields: tuple[str, ...] = ()
    expanded: tuple[str, ...] = ()
    tag_names: bool = False
    lists_expanded: int = 0
    lists_missing: int = 0
    lists_missing_causes: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    csv_raw: bool | None = None
    schema_checked: int = 0
    schema_drift: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    csv_bom: bool = False
    csv_phones: bool = False
    records: str = "exact"
    corrections: Mapping[str, int] = field(default_factory=dict)
    irregular_contacts: int = 0
    duplicates: int | None = None
    timeline: Timeline = Timeline()
    files: tuple[FileSummary, ...]

    @property
    def has_ids(self) -> bool:
        """Whether the selected fields include the id."""
        return "id" not in self.dropped and (not self.fields or "id" in self.fields)
