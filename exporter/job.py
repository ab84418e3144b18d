"""A job: one run of an export, from a workspace to a destination."""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial

import anyio
from anyio import from_thread, to_thread

from exporter.archive.key_count import KeyCount
from exporter.destination.base import Destination
from exporter.errors import CheckpointError, ConfigError, CursorError
from exporter.formats.columns import CUSTOM, RAW, columns_of
from exporter.formats.encoder import Encoder
from exporter.formats.registry import Format
from exporter.layout.checkpoint import JobProgress
from exporter.layout.settings import LIST_ENDPOINT, OutputSettings, csv_settings
from exporter.layout.summary import Summary
from exporter.observe.events import (
    AttributeNamesUnavailable,
    Event,
    Observer,
    Resumed,
)
from exporter.options import ExportOptions, ListExpansion
from exporter.pipeline import PageWriter, run_pipeline
from exporter.source.intercom import Intercom
from exporter.source.pages import NEW_LISTING, Pages
from exporter.source.retry import RequestStats
from exporter.state import JobState, utc_now
from exporter.tasks import collapse_exception_groups
from exporter.validation import check_callable

_DEFAULT_PART_BYTES = 1_000_000_000


def encoder_of(options: ExportOptions, output_format: Format) -> Encoder:
    """Return the encoder of an export, still without columns.

    Raises:
        ConfigError: an option belongs to another format.
    """
    return Encoder(
        output_format=output_format,
        selection=options.selection,
        records=options.records,
        csv_raw=options.csv_raw,
        csv_bom=options.csv_bom,
    )


def settings_of(
    intercom: Intercom, options: ExportOptions, output_format: Format, *, has_parts: bool = False
) -> OutputSettings:
    """Return the settings that determine the bytes of an output.

    Args:
        intercom: the workspace.
        options: options of the export.
        output_format: the output format.
        has_parts: whether the output is a folder of parts.
    """
    selection = options.selection
    return OutputSettings(
        base_url=intercom.identity,
        endpoint=LIST_ENDPOINT,
        api_version=intercom.api_version,
        per_page=intercom.per_page,
        format=output_format.suffix.removeprefix("."),
        max_contacts=options.max_contacts,
        part_contacts=options.part_contacts if has_parts else None,
        part_bytes=(options.part_bytes or _DEFAULT_PART_BYTES) if has_parts else None,
        fields=selection.fields,
        dropped=selection.drop,
        pseudonymised=selection.pseudonymise,
        pseudonym_key=selection.key_check,
        expanded=options.expansion.lists,
        tag_names=options.expansion.tag_names,
        **csv_settings(options.csv_raw if output_format.has_rows else None, bom=options.csv_bom),
        records=options.records,
    )


async def with_columns(
    encoder: Encoder,
    intercom: Intercom,
    expansion: ListExpansion,
    traffic: RequestStats,
    notify: Callable[[Event], None],
) -> Encoder:
    """Return the encoder with the columns of a table. Columns that it already has are kept.

    Args:
        encoder: encoder of the export.
        intercom: the workspace; CSV may need a request for its custom attributes.
        expansion: the lists that are fetched in full.
        traffic: statistics, to which that request is added.
        notify: function that is called if the token cannot read the names of the attributes.

    Raises:
        ConfigError: no columns are left, or the name of a column is reserved.
        SourceError: the request for the attributes failed, for another reason than a refusal.
    """
    output_format, selection, lists = encoder.output_format, encoder.selection, expansion.expanded_lists
    columns = encoder.columns
    if not columns and output_format.convert:
        columns = columns_of(selection, lists, in_lists=True)
    elif not columns and output_format.has_rows:
        columns = columns_of(selection, lists)
        if CUSTOM in columns:
            attributes = await intercom.attributes(traffic)
            if attributes is None:
                notify(AttributeNamesUnavailable())
            columns = columns_of(selection, lists, attributes)
    if output_format.has_rows and not columns:
        raise ConfigError("no columns left: every selected field is also dropped")
    if output_format.convert and RAW in columns:
        raise ConfigError(f"the column name {RAW!r} is reserved: in Parquet it holds the complete contact")
    return replace(encoder, columns=columns)


class Job:
    """One run of an export. It owns the state of the export and calls the other components; none of them calls it.

    Args:
        intercom: the workspace, inside its block.
        options: options of the export.
        encoder: encoder of pages as frames.
        observer: function that is called with each event.

    Raises:
        ConfigError: the observer cannot be called.
    """

    def __init__(self, intercom: Intercom, options: ExportOptions, encoder: Encoder, observer: Observer) -> None:
        check_callable("observer", observer)
        self._intercom = intercom
        self._options = options
        self._encoder = encoder
        self._observer = observer
        self._keys: KeyCount | None = None
        self._start_listing(JobProgress(started_at=utc_now(), runs=0, trail=NEW_LISTING))

    def _start_listing(self, before: JobProgress) -> None:
        """Start a listing at the position that earlier runs of the export reached."""
        self._pages: Pages = self._intercom.resumed_pages(
            before.position,
            before.trail,
            before.total_count_first,
            self._observer,
            allow_shortfall=self._options.allow_shortfall,
        )
        self.state = JobState(self._pages.traffic, before, holds_token=self._pages.redaction.finds_token)
        self._notify: Callable[[Event], None] = self._pages.traffic.observer  # it also logs each event

    def resume(self, progress: JobProgress) -> None:
        """Resume from the position of a checkpoint.

        Raises:
            ValueError: the checkpoint is damaged.
        """
        self._start_listing(progress)
        self._notify(Resumed(progress.position))

    def _resume_from(self, progress: JobProgress, destination: Destination) -> None:
        try:
            self.resume(progress)
        except ValueError:
            path = destination.checkpoint
            raise CheckpointError(
                f"the checkpoint {str(path)!r} is damaged: use --restart to start over", path=path
            ) from None

    async def run(self, destination: Destination) -> Summary:
        """Move all remaining pages to a destination, and finish it.

        Returns:
            The summary of the export. For a complete export no request is sent.

        Raises:
            ConfigError, SourceError, SinkError, CheckpointError: as for `export`.
        """
        async with destination:
            existing = await destination.open()
            return existing if isinstance(existing, Summary) else await self.run_opened(destination, existing)

    async def run_opened(self, destination: Destination, existing: JobProgress | None) -> Summary:
        """Move all remaining pages to a destination that is open, and finish it.

        Args:
            destination: where the pages go.
            existing: the progress of the export that it holds; None for a new export.

        Raises:
            ConfigError, SourceError, SinkError, CheckpointError: as for `export`.
        """
        if existing is not None:
            self._resume_from(existing, destination)
        await destination.start(self.state)
        destination.use_encoder(await self.prepare())
        with closing(KeyCount(destination.scratch_folder, check_space=destination.check_free_space)) as keys:
            self._keys = keys if existing is None else None
            await self._move_while_committing(destination)
            await self._count_duplicates(destination, keys)
        return await destination.finish()

    async def prepare(self) -> Encoder:
        """Return the encoder with the columns of a table, which may need a request.

        A resumed export keeps the columns of its first run, even if the workspace now has other attributes.

        Raises:
            ConfigError, SourceError: see `with_columns`.
        """
        state = self.state
        encoder = replace(self._encoder, columns=state.columns, pages_written_before=state.position.pages)
        self._encoder = await with_columns(
            encoder, self._intercom, self._options.expansion, self._pages.traffic, self._notify
        )
        state.columns = self._encoder.columns
        return self._encoder

    async def _move_while_committing(self, destination: Destination) -> None:
        try:
            with collapse_exception_groups():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(destination.commit_periodically)
                    await self.move(destination)
                    tasks.cancel_scope.cancel()
        except CursorError as exc:
            if not destination.capabilities.resumes:
                raise
            raise CheckpointError(
                f"the API rejected the saved cursor ({exc}): retry later, or use --restart to start over",
                path=destination.checkpoint,
            ) from exc

    async def move(self, destination: Destination) -> None:
        """Move all remaining pages."""
        writer = PageWriter(self._pages, self._encoder, destination, self.state, self._keys)
        expansion, traffic = self._options.expansion, self._pages.traffic
        expand = self._intercom.expander(expansion, traffic).expand if expansion else None
        limit = self._contacts_left()
        self._pages.contacts_needed = math.inf if limit is None else limit
        try:
            if limit != 0:
                options = replace(self._options, max_contacts=limit)
                await run_pipeline(self._pages, self._encoder, writer.write, options, expand)
        finally:
            await self._pages.aclose()
        if not self.state.position.written_bytes:
            self.state.add_empty_file(await destination.append(self._encoder.empty_file))

    def _contacts_left(self) -> int | None:
        """Return the maximum number of contacts that are still to be written; None for no limit."""
        limit, position = self._options.max_contacts, self.state.position
        if position.reached_end:
            return 0
        return None if limit is None else max(limit - position.contacts, 0)

    async def _count_duplicates(self, destination: Destination, keys: KeyCount) -> None:
        """Count the contacts that were listed more than once.

        A resumed export reads the contacts of earlier runs from its files. This
        is impossible for CSV and for contacts without ids: then the count stays
        unknown. A cancellation stops the count soon, and loses only the count.
        """
        if self._keys is not None:
            self.state.duplicates = await to_thread.run_sync(keys.count, from_thread.check_cancelled)
        elif self._encoder.selection.has_ids and destination.capabilities.reads_back:
            count = partial(keys.count_of, destination.read_back(), from_thread.check_cancelled)
            self.state.duplicates = await to_thread.run_sync(count)
