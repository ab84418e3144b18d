"""How an export went, in a bounded number of slices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter
from exporter.model import Timeline
from exporter.timeline import MOST_SLICES, Pace

PAGES = st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 150), st.integers(0, 3), st.floats(0, 100)), max_size=60)


@given(runs=st.lists(PAGES, max_size=4))
def test_nothing_gets_lost_and_nothing_grows(runs: list[list[tuple[float, int, int, float]]]) -> None:
    """However long it takes and however often it is interrupted, the sums stay, in a bounded number of slices."""
    timeline, contacts, retries, waited_s = Timeline(), 0, 0, 0.0
    for pages in runs:
        pace, repeated, waited = Pace(timeline), 0, 0.0
        for at_s, count, again, wait_s in sorted(pages):
            repeated, waited = repeated + again, waited + wait_s
            pace.add(at_s, count, repeated, waited)
            contacts += count
        retries, waited_s = retries + repeated, waited_s + waited
        timeline = pace.timeline()
    assert timeline.is_possible
    assert timeline.slice_s * len(timeline.contacts) <= timeline.ran_s + timeline.slice_s
    assert len(timeline.contacts) <= MOST_SLICES
    assert (sum(timeline.contacts), sum(timeline.retries)) == (contacts, retries)
    assert sum(timeline.waited_s) == pytest.approx(waited_s, abs=0.001 * MOST_SLICES)


def test_slices_are_equal_and_in_order() -> None:
    """Ten pages a second apart, then a long pause: two neighbours become one until it fits."""
    pace = Pace()
    for second in range(10):
        pace.add(second + 0.5, 100 + second, 0, 0)
    assert pace.timeline() == Timeline(1.0, tuple(range(100, 110)), (0,) * 10, (0.0,) * 10, 9.5)
    pace.add(150.0, 7, 1, 2.5)
    timeline = pace.timeline()
    assert timeline.slice_s == 2.0
    assert timeline.contacts[:6] == (201, 205, 209, 213, 217, 0)
    assert (timeline.contacts[75], timeline.retries[75], timeline.waited_s[75]) == (7, 1, 2.5)


def test_many_short_runs_take_the_time_that_they_took() -> None:
    """No run claims more of it than it had, however many there are."""
    timeline = Timeline()
    for _ in range(2_000):
        pace = Pace(timeline)
        pace.add(0.25, 150, 0, 0.0)
        timeline = pace.timeline()
    assert timeline.ran_s == pytest.approx(500.0)
    assert (sum(timeline.contacts), timeline.slice_s) == (300_000, 8.0)


@pytest.mark.parametrize(
    "odd",
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
def test_an_impossible_one_is_not_believed(odd: Timeline) -> None:
    """A manifest may be anybody's."""
    assert not odd.is_possible


async def test_an_export_keeps_it(sandbox: exporter.Sandbox, intercom: exporter.Intercom, tmp_path: object) -> None:
    """Its contacts are all in it, and its manifest has it."""
    summary = await exporter.export(intercom, f"{tmp_path}/a.ndjson")
    assert sum(summary.timeline.contacts) == summary.contacts == sandbox.contacts
    assert (await exporter.export(intercom, f"{tmp_path}/a.ndjson")).timeline == summary.timeline
