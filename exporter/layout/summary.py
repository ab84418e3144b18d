"""The summary of a finished export: what its manifest records, as frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.model import Timeline


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


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """The plan of an export with several cursors.

    Attributes:
        by: ``second`` or ``day``, by what a date means to the API; ``+id`` where days or seconds were cut by ids.
        timezone: the workspace's time zone; None if the token could not read it.
        ranges: number of ranges.
        requests: requests that were sent to make the plan.
        cursors: maximum cursors of the run that finished the export.
        field: the date that the ranges are cut by.
    """

    by: str
    timezone: str | None
    ranges: int
    requests: int
    cursors: int
    field: str = "created_at"


@dataclass(frozen=True, slots=True)
class RangeSummary:
    """One range of an export with several cursors, and when it was read.

    Attributes:
        number: its number, from 1, in order of time.
        contacts: contacts in it.
        lane: which of the cursors finished it, from 1: each reads one range after another.
        began_s: when it was begun: seconds that the export had run by then, without the time between runs.
        ended_s: when it was finished, in the same way.
    """

    number: int
    contacts: int
    lane: int
    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSummary:
    """The counts that show that an export with several cursors is complete. See ``docs/cursors.md``.

    Attributes:
        by: ``counts``, or ``ids`` if the list's ids were read too.
        list_first: contacts that the list counted at the start.
        search_first: contacts that the search counted at the start.
        late: contacts that no range had and that the searches at the end found.
        listed: contacts that only the list had; 0 if it was not read.
        search_last: of the contacts that existed at the start, those that the search counted at the end.
        distinct: of the contacts that existed at the start, those that were written, each counted once.
        created_during_run: contacts that were written and were created after the start.
        duplicates: contacts that were written more than once.
        unexplained: contacts by which the counts differ beyond what creations and deletions explain.
        settle_s: seconds that the second search waited at most for contacts that were just created.
    """

    by: str
    list_first: int
    search_first: int
    late: int
    listed: int = 0
    search_last: int
    distinct: int
    created_during_run: int
    duplicates: int
    unexplained: int
    settle_s: float = 0.0


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
        plan: for an export with several cursors, its plan; else None.
        proof: for an export with several cursors, what shows that it is complete; else None.
        ranges: for an export with several cursors, its ranges in the order in which they were finished.
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
    timeline: Timeline = Timeline()  # noqa: RUF009 - a Timeline is immutable
    plan: PlanSummary | None = None
    proof: ProofSummary | None = None
    ranges: tuple[RangeSummary, ...] = ()
    files: tuple[FileSummary, ...]

    @property
    def has_ids(self) -> bool:
        """Whether the selected fields include the id."""
        return "id" not in self.dropped and (not self.fields or "id" in self.fields)
