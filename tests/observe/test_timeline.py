"""The timeline of an export, in a bounded number of slices."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter
from exporter.destination.base import Destination
from exporter.formats.encoder import Encoder
from exporter.job import Job
from exporter.model import Frame, Timeline
from exporter.observe.events import null_observer
from exporter.observe.timeline import MAX_SLICES, TimelineRecorder
from exporter.options import ExportOptions

PAGES = st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 150), st.integers(0, 3), st.floats(0, 100)), max_size=60)


@given(runs=st.lists(PAGES, max_size=4))
def test_timeline_keeps_totals_in_a_bounded_number_of_slices(runs: list[list[tuple[float, int, int, float]]]) -> None:
    """The totals stay exact for an export of any duration with any number of interruptions."""
    timeline, contacts, retries, waited_s = Timeline(), 0, 0, 0.0
    for pages in runs:
        recorder, repeated, waited = TimelineRecorder(timeline), 0, 0.0
        for at_s, count, again, wait_s in sorted(pages):
            repeated, waited = repeated + again, waited + wait_s
            recorder.add(at_s, count, repeated, waited)
            contacts += count
        retries, waited_s = retries + repeated, waited_s + waited
        timeline = recorder.timeline()
    assert timeline.is_valid
    assert timeline.slice_s * len(timeline.contacts) <= timeline.ran_s + timeline.slice_s
    assert len(timeline.contacts) <= MAX_SLICES
    assert (sum(timeline.contacts), sum(timeline.retries)) == (contacts, retries)
    assert sum(timeline.waited_s) == pytest.approx(waited_s, abs=0.001 * MAX_SLICES)


def test_timeline_merges_neighbouring_slices_when_it_is_full() -> None:
    """After ten pages, one each second, and a long pause, two neighbours become one until all slices fit."""
    recorder = TimelineRecorder()
    for second in range(10):
        recorder.add(second + 0.5, 100 + second, 0, 0)
    assert recorder.timeline() == Timeline(1.0, tuple(range(100, 110)), (0,) * 10, (0.0,) * 10, 9.5)
    recorder.add(150.0, 7, 1, 2.5)
    timeline = recorder.timeline()
    assert timeline.slice_s == 2.0
    assert timeline.contacts[:6] == (201, 205, 209, 213, 217, 0)
    assert (timeline.contacts[75], timeline.retries[75], timeline.waited_s[75]) == (7, 1, 2.5)


def test_timeline_counts_traffic_since_the_latest_page_once() -> None:
    """Traffic before the first page counts too."""
    recorder = TimelineRecorder()
    recorder.record_traffic(2, 0.5)
    recorder.add(1.5, 10, 2, 0.5)
    for _ in range(2):
        recorder.record_traffic(3, 4.5)
    assert recorder.timeline() == Timeline(1.0, (0, 10), (2, 1), (0.5, 4.0), 1.5)


async def test_checkpoint_and_its_timeline_count_the_same_retries() -> None:
    """Retries of pages that are fetched but not written yet count in both."""
    retry_policy = exporter.RetryPolicy(initial_backoff_s=0.001)
    async with exporter.Sandbox(900, faults={"http_503": 2}) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom:
            job = Job(intercom, ExportOptions(), Encoder(), null_observer)
            counted: list[tuple[int, int]] = []

            class Counting(Destination):
                async def append(self, frame: Frame) -> Frame:
                    await anyio.sleep(0.05)  # the listing is ahead in the meantime
                    figures = job.state.progress()
                    counted.append((sum(figures.retries.values()), sum(figures.timeline.retries)))
                    return frame

                async def finish(self) -> exporter.Summary:
                    raise NotImplementedError

            await job.move(Counting())
    assert counted[-1][0] > 0
    assert [total for total, _ in counted] == [sliced for _, sliced in counted]


def test_timeline_of_many_short_runs_has_the_sum_of_their_times() -> None:
    """No run counts for more time than it took."""
    timeline = Timeline()
    for _ in range(2_000):
        recorder = TimelineRecorder(timeline)
        recorder.add(0.25, 150, 0, 0.0)
        timeline = recorder.timeline()
    assert timeline.ran_s == pytest.approx(500.0)
    assert (sum(timeline.contacts), timeline.slice_s) == (300_000, 8.0)


@pytest.mark.parametrize(
    "timeline",
    [
        Timeline(0.0),
        Timeline(-1.0),
        Timeline(5e-324),
        Timeline(9e15),
        Timeline(1.0, (2**52, 2**52), (0, 0), (0.0, 0.0)),
        Timeline(1.0, (1,)),
        Timeline(1.0, (-1,), (0,), (0.0,)),
        Timeline(1.0, (2**60,), (0,), (0.0,)),
        Timeline(float("nan")),
        Timeline(1.0, (0,) * 2_000, (0,) * 2_000, (0.0,) * 2_000),
    ],
    ids=range(10),
)
def test_timeline_with_impossible_values_is_invalid(timeline: Timeline) -> None:
    """A manifest may be untrusted input."""
    assert not timeline.is_valid


async def test_export_keeps_its_timeline_in_the_manifest(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom, tmp_path: object
) -> None:
    """The timeline counts all contacts, and a second export reads it from the manifest."""
    summary = await exporter.export(intercom, f"{tmp_path}/a.ndjson")
    assert sum(summary.timeline.contacts) == summary.contacts == sandbox.contacts
    assert (await exporter.export(intercom, f"{tmp_path}/a.ndjson")).timeline == summary.timeline
