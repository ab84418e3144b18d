"""The progress of an export with several cursors: one position for each range that is being read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.layout.summary import FileSummary, ProofSummary, RangeSummary
from exporter.model import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeProgress:
    """The progress of one range, or of another track such as the contacts that came late.

    Attributes:
        position: position up to which its contacts are written.
        resume_token: the state of the loop guard at that position.
        count_first: the API's count of the range's contacts on its first page, None if the page had none.
        count_last: the same on the latest page.
        recent: contacts in it that were created in the 15 minutes before the export was started.
        created: contacts in it that were created after the start.
        read: contacts on its pages, also those that were written to another track before.
        began_s: when it was begun: seconds that the export had run by then, without the time between runs.
    """

    position: Position = field(default_factory=Position)
    resume_token: str = ""
    count_first: int | None = None
    count_last: int | None = None
    recent: int = 0
    created: int = 0
    read: int = 0
    began_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProgress:
    """The progress of all ranges of a plan.

    Attributes:
        plan_sha256: SHA-256 of the plan's file.
        finished: names of the tracks of which everything is written.
        open: the progress of each track that is begun and not finished, by its name.
        again: how many times each track was discarded; tracks that never were are left out.
        created: contacts of the finished tracks that were created after the start.
        doubtful: numbers of the ranges whose contacts do not fit what the API counted.
        latest_start_s: when the latest range was begun, in UNIX seconds; None before the first.
        other_zone: the time zone that the workspace had after the plan was made, if it is another one; else empty.
        proof: the result of the proof, None before it.
        ranges: the finished ranges, in the order in which they were finished.
    """

    plan_sha256: str
    finished: tuple[str, ...] = ()
    open: Mapping[str, RangeProgress] = field(default_factory=dict)
    again: Mapping[str, int] = field(default_factory=dict)
    created: int = 0
    doubtful: tuple[int, ...] = ()
    latest_start_s: int | None = None
    other_zone: str = ""
    proof: ProofSummary | None = None
    ranges: tuple[RangeSummary, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFiles:
    """The files of one track.

    Attributes:
        files: the finished files.
        part: the unfinished part, with its committed length and the SHA-256 of those bytes; None before its
            first byte.
    """

    files: tuple[FileSummary, ...] = ()
    part: FileSummary | None = None
