"""A finished export, summed up from its settings and figures."""

from collections.abc import Sequence
from datetime import UTC, datetime

from exporter import __version__
from exporter.model import FileSummary, SourceSummary, Summary
from exporter.sink.checkpoint import Figures, Settings


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
    return Summary(
        tool=f"intercom-exporter {__version__}",
        complete=figures.position.reached_end,
        limited_to_contacts=settings.max_contacts,
        source=SourceSummary(
            settings.base_url, settings.endpoint, settings.api_version, figures.api_version_echoed, settings.per_page
        ),
        started_at=figures.started_at,
        finished_at=utc_now(),
        runs=figures.runs,
        interruptions=figures.runs - 1,
        pages=figures.position.pages,
        contacts=figures.position.contacts,
        total_count_first=figures.total_count_first,
        total_count_last=figures.total_count_last,
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
        columns=figures.columns,
        csv_raw=settings.csv_raw,
        schema_checked=figures.schema_checked,
        schema_drift=figures.schema_drift,
        timeline=figures.timeline,
        files=files,
    )


def utc_now() -> str:
    """Give the time as outputs show it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
