"""A job with several cursors: the plan, the lanes, the proof."""

from dataclasses import replace

import anyio
from anyio import to_thread

from exporter.destination.base import Destination
from exporter.errors import CheckpointError, CursorError
from exporter.formats.encoder import Encoder
from exporter.job import with_columns
from exporter.layout.checkpoint import JobProgress
from exporter.layout.paths import FIRST_RANGE, TRACKS_AFTER_RANGES
from exporter.layout.plan import Plan, decode_plan, encode_plan, plan_digest
from exporter.layout.plan_progress import PlanProgress
from exporter.layout.summary import Summary
from exporter.observe.events import Event, Observer, Planned, Resumed
from exporter.observe.logging import logged
from exporter.options import ExportOptions
from exporter.ranges.lanes import DamagedTokenError, Lanes, RangesRun
from exporter.ranges.proof import COUNTS, Proof, check_zone
from exporter.ranges.state import RangesState, track_of
from exporter.source.concurrency import AdaptiveConcurrency
from exporter.source.intercom import Intercom
from exporter.source.planning import Planning
from exporter.source.retry import RequestStats
from exporter.tasks import collapse_exception_groups
from exporter.validation import check_callable


class RangesJob:
    """One run of an export with several cursors. It owns the state, and calls the other components.

    Args:
        intercom: the workspace, inside its block.
        options: options of the export.
        encoder: encoder of pages as frames.
        observer: function that is called with each event.

    Raises:
        ConfigError: the observer cannot be called, or the API version has no search.
    """

    def __init__(self, intercom: Intercom, options: ExportOptions, encoder: Encoder, observer: Observer) -> None:
        check_callable("observer", observer)
        intercom.check_can_search()
        self._intercom = intercom
        self._options = options
        self._encoder = encoder
        self._notify = logged(observer)
        self._cursors = options.max_cursors
        self._concurrency = AdaptiveConcurrency(self._cursors, observer=self._notify)
        self._traffic = RequestStats(self._observe)

    def _observe(self, event: Event) -> None:
        self._concurrency.observe(event)
        self._notify(event)

    async def run(self, destination: Destination, existing: JobProgress | None) -> Summary:
        """Move all remaining contacts to a destination that is open, prove that none is missing, and finish it.

        Args:
            destination: where the contacts go.
            existing: the progress of the export that it holds; None for a new export.

        Raises:
            ConfigError, SourceError, SinkError, CheckpointError: as for `export`.
        """
        state = await self.prepare(destination, existing)
        await destination.start(state)
        await self.move(destination, state)
        return await destination.finish()

    async def prepare(self, destination: Destination, existing: JobProgress | None) -> RangesState:
        """Make the plan, or read that of earlier runs.

        Returns:
            The state of the job.

        Raises:
            CheckpointError: the plan is missing, or is not the one that the checkpoint names.
            ContractError: the search cannot be trusted, or the time zone has changed.
            SourceError: a request failed.

        Durability:
            If the destination `resumes`, the plan is on disk when this returns.
        """
        if existing is not None and existing.plan is not None:
            plan, content = await self._stored_plan(destination, existing.plan)
        else:
            planning = self._planning()
            plan = await planning.plan(self._options.settle_s, compare=self._options.prove == COUNTS)
            content = encode_plan(plan)
            await destination.save_plan(content)
            self._notify(_planned(plan, self._cursors, planning.uncut))
        finds_token = self._intercom.client.redaction.finds_token
        state = RangesState(self._traffic, plan, plan_digest(content), existing, finds_token)
        state.cursors = self._cursors
        if existing is not None and existing.plan is not None:
            self._notify(Resumed(state.position))
        return state

    async def move(self, destination: Destination, state: RangesState) -> None:
        """Move all remaining contacts, and prove that none is missing."""
        if state.proof is not None:
            return
        encoder = replace(self._encoder, columns=state.columns, pages_written_before=state.position.pages)
        encoder = await with_columns(encoder, self._intercom, self._options.expansion, self._traffic, self._notify)
        state.columns = encoder.columns
        destination.use_encoder(encoder)
        expansion = self._options.expansion
        run = RangesRun(
            intercom=self._intercom,
            destination=destination,
            state=state,
            encoder=encoder,
            expander=self._intercom.expander(expansion, self._traffic) if expansion else None,
            traffic=self._traffic,
            concurrency=self._concurrency,
            notify=self._notify,
            began_at_s=anyio.current_time(),
        )
        with collapse_exception_groups():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(destination.commit_periodically)
                if state.position.pages:
                    await check_zone(run)
                await self._move_all(run)
                tasks.cancel_scope.cancel()

    async def _move_all(self, run: RangesRun) -> None:
        state, destination = run.state, run.destination
        self._concurrency.forget_latencies()
        try:
            await Lanes(run).run()
            proof = await Proof(run, self._options.prove, self._options.settle_s).prove()
        except DamagedTokenError as exc:
            raise CheckpointError(
                f"the checkpoint {str(destination.checkpoint)!r} is damaged: use --restart to start over",
                path=destination.checkpoint,
            ) from exc
        except CursorError as exc:
            if not destination.capabilities.resumes:
                raise
            raise CheckpointError(
                f"the API rejected a cursor again and again ({exc}): retry later, or use --restart to start over",
                path=destination.checkpoint,
            ) from exc
        if not state.position.written_bytes:
            written = await destination.append_to(FIRST_RANGE, run.encoder.empty_file, b"")
            state.add_empty_file(written)
        for track in tuple(state.tracks):
            await destination.finish_track(track)
        state.set_proof(proof)

    def _planning(self) -> Planning:
        client, per_page = self._intercom.client, self._intercom.per_page
        return Planning(client, self._cursors, per_page, self._traffic, self._concurrency)

    async def _stored_plan(self, destination: Destination, progress: PlanProgress) -> tuple[Plan, bytes]:
        try:
            content = await to_thread.run_sync(destination.read_plan)
        except OSError:
            content = b""
        plan = decode_plan(content) if plan_digest(content) == progress.plan_sha256 else None
        if plan is None or not _knows_tracks(plan, progress):
            raise CheckpointError(
                f"the plan of {str(destination.scratch_folder)!r} is missing, or was changed since the export was "
                "started: use --restart to start over",
                path=destination.checkpoint,
            )
        return plan, content


def _knows_tracks(plan: Plan, progress: PlanProgress) -> bool:
    """Return whether a plan has all ranges that a checkpoint names, and all are finished where it holds a proof."""
    ranges = {track_of(number) for number in range(1, len(plan.ranges) + 1)}
    names = {*progress.open, *progress.finished, *progress.again} - {*TRACKS_AFTER_RANGES}
    names |= {track_of(number) for number in progress.doubtful}
    return names <= ranges and (progress.proof is None or ranges <= {*progress.finished})


def _planned(plan: Plan, cursors: int, uncut: int) -> Planned:
    """Return the event about a new plan."""
    return Planned(plan.by, plan.timezone, len(plan.ranges), plan.list_count, plan.requests, cursors, uncut)
