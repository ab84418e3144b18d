"""A job: one run of an export, from a workspace into a destination."""

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
from exporter.layout.checkpoint import JobProgress, OutputSettings, csv_settings
from exporter.model import Summary
from exporter.observe.events import (
    AttributeNamesUnavailable,
    Event,
    Observer,
    Resumed,
)
from exporter.options import ExportOptions, ListExpansion
from exporter.pipeline import PageWriter, collapse_exception_groups, run_pipeline
from exporter.source.intercom import Intercom
from exporter.source.pages import ENDPOINT, NEW_LISTING, Pages
from exporter.source.retry import RequestStats
from exporter.state import JobState, utc_now
from exporter.validation import check_callable

_PART_BYTES = 1_000_000_000


def encoder_of(options: ExportOptions, output_format: Format) -> Encoder:
    """Return what encodes the pages of an export; its columns are not known yet.

    Raises:
        ConfigError: an option is for another format.
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
    """Return what decides an output's bytes.

    Args:
        intercom: the workspace.
        options: of the export.
        output_format: the output format.
        has_parts: whether the output is a folder of parts.
    """
    selection = options.selection
    return OutputSettings(
        base_url=intercom.identity,
        endpoint=ENDPOINT,
        api_version=intercom.api_version,
        per_page=intercom.per_page,
        format=output_format.suffix.removeprefix("."),
        max_contacts=options.max_contacts,
        part_contacts=options.part_contacts if has_parts else None,
        part_bytes=(options.part_bytes or _PART_BYTES) if has_parts else None,
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
    """Find out the columns of a table, unless the encoder has them.

    Args:
        encoder: of the export.
        intercom: the workspace, which may be asked for its custom attributes.
        expansion: which lists of contacts are fetched in full.
        traffic: counts what that costs.
        notify: called where the API does not name the attributes.

    Raises:
        ConfigError: there can be no such columns.
        SourceError: the request for the attributes failed in another way than by a refusal.
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
        raise ConfigError("no column is left: what is chosen is dropped again")
    if output_format.convert and RAW in columns:
        raise ConfigError(f"Parquet has the whole contact in a column {RAW!r}: no other can be called so")
    return replace(encoder, columns=columns)


class Job:
    """One run of an export. It owns the state of the export, and calls its parts; none of them calls it.

    Args:
        intercom: the workspace, inside its block.
        options: of the export.
        encoder: makes frames of pages.
        observer: notified of what happens.

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
        self._listing(JobProgress(started_at=utc_now(), runs=0, trail=NEW_LISTING))

    def _listing(self, before: JobProgress) -> None:
        """Begin a listing where earlier runs of the export ended."""
        self._pages: Pages = self._intercom.resumed_pages(
            before.position,
            before.trail,
            before.total_count_first,
            self._observer,
            allow_shortfall=self._options.allow_shortfall,
        )
        self.state = JobState(self._pages.traffic, before, holds_token=self._pages.redaction.finds_token)
        self._notify: Callable[[Event], None] = self._pages.traffic.observer  # which logs, too

    def resume(self, figures: JobProgress) -> None:
        """Resume where a checkpoint ends.

        Raises:
            ValueError: it is damaged.
        """
        self._listing(figures)
        self._notify(Resumed(figures.position))

    def _resume_from(self, figures: JobProgress, destination: Destination) -> None:
        try:
            self.resume(figures)
        except ValueError:
            path = destination.checkpoint
            raise CheckpointError(
                f"the checkpoint {str(path)!r} is damaged: use --restart to start over", path=path
            ) from None

    async def run(self, destination: Destination) -> Summary:
        """Move all pages that are left into a destination, and finish it.

        Returns:
            The figures of the export; without a request where it was finished already.

        Raises:
            ConfigError, SourceError, SinkError, CheckpointError: as for `export`.
        """
        async with destination:
            found = await destination.open()
            if isinstance(found, Summary):
                return found
            if found is not None:
                self._resume_from(found, destination)
            await destination.start(self.state)
            destination.use_encoder(await self.prepare())
            with closing(KeyCount(destination.scratch_folder, check_space=destination.check_free_space)) as keys:
                self._keys = keys if found is None else None
                await self._move_while_committing(destination)
                await self._count_duplicates(destination, keys)
            return await destination.finish()

    async def prepare(self) -> Encoder:
        """Return the encoder with the columns of a table, which may take a request.

        The columns are those of the first run, whatever the workspace has by now.

        Raises:
            ConfigError, SourceError: see `with_columns`.
        """
        state = self.state
        encoder = replace(self._encoder, columns=state.columns, pages_before=state.position.pages)
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
                f"the API does not accept the cursor any more at which this export resumes ({exc}); "
                "if that stays so, use --restart to start over",
                path=destination.checkpoint,
            ) from exc

    async def move(self, destination: Destination) -> None:
        """Move all pages that are left."""
        writer = PageWriter(self._pages, self._encoder, destination, self.state, self._keys)
        expansion, traffic = self._options.expansion, self._pages.traffic
        expand = self._intercom.expander(expansion, traffic).expand if expansion else None
        left = self._left()
        self._pages.contacts_needed = math.inf if left is None else left
        try:
            if left != 0:
                options = replace(self._options, max_contacts=left)
                await run_pipeline(self._pages, self._encoder, writer.write, options, expand)
        finally:
            await self._pages.aclose()
        if not self.state.position.written_bytes:
            self.state.add_empty_file(await destination.append(self._encoder.empty_file))

    def _left(self) -> int | None:
        """Count the contacts that are still to come, None for all there are."""
        limit, position = self._options.max_contacts, self.state.position
        if position.reached_end:
            return 0
        return None if limit is None else max(limit - position.contacts, 0)

    async def _count_duplicates(self, destination: Destination, keys: KeyCount) -> None:
        """Count the contacts that were listed before, where that can be known.

        A resumed export reads the contacts of earlier runs back from its
        files. Of CSV and of contacts without ids it cannot, and the count stays
        unknown. A cancellation ends it soon; nothing is lost but the count.
        """
        if self._keys is not None:
            self.state.duplicates = await to_thread.run_sync(keys.count, from_thread.check_cancelled)
        elif self._encoder.selection.has_ids and destination.capabilities.reads_back:
            count = partial(keys.count_of, destination.read_back(), from_thread.check_cancelled)
            self.state.duplicates = await to_thread.run_sync(count)
