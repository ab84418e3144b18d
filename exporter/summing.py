"""A finished export, summed up from its settings and figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from exporter._version import __version__
from exporter.layout.checkpoint import Figures, Settings
from exporter.model import FileSummary, SourceSummary, Summary
from exporter.observe.events import OldVersion, VersionMismatch
from exporter.source.shortfall import shortfall

_MAX_DRIFTING_FIELDS = 100
_WITHHELD_FIELD = "(withheld)"
_OTHER_FIELDS = "(others)"


def summary_of(
    settings: Settings, figures: Figures, unknown_fields: Sequence[str], files: tuple[FileSummary, ...] = ()
) -> Summary:
    """Sum up a finished export.

    Args:
        settings: of the export.
        figures: of all its runs.
        unknown_fields: fields that were named and that no contact has.
        files: that were written.
    """
    position, first, last = figures.position, figures.total_count_first, figures.total_count_last
    missing = shortfall(last, first, position.contacts, settings.per_page) if position.reached_end else None
    return Summary(
        tool=f"intercom-exporter {__version__}",
        complete=position.reached_end,
        limited_to_contacts=settings.max_contacts,
        source=SourceSummary(
            settings.base_url, settings.endpoint, settings.api_version, figures.api_version_echoed, settings.per_page
        ),
        started_at=figures.started_at,
        finished_at=utc_now(),
        runs=figures.runs,
        interruptions=figures.runs - 1,
        pages=position.pages,
        contacts=position.contacts,
        total_count_first=first,
        total_count_last=last,
        shortfall=missing,
        requests=figures.requests,
        retries=figures.retries,
        rate_limit_wait_s=figures.rate_limit_wait_s,
        part_contacts=settings.part_contacts,
        part_bytes=settings.part_bytes,
        fields=settings.fields,
        dropped=settings.dropped,
        pseudonymised=settings.pseudonymised,
        pseudonym_key=settings.pseudonym_key,
        unknown_fields=tuple(unknown_fields),
        expanded=settings.expanded,
        tag_names=settings.tag_names,
        lists_expanded=figures.lists_expanded,
        lists_missing=figures.lists_missing,
        lists_missing_causes=figures.lists_missing_causes,
        columns=figures.columns,
        csv_raw=settings.csv_raw,
        csv_bom=settings.csv_bom,
        csv_phones=settings.csv_phones,
        records=settings.records,
        corrections=figures.corrections,
        irregular_contacts=figures.irregular_contacts,
        schema_checked=figures.schema_checked,
        schema_drift=figures.schema_drift,
        timeline=figures.timeline,
        files=files,
    )


def add_drift(
    counts: dict[str, dict[str, int]], found: Mapping[tuple[str, str], int], holds_token: Callable[[str], bool]
) -> None:
    """Add what a page has that is not documented to an export's counts, which stay of a limited number.

    Args:
        counts: by field and kind.
        found: by field and kind of it.
        holds_token: whether a name holds the access token: then it is counted under another one.
    """
    for (path, kind), count in sorted(found.items()):
        if path not in counts and holds_token(path):
            path = _WITHHELD_FIELD  # noqa: PLW2901
        is_named = path in counts or len(counts) < _MAX_DRIFTING_FIELDS
        kinds = counts.setdefault(path if is_named else _OTHER_FIELDS, {})
        kinds[kind] = kinds.get(kind, 0) + count


def utc_now() -> str:
    """Give the time as outputs show it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def version_events(asked: str, echoed: str | None) -> Iterator[OldVersion | VersionMismatch]:
    """Yield what is worth saying about the API version that was asked for, and the one that the API used."""
    if asked.startswith("1."):
        yield OldVersion(asked)
    if echoed is not None and echoed != asked:
        yield VersionMismatch(asked, echoed)
