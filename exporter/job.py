"""One run of an export: moves the pages, and keeps the figures that its checkpoint and manifest are made of."""

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from exporter.errors import ConfigError
from exporter.formats.columns import CUSTOM, RAW, columns_of
from exporter.formats.csv import Rows
from exporter.formats.selection_checks import check_selection, lacking
from exporter.layout.checkpoint import Checkpoint, Figures, Settings, csv_settings
from exporter.layout.paths import Place
from exporter.model import FileSummary, Frame, Page, Position, Summary
from exporter.observe.events import AttributesUntold, FieldsNotFound, Observer, PageWritten, Resumed
from exporter.observe.timeline import Pace
from exporter.pipeline import Flow, pump
from exporter.source.expansion import NO_EXPANSION, Expansion
from exporter.source.intercom import Intercom
from exporter.source.loop_guard import LoopGuard
from exporter.source.pages import ENDPOINT
from exporter.summing import add_drift, summary_of, utc_now, version_events
from exporter.validation import check_callable, check_kinds

if TYPE_CHECKING:
    from exporter.archive.key_count import KeyCount

_PART_BYTES = 1_000_000_000


async def _nothing() -> None:
    """Do nothing after a page."""


class Run:
    """One run of an export, and the figures of all its runs.

    Args:
        intercom: the workspace.
        flow: how pages travel.
        observer: is told what happens.
        expansion: which lists of contacts are completed.
        csv_raw: whether cells of CSV that a spreadsheet would run as formulas stay as they are.

    Raises:
        ConfigError: an argument has the wrong type, or is for another format.
    """

    def __init__(
        self,
        intercom: Intercom,
        flow: Flow,
        observer: Observer,
        expansion: Expansion = NO_EXPANSION,
        *,
        csv_raw: bool = False,
    ) -> None:
        check_callable("observer", observer)
        check_selection(flow.shape)
        check_kinds({"expansion": expansion, "csv_raw": csv_raw}, {"expansion": Expansion, "csv_raw": bool})
        self._intercom = intercom
        self._expansion = expansion
        self._flow = flow
        if csv_raw and not flow.form.has_rows:
            raise ConfigError("csv_raw is for CSV, and the output is another format", "csv_raw")
        self._csv_raw = csv_raw if flow.form.has_rows else None
        self._columns: tuple[str, ...] = ()
        self.observer = observer
        self._pages = intercom.pages(observer=observer, allow_shortfall=flow.allow_shortfall)
        self._observer = self._pages.traffic.observer  # which logs, too
        self._before = Figures(started_at=utc_now(), runs=0)
        self._position = Position()
        self._trail = LoopGuard(None)  # as far as is written; the listing's own guard is ahead of that
        self._total_count_first: int | None = None
        self._total_count_last: int | None = None
        self._found: frozenset[str] = frozenset()
        self._lists_expanded = self._lists_missing = self._schema_checked = 0
        self._missing_causes = Counter[str]()
        self._drift: dict[str, dict[str, int]] = {}
        self._corrections, self._irregular = Counter[str](), 0
        self.keys: KeyCount | None = None
        self.duplicates: int | None = None
        self._pace, self._began_at_s = Pace(), 0.0

    def go_on(self, checkpoint: Checkpoint) -> None:
        """Begin where a checkpoint ends.

        Raises:
            ValueError: it cannot be understood.
        """
        figures = checkpoint.figures
        try:
            self._trail, guard = LoopGuard.load(figures.trail), LoopGuard.load(figures.trail)
            self._pages = self._intercom.pages(
                figures.position.next_cursor, observer=self.observer, allow_shortfall=self._flow.allow_shortfall
            )
        except ConfigError as exc:
            raise ValueError(str(exc)) from None
        self._pages.guard, self._pages.listed = guard, figures.position.contacts
        self._before, self._position = figures, figures.position
        self._total_count_first, self._total_count_last = figures.total_count_first, figures.total_count_last
        self._pages.counted_first = figures.total_count_first
        self._found = frozenset(figures.found)
        self._columns = figures.columns
        self._lists_expanded, self._lists_missing = figures.lists_expanded, figures.lists_missing
        self._missing_causes = Counter(figures.lists_missing_causes)
        self._schema_checked = figures.schema_checked
        self._drift = {path: dict(kinds) for path, kinds in figures.schema_drift.items()}
        self._corrections, self._irregular = Counter(figures.corrections), figures.irregular_contacts
        self._pace = Pace(figures.timeline)
        self._observer(Resumed(figures.position))

    async def prepare(self) -> Frame:
        """Find out what has to be known before the first page; return what each file begins with.

        The columns of a table are those of the first run, whatever the workspace has meanwhile.

        Raises:
            ConfigError: there can be no such columns.
            SourceError: the API did not tell.
        """
        form = self._flow.form
        if not self._columns:
            if form.convert:
                self._columns = columns_of(self._flow.shape, self._expansion.tables, in_lists=True)
            elif form.has_rows:
                self._columns = await self._look_for_columns()
        if form.has_rows and not self._columns:
            raise ConfigError("no column is left: what is chosen is dropped again")
        if form.convert and RAW in self._columns:
            raise ConfigError(f"Parquet has the whole contact in a column {RAW!r}: no other can be called so")
        chosen = bool(self._flow.shape.fields)
        rows = Rows(self._columns, raw=bool(self._csv_raw), chosen=chosen) if form.has_rows else None
        self._flow = replace(self._flow, rows=rows, check_all=bool(self._columns))
        return self._flow.form.opening(self._flow.rows, bom=self._flow.csv_bom)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table, once it is prepared."""
        return self._columns

    async def _look_for_columns(self) -> tuple[str, ...]:
        shape, lists = self._flow.shape, self._expansion.tables
        columns = columns_of(shape, lists)
        if CUSTOM not in columns:
            return columns
        attributes = await self._intercom.attributes(self._pages.traffic)
        if attributes is None:
            self._observer(AttributesUntold())
        return columns_of(shape, lists, attributes)

    async def into(
        self, append: Callable[[Frame], Awaitable[Frame]], after_page: Callable[[], Awaitable[None]] = _nothing
    ) -> None:
        """Move all pages that are left.

        Args:
            append: writes a frame; returns it as it was written, with what opens a file before it.
            after_page: called once the page is counted.
        """

        async def write(frame: Frame, page: Page) -> None:
            self._count(await append(frame), page)
            if self.keys and self.keys.is_full:
                await to_thread.run_sync(self.keys.spill)
            await after_page()

        expand = None
        if self._expansion:
            expand = self._intercom.expander(self._expansion, self._pages.traffic).expand
        self._began_at_s = anyio.current_time()
        left = self._left()
        self._pages.wanted = math.inf if left is None else left
        try:
            if left != 0:
                flow = replace(self._flow, max_contacts=left, pages_before=self._position.pages)
                await pump(self._pages, flow, write, expand)
        finally:
            await self._pages.aclose()
        if not self._position.written_bytes:
            empty = await append(self._flow.form.empty(self._flow.rows, bom=self._flow.csv_bom))
            self._position = replace(
                self._position, written_bytes=len(empty.content), uncompressed_bytes=empty.uncompressed_bytes
            )

    def _left(self) -> int | None:
        """Count the contacts that are still to come, None for all there are."""
        limit = self._flow.max_contacts
        if self._position.reached_end:
            return 0
        return None if limit is None else max(limit - self._position.contacts, 0)

    def _count(self, frame: Frame, page: Page) -> None:
        before = self._position
        self._position = Position(
            page.next_cursor,
            before.pages + 1,
            before.contacts + frame.contacts,
            before.written_bytes + len(frame.content),
            before.uncompressed_bytes + frame.uncompressed_bytes,
            page.whole and page.next_cursor is None,
        )
        if self.keys:
            self.keys.add(page.keys)
        self._trail.see(page.mark, self._position.pages)
        self._trail.repeats.see(page.sample, self._position.pages)
        self._trail.pass_by(page.next_cursor, self._position.pages)
        self._total_count_last = page.total_count
        traffic, took_s = self._pages.traffic, anyio.current_time() - self._began_at_s
        self._pace.add(took_s, frame.contacts, traffic.retries.total(), traffic.rate_limit_wait_s)
        self._count_findings(frame)
        if not before.pages:
            self._total_count_first = page.total_count
            if missing := tuple(lacking(self._flow.shape, self._found)) if page.records else ():
                self._observer(FieldsNotFound(missing))
        if page.number == 1:
            for event in version_events(self._intercom.api_version, self._pages.traffic.version_echoed):
                self._observer(event)
        self._observer(PageWritten(self._position, page.total_count, self._intercom.window))

    def _count_findings(self, frame: Frame) -> None:
        self._found |= frame.found
        self._lists_expanded += frame.lists_expanded
        if frame.lists_missing:
            self._lists_missing += sum(frame.lists_missing.values())
            self._missing_causes.update(frame.lists_missing)
        self._schema_checked += frame.schema_checked
        if frame.corrections:
            self._corrections.update(frame.corrections)
        self._irregular += frame.irregular
        if frame.schema_drift:
            add_drift(self._drift, frame.schema_drift, self._pages.redaction.finds)

    def settings_of(self, place: Place, part_contacts: int | None = None, part_bytes: int | None = None) -> Settings:
        """Describe what decides the bytes of the output at a place."""
        return self.settings(part_contacts, part_bytes or _PART_BYTES) if place.parts else self.settings()

    def encode(self, page: Page) -> Frame:
        """Encode a page, as a sample. Blocks."""
        return self._flow.form.encode(page, self._flow.shape, self._flow.rows, self._flow.strictness(page))

    def settings(self, part_contacts: int | None = None, part_bytes: int | None = None) -> Settings:
        """Describe what decides the output's bytes."""
        intercom, shape = self._intercom, self._flow.shape
        return Settings(
            base_url=intercom.origin,
            endpoint=ENDPOINT,
            api_version=intercom.api_version,
            per_page=intercom.per_page,
            format=self._flow.form.suffix.removeprefix("."),
            max_contacts=self._flow.max_contacts,
            part_contacts=part_contacts,
            part_bytes=part_bytes,
            fields=shape.fields,
            dropped=shape.drop,
            pseudonymised=shape.pseudonymise,
            pseudonym_key=shape.key_check,
            expanded=self._expansion.lists,
            tag_names=self._expansion.tag_names,
            **csv_settings(self._csv_raw, bom=self._flow.csv_bom),
            records=self._flow.records,
        )

    def figures(self) -> Figures:
        """Tell how far the output has got, and what that took."""
        before, traffic = self._before, self._pages.traffic
        # A checkpoint counts what pages that are not written yet have cost: so does the timeline in it.
        self._pace.catch_up(traffic.retries.total(), traffic.rate_limit_wait_s)
        return Figures(
            position=self._position,
            trail=self._trail.dump(),
            started_at=before.started_at,
            runs=before.runs + 1,
            total_count_first=self._total_count_first,
            total_count_last=self._total_count_last,
            api_version_echoed=traffic.version_echoed or before.api_version_echoed,
            requests=before.requests + traffic.requests,
            retries=dict(sorted((Counter(before.retries) + traffic.retries).items())),
            rate_limit_wait_s=round(before.rate_limit_wait_s + traffic.rate_limit_wait_s, 3),
            found=tuple(sorted(self._found)),
            lists_expanded=self._lists_expanded,
            lists_missing=self._lists_missing,
            lists_missing_causes=dict(sorted(self._missing_causes.items())),
            columns=self._columns,
            schema_checked=self._schema_checked,
            schema_drift={path: dict(sorted(kinds.items())) for path, kinds in sorted(self._drift.items())},
            corrections=dict(sorted(self._corrections.items())),
            irregular_contacts=self._irregular,
            timeline=self._pace.timeline(),
        )

    def summary(self, settings: Settings, files: tuple[FileSummary, ...] = ()) -> Summary:
        """Sum up a finished export."""
        unknown = list(lacking(self._flow.shape, self._found))
        return replace(summary_of(settings, self.figures(), unknown, files), duplicates=self.duplicates)
