"""What travels through an export: frozen dataclasses without behaviour of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn, Protocol

from exporter.errors import ConfigError


class ResumeToken(Protocol):
    """What a listing remembers at one of its pages. Immutable."""

    def dump(self) -> str:
        """Write it down for a checkpoint."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of contacts, as the API gave it.

    Attributes:
        number: position in the listing, from 1 where the listing began.
        records: raw JSON bytes of each contact, in API order, untouched.
        next_cursor: opaque cursor of the next page, None on the last one.
        total_count: contacts the API counted when it answered, None when it
            gave no count. It moves while a listing runs: good for progress,
            no proof of completeness.
        is_truncated: True when a limit cut contacts off its end: `next_cursor` leads
            past contacts that it lacks.
        plain: False when a fast parser refused the page, such as for a lone
            surrogate.
        keys: twelve bytes for each contact that has an id, by which duplicates are noticed;
            see `exporter.rawjson.contact_keys`.
        resume: what the listing remembers at this page, besides `next_cursor`, for another run that resumes there.
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
            raise ConfigError("a Page is not iterated over itself: use page.records, the JSON bytes of each contact")


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded page. A file can be truncated after any frame and stays valid.

    Attributes:
        content: the bytes to write: lines of NDJSON or rows of CSV, or one gzip member of them.
        contacts: number of contacts in the content.
        uncompressed_bytes: length of the content before compression.
        matched_fields: the named fields that some contact of the page has.
        lists_expanded: lists of the contacts that were fetched in full.
        lists_missing: by cause, lists that could not be fetched; the embedded items stay.
        schema_checked: contacts that were compared with the schema.
        schema_drift: by path and kind, in how many of those a field had another type.
        corrections: by kind, corrections that normalized the contacts.
        irregular: checked contacts that strict JSON readers refuse or change.
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
    """How far an output has got: everything before it is written.

    Attributes:
        next_cursor: cursor of the page behind the last one written; None before
            the first and after the last. Of a page that a limit cut, contacts
            before it are missing.
        pages: pages written.
        contacts: contacts written.
        written_bytes: length of the output, all its files together; of Parquet that of the journals they are made of.
        uncompressed_bytes: its length before compression.
        reached_end: whether the API said that nothing follows.
    """

    next_cursor: str | None = None
    pages: int = 0
    contacts: int = 0
    written_bytes: int = 0
    uncompressed_bytes: int = 0
    reached_end: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """How an export went, in slices of the time that it ran; the time between its runs is not in it.

    Attributes:
        slice_s: seconds of each slice.
        contacts: written in each.
        retries: requests repeated in each.
        waited_s: seconds waited for the rate limit, counted with the next page.
        ran_s: seconds that all runs took, each to its last page.
    """

    slice_s: float = 1.0
    contacts: tuple[int, ...] = ()
    retries: tuple[int, ...] = ()
    waited_s: tuple[float, ...] = ()
    ran_s: float = 0.0

    @property
    def is_valid(self) -> bool:
        """Whether it can be one of ours: a file may be anybody's."""
        numbers = (*self.contacts, *self.retries, *self.waited_s)
        lengths = {len(self.contacts), len(self.retries), len(self.waited_s)}
        return (
            1 <= self.slice_s < _LONGEST_SLICE_S
            and 0 <= self.ran_s < _MOST
            and len(lengths) == 1
            and len(numbers) <= _MOST_NUMBERS
            and all(0 <= number < _MOST for number in numbers)
            and sum(numbers) < _MOST
        )


_MOST, _MOST_NUMBERS, _LONGEST_SLICE_S = 2**53, 3 * 1_000, 2**31


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
    """Where an export came from.

    Attributes:
        base_url: the API's address, or the name it is remembered by.
        endpoint: path of the listing.
        api_version: the version asked for.
        api_version_echoed: the version the API said it used, None when it did not say.
        per_page: contacts per page asked for.
    """

    base_url: str
    endpoint: str
    api_version: str
    api_version_echoed: str | None
    per_page: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A finished export: the figures of its manifest.

    Attributes:
        tool: name and version of the program that wrote it.
        complete: True only when the API said that no further page follows.
        limited_to_contacts: the limit the user set, None without one.
        source: where the contacts came from.
        started_at: start, UTC, ISO 8601 with a ``Z``.
        finished_at: end, the same way.
        runs: processes or calls it took.
        interruptions: how often it was stopped before its end, by whatever.
        pages: pages received.
        contacts: contacts written.
        total_count_first: the API's count on the first page, None without one.
        total_count_last: the API's count on the last page, None without one.
        shortfall: how many contacts the API counts more than it listed, where
            that is more than a page and a tenth of them; else None.
        requests: HTTP requests sent, every attempt counted.
        retries: attempts repeated, by cause: ``http_<status>``, ``network``,
            ``timeout``, ``broken_body``, ``shortfall``.
        rate_limit_wait_s: seconds spent waiting for the API's rate-limit window.
        part_contacts: most contacts in a file of a folder, None without that limit.
        part_bytes: most bytes in a file of a folder, or in the journal of one of Parquet; None for a single file.
        fields: the fields that were chosen, empty for all.
        dropped: the fields that were left out.
        pseudonymised: the fields whose values were replaced by pseudonyms.
        pseudonym_key: digits that another key would not have, nothing of the
            key itself; None without pseudonyms.
        unknown_fields: those of all these that no contact has.
        expanded: the lists that were completed from their own endpoints.
        tag_names: whether tags were given their names.
        lists_expanded: how many lists of contacts were completed.
        lists_missing: how many could not be: what the page had of them was written.
        lists_missing_causes: the same by cause: ``gone`` for contacts that were merged or deleted in the
            meantime, ``no_id``, ``http_<status>``, ``network``, ``timeout``, ``broken_body``.
        schema_checked: contacts that were compared with the documented schema.
        columns: of a table, the paths of the fields that they are.
        csv_raw: of CSV, whether cells that a spreadsheet would run as formulas
            were left as they are; None for other formats.
        schema_drift: by path and kind, in how many of those a field was not as
            documented: the JSON type that it had instead, ``unknown``, or
            ``out_of_range``. Of CSV also ``no_column``, for custom attributes
            that it has no column for. What fits no column is not in a table,
            but in the column ``raw`` of Parquet; all else is written as sent.
        csv_bom: of CSV, whether each file begins with a UTF-8 byte-order mark.
        csv_phones: of CSV, whether phone numbers were left as they are though they begin like formulas.
        records: how contacts were written: ``exact``, byte by byte as sent, or
            ``normalized`` for strict JSON readers.
        corrections: by kind, what was corrected to normalize them.
        duplicates: contacts that were listed before in the same export; None when that is not known.
        irregular_contacts: of an exact export, how many contacts at least hold
            values that strict JSON readers refuse or change; not all are checked.
        timeline: how it went.
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
        """Whether its contacts have their ids, by choice of the fields."""
        return "id" not in self.dropped and (not self.fields or "id" in self.fields)
