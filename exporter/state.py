"""The state of a job: what it has written and what that took, all its runs together."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from exporter._version import __version__
from exporter.layout.checkpoint import JobProgress, OutputSettings, summary_settings
from exporter.model import FileSummary, Frame, Page, Position, ResumeToken, SourceSummary, Summary
from exporter.observe.timeline import TimelineRecorder

_MAX_DRIFTING_FIELDS = 100
_WITHHELD_FIELD = "(withheld)"
_OTHER_FIELDS = "(others)"


class Traffic(Protocol):
    """What the requests of this run have cost so far; it counts on while the job runs."""

    requests: int
    retries: Counter[str]
    rate_limit_wait_s: float
    version_echoed: str | None


class JobState:
    """Counts pages in as they are written. A checkpoint stores it, and a finished job is summed up from it.

    Args:
        traffic: of this run.
        before: what a checkpoint has of earlier runs; None for a new export.
        holds_token: whether a field's name holds the access token.

    Attributes:
        position: up to where everything is written.
        columns: of a table, the paths of the fields that are its columns.
        found: of the fields that were named, those that some contact had.
        duplicates: contacts that were listed before; None when that is not known.
    """

    def __init__(
        self,
        traffic: Traffic,
        before: JobProgress | None = None,
        *,
        holds_token: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        before = JobProgress(started_at=utc_now(), runs=0) if before is None else before
        self._before, self._traffic, self._holds_token = before, traffic, holds_token
        self.position, self.columns = before.position, before.columns
        self.found = frozenset(before.found)
        self.duplicates: int | None = None
        self._resume: ResumeToken | None = None  # of the latest page written in this run
        self._total_count_first, self._total_count_last = before.total_count_first, before.total_count_last
        self._lists_expanded, self._lists_missing = before.lists_expanded, before.lists_missing
        self._missing_causes = Counter(before.lists_missing_causes)
        self._schema_checked = before.schema_checked
        self._drift = {path: dict(kinds) for path, kinds in before.schema_drift.items()}
        self._corrections, self._irregular = Counter(before.corrections), before.irregular_contacts
        self._pace = TimelineRecorder(before.timeline)

    def add(self, page: Page, frame: Frame, ran_s: float) -> None:
        """Count a page that was written.

        Args:
            page: as it was fetched.
            frame: as it was written, with what stands in its file before it.
            ran_s: seconds that this run has moved pages.
        """
        before = self.position
        self.position = Position(
            page.next_cursor,
            before.pages + 1,
            before.contacts + frame.contacts,
            before.written_bytes + len(frame.content),
            before.uncompressed_bytes + frame.uncompressed_bytes,
            page.next_cursor is None and not page.is_truncated,
        )
        if page.resume is not None:
            self._resume = page.resume
        self._total_count_last = page.total_count
        if not before.pages:
            self._total_count_first = page.total_count
        self._pace.add(ran_s, frame.contacts, self._traffic.retries.total(), self._traffic.rate_limit_wait_s)
        self._add_findings(frame)

    def _add_findings(self, frame: Frame) -> None:
        self.found |= frame.matched_fields
        self._lists_expanded += frame.lists_expanded
        if frame.lists_missing:
            self._lists_missing += sum(frame.lists_missing.values())
            self._missing_causes.update(frame.lists_missing)
        self._schema_checked += frame.schema_checked
        if frame.corrections:
            self._corrections.update(frame.corrections)
        self._irregular += frame.irregular
        if frame.schema_drift:
            self._add_drift(frame.schema_drift)

    def _add_drift(self, drift: Mapping[tuple[str, str], int]) -> None:
        """Count what a page has that is not documented, under a limited number of names."""
        for (path, kind), number in sorted(drift.items()):
            name = path
            if name not in self._drift and self._holds_token(name):
                name = _WITHHELD_FIELD
            if name not in self._drift and len(self._drift) >= _MAX_DRIFTING_FIELDS:
                name = _OTHER_FIELDS
            kinds = self._drift.setdefault(name, {})
            kinds[kind] = kinds.get(kind, 0) + number

    def add_empty_file(self, frame: Frame) -> None:
        """Count what was written into an export without contacts."""
        position = self.position
        self.position = replace(
            position,
            written_bytes=position.written_bytes + len(frame.content),
            uncompressed_bytes=position.uncompressed_bytes + frame.uncompressed_bytes,
        )

    def progress(self) -> JobProgress:
        """Return how far the export has got and what that took, for a checkpoint."""
        before, traffic = self._before, self._traffic
        # A checkpoint counts what pages that are not written yet have cost: so does the timeline in it.
        self._pace.record_traffic(traffic.retries.total(), traffic.rate_limit_wait_s)
        return JobProgress(
            position=self.position,
            trail=before.trail if self._resume is None else self._resume.dump(),
            started_at=before.started_at,
            runs=before.runs + 1,
            total_count_first=self._total_count_first,
            total_count_last=self._total_count_last,
            api_version_echoed=traffic.version_echoed or before.api_version_echoed,
            requests=before.requests + traffic.requests,
            retries=dict(sorted((Counter(before.retries) + traffic.retries).items())),
            rate_limit_wait_s=round(before.rate_limit_wait_s + traffic.rate_limit_wait_s, 3),
            found=tuple(sorted(self.found)),
            lists_expanded=self._lists_expanded,
            lists_missing=self._lists_missing,
            lists_missing_causes=dict(sorted(self._missing_causes.items())),
            columns=self.columns,
            schema_checked=self._schema_checked,
            schema_drift={path: dict(sorted(kinds.items())) for path, kinds in sorted(self._drift.items())},
            corrections=dict(sorted(self._corrections.items())),
            irregular_contacts=self._irregular,
            timeline=self._pace.timeline(),
        )

    def summary(self, settings: OutputSettings, files: tuple[FileSummary, ...] = ()) -> Summary:
        """Sum up a finished export.

        Args:
            settings: of the export.
            files: that were written.
        """
        figures = self.progress()
        position, first, last = figures.position, figures.total_count_first, figures.total_count_last
        missing = shortfall(last, first, position.contacts, settings.per_page) if position.reached_end else None
        return Summary(
            tool=f"intercom-exporter {__version__}",
            complete=position.reached_end,
            source=SourceSummary(
                settings.base_url,
                settings.endpoint,
                settings.api_version,
                figures.api_version_echoed,
                settings.per_page,
            ),
            finished_at=utc_now(),
            interruptions=figures.runs - 1,
            pages=position.pages,
            contacts=position.contacts,
            shortfall=missing,
            unknown_fields=tuple(path for path in settings.named_paths if path not in self.found),
            duplicates=self.duplicates,
            files=files,
            **summary_settings(settings),
            **{name: getattr(figures, name) for name in _SUMMED_FIGURES},
        )


_SUMMED_FIGURES = (
    *("started_at", "runs", "total_count_first", "total_count_last", "requests", "retries", "rate_limit_wait_s"),
    *("lists_expanded", "lists_missing", "lists_missing_causes", "columns", "schema_checked", "schema_drift"),
    *("corrections", "irregular_contacts", "timeline"),
)
"""The figures that a summary has under the same names."""


def utc_now() -> str:
    """Return the time as outputs show it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def counts(counted: int | None, counted_first: int | None) -> str:
    """Return the words for what the API counts; both counts where they differ."""
    if counted_first in (None, counted):
        return f"the API counts {counted:,}"
    return f"the API counted {counted_first:,} on the first page and {counted:,} on the last"


def shortfall(counted: int | None, counted_first: int | None, listed: int, per_page: int) -> int | None:
    """Return how many contacts a finished list lacks, None if that is not worth a doubt.

    The count moves while a list is read: as many contacts as a page holds, or
    a tenth of all, may be missing. What is added in the meantime need not be
    listed: the count of the first page is enough.

    Args:
        counted: contacts that the API counts, None if it does not.
        counted_first: contacts that it counted on the first page, None if it did not.
        listed: contacts that the list gave.
        per_page: contacts of a page.
    """
    if counted is None:
        return None
    if counted_first is not None:
        counted = min(counted, counted_first)
    missing = counted - listed
    return missing if missing > max(per_page, counted // 10) else None
