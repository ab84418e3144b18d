"""The state of a job: its position and its statistics, over all its runs."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from exporter._version import __version__
from exporter.layout.checkpoint import JobProgress
from exporter.layout.settings import OutputSettings, summary_settings
from exporter.layout.summary import FileSummary, SourceSummary, Summary
from exporter.model import Frame, Page, Position, ResumeToken
from exporter.observe.timeline import TimelineRecorder

_MAX_DRIFTING_FIELDS = 100
_REDACTED_FIELD = "(withheld)"
_OTHER_FIELDS = "(others)"


class Traffic(Protocol):
    """The statistics of the requests of this run. They grow while the job runs."""

    requests: int
    retries: Counter[str]
    rate_limit_wait_s: float
    version_echoed: str | None


class JobState:
    """The state of a job. It counts each written page; checkpoints store it, and the summary is computed from it.

    Args:
        traffic: request statistics of this run.
        before: progress of the earlier runs, from a checkpoint; None for a new export.
        holds_token: function that returns whether a field's name contains the access token.

    Attributes:
        position: position up to which everything is written.
        columns: paths of a table's columns; empty for other formats.
        matched_fields: the named fields that at least one contact has.
        duplicates: number of contacts that were listed more than once; None if unknown.
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
        self.matched_fields = frozenset(before.found)
        self.duplicates: int | None = None
        self._resume_token: ResumeToken | None = None  # of the latest page written in this run
        self._total_count_first, self._total_count_last = before.total_count_first, before.total_count_last
        self._lists_expanded, self._lists_missing = before.lists_expanded, before.lists_missing
        self._missing_causes = Counter(before.lists_missing_causes)
        self._schema_checked = before.schema_checked
        self._schema_drift = {path: dict(kinds) for path, kinds in before.schema_drift.items()}
        self._corrections, self._irregular = Counter(before.corrections), before.irregular_contacts
        self._timeline = TimelineRecorder(before.timeline)

    def add(self, page: Page, frame: Frame, ran_s: float) -> None:
        """Count a page that was written.

        Args:
            page: page as fetched.
            frame: frame as written, including the header if it is the first in its file.
            ran_s: seconds since this run began to move pages.
        """
        last = self.position
        self.position = position_after(last, page, frame)
        if page.resume is not None:
            self._resume_token = page.resume
        self._total_count_last = page.total_count
        if not last.pages:
            self._total_count_first = page.total_count
        self.add_statistics(frame, ran_s)

    def add_statistics(self, frame: Frame, ran_s: float) -> None:
        """Count what is in a frame that was written, besides its contacts and bytes."""
        self._timeline.add(ran_s, frame.contacts, self._traffic.retries.total(), self._traffic.rate_limit_wait_s)
        self.matched_fields |= frame.matched_fields
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
        """Count a page's schema drift, under a limited number of field names."""
        for (path, kind), number in sorted(drift.items()):
            name = path
            if name not in self._schema_drift and self._holds_token(name):
                name = _REDACTED_FIELD
            if name not in self._schema_drift and len(self._schema_drift) >= _MAX_DRIFTING_FIELDS:
                name = _OTHER_FIELDS
            kinds = self._schema_drift.setdefault(name, {})
            kinds[kind] = kinds.get(kind, 0) + number

    def add_empty_file(self, frame: Frame) -> None:
        """Count the bytes written to an export without contacts."""
        position = self.position
        self.position = replace(
            position,
            written_bytes=position.written_bytes + len(frame.content),
            uncompressed_bytes=position.uncompressed_bytes + frame.uncompressed_bytes,
        )

    def progress(self) -> JobProgress:
        """Return the position and the statistics of all runs, for a checkpoint."""
        before, traffic = self._before, self._traffic
        # The checkpoint includes the requests for pages that are not yet written: so must its timeline.
        self._timeline.record_traffic(traffic.retries.total(), traffic.rate_limit_wait_s)
        return JobProgress(
            position=self.position,
            trail=before.trail if self._resume_token is None else self._resume_token.dump(),
            started_at=before.started_at,
            runs=before.runs + 1,
            total_count_first=self._total_count_first,
            total_count_last=self._total_count_last,
            api_version_echoed=traffic.version_echoed or before.api_version_echoed,
            requests=before.requests + traffic.requests,
            retries=dict(sorted((Counter(before.retries) + traffic.retries).items())),
            rate_limit_wait_s=round(before.rate_limit_wait_s + traffic.rate_limit_wait_s, 3),
            found=tuple(sorted(self.matched_fields)),
            lists_expanded=self._lists_expanded,
            lists_missing=self._lists_missing,
            lists_missing_causes=dict(sorted(self._missing_causes.items())),
            columns=self.columns,
            schema_checked=self._schema_checked,
            schema_drift={path: dict(sorted(kinds.items())) for path, kinds in sorted(self._schema_drift.items())},
            corrections=dict(sorted(self._corrections.items())),
            irregular_contacts=self._irregular,
            timeline=self._timeline.timeline(),
        )

    def summary(self, settings: OutputSettings, files: tuple[FileSummary, ...] = ()) -> Summary:
        """Return the summary of a finished export.

        Args:
            settings: settings of the export.
            files: the written files.
        """
        progress = self.progress()
        position, first, last = progress.position, progress.total_count_first, progress.total_count_last
        missing = shortfall(last, first, position.contacts, settings.per_page) if position.reached_end else None
        return Summary(
            tool=f"intercom-exporter {__version__}",
            complete=position.reached_end,
            source=SourceSummary(
                settings.base_url,
                settings.endpoint,
                settings.api_version,
                progress.api_version_echoed,
                settings.per_page,
            ),
            finished_at=utc_now(),
            interruptions=progress.runs - 1,
            pages=position.pages,
            contacts=position.contacts,
            shortfall=missing,
            unknown_fields=tuple(path for path in settings.named_paths if path not in self.matched_fields),
            duplicates=self.duplicates,
            files=files,
            **summary_settings(settings),
            **{name: getattr(progress, name) for name in _COPIED_FIELDS},
        )


_COPIED_FIELDS = (
    *("started_at", "runs", "total_count_first", "total_count_last", "requests", "retries", "rate_limit_wait_s"),
    *("lists_expanded", "lists_missing", "lists_missing_causes", "columns", "schema_checked", "schema_drift"),
    *("corrections", "irregular_contacts", "timeline"),
)
"""The fields that a summary copies from the progress, under the same names."""


def position_after(last: Position, page: Page, frame: Frame) -> Position:
    """Return the position after one more page.

    Args:
        last: position before it.
        page: page as fetched.
        frame: frame as written.
    """
    return Position(
        page.next_cursor,
        last.pages + 1,
        last.contacts + frame.contacts,
        last.written_bytes + len(frame.content),
        last.uncompressed_bytes + frame.uncompressed_bytes,
        page.next_cursor is None and not page.is_truncated,
    )


def utc_now() -> str:
    """Return the current time in the format of manifests and checkpoints: ISO 8601, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def counts(counted: int | None, counted_first: int | None) -> str:
    """Return a clause with the API's count of contacts; with both counts if they differ."""
    if counted_first in (None, counted):
        return f"the API counts {counted:,}"
    return f"the API counted {counted_first:,} on the first page and {counted:,} on the last"


def shortfall(counted: int | None, counted_first: int | None, listed: int, per_page: int) -> int | None:
    """Return how many contacts are missing from a finished list; None if the difference is within the tolerance.

    The API's count changes during an export. So one page of contacts, or a
    tenth of all contacts, may be missing. Contacts created in the meantime need
    not be listed: of the two counts, the smaller one is compared.

    Args:
        counted: API's count on the last page, None if it has no count.
        counted_first: API's count on the first page, None if it has no count.
        listed: number of listed contacts.
        per_page: contacts per page.
    """
    if counted is None:
        return None
    if counted_first is not None:
        counted = min(counted, counted_first)
    missing = counted - listed
    return missing if missing > max(per_page, counted // 10) else None
