"""The state of an export with several cursors: a position for each range that is being read, and their sum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from exporter.layout.checkpoint import JobProgress
from exporter.layout.paths import FIRST_RANGE
from exporter.layout.plan import Plan
from exporter.layout.plan_progress import PlanProgress, RangeProgress
from exporter.layout.settings import OutputSettings
from exporter.layout.summary import FileSummary, PlanSummary, ProofSummary, RangeSummary, Summary
from exporter.model import Frame, Page, Position, ResumeToken
from exporter.state import JobState, Traffic, position_after


@dataclass
class TrackState:
    """The progress of one range, or of another track, in this run.

    Attributes:
        progress: as a checkpoint stores it, except for the resume token of the latest page.
        token: the resume token of the latest page of this run.
    """

    progress: RangeProgress
    token: ResumeToken | None = None

    def stored(self) -> RangeProgress:
        """Return the progress for a checkpoint."""
        return self.progress if self.token is None else replace(self.progress, resume_token=self.token.dump())


class RangesState(JobState):
    """The state of a job with several cursors.

    Args:
        traffic: request statistics of this run.
        plan: the ranges.
        digest: SHA-256 of the plan's file.
        before: progress of the earlier runs; None for a new export.
        holds_token: same as for `JobState`.

    Attributes:
        plan: as given.
        cursors: maximum cursors of this run.
        tracks: the tracks that are begun and not finished, by their names.
        finished: names of the finished tracks.
        again: how many times each track was discarded; tracks that never were are left out.
        doubtful: numbers of the ranges whose contacts do not fit what the API counted.
        latest_start_s: when the latest range was begun, in UNIX seconds.
        other_zone: the time zone that the workspace had after the plan was made, if it is another one; else empty.
        proof: the result of the proof, None before it.
    """

    def __init__(
        self,
        traffic: Traffic,
        plan: Plan,
        digest: str,
        before: JobProgress | None = None,
        holds_token: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        super().__init__(traffic, before, holds_token=holds_token)
        stored = (before and before.plan) or PlanProgress(plan_sha256=digest)
        self.plan = plan
        self._digest = digest
        self.cursors = 1
        self.tracks = {name: TrackState(progress) for name, progress in stored.open.items()}
        self.finished = dict.fromkeys(stored.finished)
        self.again = dict(stored.again)
        self._finished_created = stored.created
        self.doubtful = {*stored.doubtful}
        self.latest_start_s = stored.latest_start_s
        self.other_zone = stored.other_zone
        self.proof = stored.proof
        self._ranges = list(stored.ranges)
        self._ran_before_s = before.timeline.ran_s if before else 0.0
        self._total_count_first = plan.list_count
        self._total_count_last = plan.list_count if before is None else before.total_count_last

    def begin(self, track: str, at_s: float = 0.0) -> TrackState:
        """Return the progress of a track; begin it if it is new.

        Args:
            track: name of the track.
            at_s: seconds since this run began to move pages.
        """
        return self.tracks.setdefault(track, TrackState(RangeProgress(began_s=round(self._ran_before_s + at_s, 1))))

    def add_to(  # noqa: PLR0913 - each is one independent fact about the page
        self, track: str, page: Page, frame: Frame, dates: Sequence[int | None], *, ran_s: float, skipped: int = 0
    ) -> None:
        """Count a page that was written to a track.

        Args:
            track: name of the track.
            page: page as fetched.
            frame: frame as written.
            dates: when the contacts of the page were created, as far as that matters for the proof.
            ran_s: seconds since this run began to move pages.
            skipped: contacts that were on the page too, and were written to another track before.
        """
        one = self.tracks[track]
        before = one.progress.position
        position = position_after(before, page, frame)
        created = [date for date in dates if date is not None]
        one.progress = replace(
            one.progress,
            position=position,
            count_first=one.progress.count_first if before.pages else page.total_count,
            count_last=page.total_count,
            recent=one.progress.recent + sum(map(self.plan.is_recent_date, created)),
            created=one.progress.created + sum(date >= self.plan.started_at for date in created),
            read=one.progress.read + len(page.records) + skipped,
        )
        if page.resume is not None:
            one.token = page.resume
        self.position = _sum(self.position, position, before)
        self.add_statistics(frame, ran_s)

    def restart_cursor(self, track: str) -> None:
        """Read a track from its beginning again; what was written to it stays."""
        one = self.tracks[track]
        position = replace(one.progress.position, next_cursor=None, reached_end=False)
        one.progress = replace(one.progress, position=position, resume_token="", count_first=None, read=0)
        one.token = None

    def add_empty_file(self, frame: Frame) -> None:
        """Count the bytes written to an export without contacts, in the first range."""
        super().add_empty_file(frame)
        self.finished.pop(FIRST_RANGE, None)
        one = self.begin(FIRST_RANGE)
        one.progress = replace(one.progress, position=replace(self.position, reached_end=True))

    def finish(self, track: str) -> None:
        """Record that everything of a track is written."""
        one = self.tracks.pop(track).progress
        self._finished_created += one.created
        self.finished[track] = None

    def finish_range(self, number: int, lane: int, at_s: float) -> int:
        """Record that everything of a range is written; return the number of its contacts.

        Args:
            number: number of the range.
            lane: the lane that read it.
            at_s: seconds since this run began to move pages.
        """
        track = track_of(number)
        one = self.tracks[track].progress
        contacts, ended_s = one.position.contacts, round(self._ran_before_s + at_s, 1)
        self._ranges.append(RangeSummary(number, contacts, lane, min(one.began_s, ended_s), ended_s))
        self.finish(track)
        return contacts

    def discard(self, track: str) -> None:
        """Forget an unfinished track: it is read again from its beginning."""
        one = self.tracks.pop(track).progress
        self.position = _sum(self.position, Position(), one.position)
        self.again[track] = self.again.get(track, 0) + 1

    @property
    def written(self) -> dict[int, int]:
        """The contacts that were written to each finished range, by its number."""
        return {one.number: one.contacts for one in self._ranges}

    @property
    def created(self) -> int:
        """Contacts written so far that were created after the start."""
        return self._finished_created + sum(one.progress.created for one in self.tracks.values())

    def set_last_count(self, total_count: int) -> None:
        """Record how many contacts the list counted at the end."""
        self._total_count_last = total_count

    def set_proof(self, proof: ProofSummary) -> None:
        """Record that the export is complete."""
        self.proof = proof
        for track in tuple(self.tracks):
            self.finish(track)
        self.position = replace(self.position, reached_end=True)

    def progress(self) -> JobProgress:
        """Return the position and the statistics of all runs, for a checkpoint."""
        plan = PlanProgress(
            plan_sha256=self._digest,
            finished=tuple(sorted(self.finished)),
            open={name: one.stored() for name, one in sorted(self.tracks.items())},
            again=dict(sorted(self.again.items())),
            created=self._finished_created,
            doubtful=tuple(sorted(self.doubtful)),
            latest_start_s=self.latest_start_s,
            other_zone=self.other_zone,
            proof=self.proof,
            ranges=tuple(self._ranges),
        )
        return replace(super().progress(), plan=plan)

    def summary(self, settings: OutputSettings, files: tuple[FileSummary, ...] = ()) -> Summary:
        """Return the summary of a finished export."""
        plan = self.plan
        return replace(
            super().summary(settings, files),
            shortfall=None,  # the proof says more
            plan=PlanSummary(plan.by, plan.timezone, len(plan.ranges), plan.requests, self.cursors, plan.field),
            proof=self.proof,
            ranges=tuple(self._ranges),
        )


def track_of(number: int) -> str:
    """Return the name of the track of a range, from 1."""
    return f"{number:05}"


def _sum(total: Position, more: Position, less: Position) -> Position:
    """Return a total with one position replaced by another."""
    return Position(
        None,
        total.pages + more.pages - less.pages,
        total.contacts + more.contacts - less.contacts,
        total.written_bytes + more.written_bytes - less.written_bytes,
        total.uncompressed_bytes + more.uncompressed_bytes - less.uncompressed_bytes,
    )
