"""The ranges that a workspace is cut into: each contact is in exactly one."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.layout.plan import Plan, Range, decode_plan, encode_plan
from exporter.source.planner import Cut, Extent, Planner, affordable_counts, wanted_contacts
from exporter.source.range_query import filter_of, search_between
from tests.support.properties import examples
from tests.support.searches import ZONES, is_match

WANTED = 10
LOADED_ZONES = {name: ZoneInfo(name) for name in ZONES}
CLOCK_CHANGES = [
    int(datetime(2023, month, day, tzinfo=UTC).timestamp())
    for month, day in ((3, 12), (3, 26), (4, 2), (10, 1), (10, 29), (11, 5))
]
"""Days near which clocks go forward or back, somewhere."""


class Contacts:
    """Contacts that can be counted as the API counts them.

    Args:
        stamps: when each is created.
        zone: the workspace's time zone.
        precision: ``day`` or ``second``.
        has_suffix: whether the operator ``$`` is accepted for ids.
    """

    def __init__(
        self, stamps: list[int], zone: str = "UTC", precision: str = "second", *, has_suffix: bool = True
    ) -> None:
        shuffled = random.Random(len(stamps))
        self.rows: list[dict[str, Any]] = [
            {"id": f"{shuffled.getrandbits(96):024x}", "created_at": stamp} for stamp in stamps
        ]
        self.zone, self.precision, self.has_suffix = LOADED_ZONES[zone], precision, has_suffix
        self.counted: list[Range] = []

    def in_range(self, one: Range) -> list[dict[str, Any]]:
        """Return the contacts that the filter of a range matches."""
        return [row for row in self.rows if is_match(row, filter_of(one), self.zone, self.precision)]

    async def count(self, one: Range) -> int | None:
        """Count the contacts of a range."""
        self.counted.append(one)
        return None if one.id_suffix and not self.has_suffix else len(self.in_range(one))

    async def count_second(self, stamp: int) -> int:
        """Count the contacts at a time."""
        query = json.loads(search_between(stamp - 1, stamp + 1).query)
        return sum(is_match(row, query, self.zone, self.precision) for row in self.rows)

    async def cut(self, wanted: int = WANTED, counts: int = 10_000) -> Cut:
        """Cut all contacts into ranges."""
        stamps = [row["created_at"] for row in self.rows]
        return await Planner(
            self.count, self.count_second, Extent(len(stamps), min(stamps), max(stamps)), wanted, counts
        ).cut()

    def assert_complete(self, cut: Cut) -> None:
        """Check that each contact is in exactly one range, as counted, and that the plan can be stored."""
        found = Counter(row["id"] for one in cut.ranges for row in self.in_range(one))
        assert found == Counter(row["id"] for row in self.rows)
        assert sum(one.expected for one in cut.ranges) == len(self.rows)
        plan = Plan(
            by=cut.by,
            timezone="UTC",
            ranges=cut.ranges,
            requests=1,
            started_at=1,
            recent_since=0,
            list_count=1,
            search_count=1,
        )
        assert decode_plan(encode_plan(plan)) == plan


STAMPS = st.lists(
    st.integers(1_600_000_000, 1_700_000_000)
    | st.sampled_from(CLOCK_CHANGES).flatmap(lambda day: st.integers(day - 90_000, day + 180_000)),
    min_size=1,
    max_size=150,
)


@examples(percent=200)
@given(STAMPS, st.sampled_from(ZONES), st.sampled_from(["day", "second"]), st.integers(1, 40))
async def test_each_contact_is_in_exactly_one_range(stamps: list[int], zone: str, precision: str, wanted: int) -> None:
    """In any time zone, around its daylight-saving days, whatever a date means and however small the ranges are."""
    contacts = Contacts(stamps, zone, precision)
    contacts.assert_complete(await contacts.cut(wanted))


@examples(percent=40)
@given(STAMPS, st.sampled_from(ZONES), st.integers(0, 30))
async def test_ranges_are_complete_when_few_counts_are_affordable(stamps: list[int], zone: str, counts: int) -> None:
    """Ranges that cannot be cut any more stay large."""
    contacts = Contacts(stamps, zone, "day")
    contacts.assert_complete(await contacts.cut(1, counts))


def spread(count: int, days: float, start: int = 1_600_000_000) -> list[int]:
    """Return times that are evenly spread over days."""
    return [start + int(days * 86_400 * number / count) for number in range(count)]


@pytest.mark.parametrize(("precision", "by"), [("second", "second"), ("day", "day")])
async def test_evenly_created_contacts_become_ranges_of_nearly_the_wanted_size(precision: str, by: str) -> None:
    """Neighbours are merged, so that there are hardly more ranges than needed."""
    contacts = Contacts(spread(3_000, 400), precision=precision)
    cut = await contacts.cut(100)
    assert cut.by == by
    assert max(one.expected for one in cut.ranges) <= 100
    assert len(cut.ranges) <= 45
    contacts.assert_complete(cut)


@pytest.mark.parametrize("zone", ZONES)
async def test_day_with_many_contacts_is_cut_by_ids(zone: str) -> None:
    """Where dates are days, nothing else can cut it; the sixteen parts are complete."""
    noon = datetime(2023, 6, 1, 12, tzinfo=LOADED_ZONES[zone])
    hot = [int((noon + timedelta(seconds=40 * number)).timestamp()) for number in range(500)]
    contacts = Contacts(spread(100, 800, hot[0] - 400 * 86_400) + hot, zone, "day")
    cut = await contacts.cut()
    assert cut.by == "day+id"
    assert cut.uncut == 0
    assert max(one.expected for one in cut.ranges) < 100
    contacts.assert_complete(cut)


async def test_second_with_many_contacts_is_cut_by_ids() -> None:
    """As an import leaves them; also by two digits."""
    contacts = Contacts([*spread(50, 100), *[1_600_500_000] * 2_000])
    cut = await contacts.cut()
    assert cut.by == "second+id"
    assert {len(one.id_suffix) for one in cut.ranges} == {0, 2}
    contacts.assert_complete(cut)


async def test_day_stays_whole_when_ids_cannot_be_searched_by_suffix() -> None:
    """The API refuses the operator: the day is one large range, and the plan says so."""
    contacts = Contacts([*spread(50, 100), *spread(500, 0.2, 1_603_000_000)], precision="day", has_suffix=False)
    cut = await contacts.cut()
    assert (cut.by, cut.uncut) == ("day", 1)
    contacts.assert_complete(cut)


async def test_day_stays_whole_when_the_parts_do_not_add_up() -> None:
    """The operator is accepted, but does not do what it should."""
    contacts = Contacts([*spread(50, 100), *spread(500, 0.2, 1_603_000_000)], precision="day")
    for row in contacts.rows[::7]:
        row["id"] += "Z"
    cut = await contacts.cut()
    assert (cut.by, cut.uncut) == ("day", 1)
    contacts.assert_complete(cut)


async def test_counts_that_contradict_one_another_are_repeated() -> None:
    """Contacts created between two counts make the rest of a range negative: it is counted itself."""
    contacts = Contacts(spread(200, 100))
    counted = contacts.count

    async def count(one: Range) -> int | None:
        number = await counted(one)
        is_first_round = one.end is not None and one.id_suffix == "" and len(contacts.counted) < 9
        return None if number is None else number + (150 if is_first_round else 0)

    stamps = [row["created_at"] for row in contacts.rows]
    cut = await Planner(count, contacts.count_second, Extent(200, min(stamps), max(stamps)), 50, 1_000).cut()
    found = Counter(row["id"] for one in cut.ranges for row in contacts.in_range(one))
    assert found == Counter(row["id"] for row in contacts.rows)
    assert all(one.expected >= 0 for one in cut.ranges)


@pytest.mark.parametrize("zone", ZONES)
async def test_days_are_recognised_by_contacts_of_the_last_second_of_a_day(zone: str) -> None:
    """The next second is another day."""
    midnight = datetime(2023, 6, 2, tzinfo=LOADED_ZONES[zone])
    last = int(midnight.timestamp()) - 1
    contacts = Contacts([last - 200 * 86_400, *spread(300, 150, last - 199 * 86_400), last], zone, "day")
    assert (await contacts.cut()).by == "day"


async def test_small_workspace_is_one_range_without_any_count() -> None:
    """Nothing is gained by cutting it."""
    contacts = Contacts(spread(10, 5))
    assert (await contacts.cut()).ranges == (Range(None, None, "", 10),)
    assert contacts.counted == []


@pytest.mark.parametrize(
    ("contacts", "cursors", "wanted"),
    [
        (3_000_000, 32, 11_718),
        (384_000, 32, 3_000),
        (1_000_000, 128, 1_953),
        (96_000, 32, 1_500),
        (100, 8, 1_500),
        (50_000_000, 2, 30_000),
    ],
)
def test_wanted_size_gives_each_cursor_several_ranges(contacts: int, cursors: int, wanted: int) -> None:
    """Between ten and two hundred pages, about eight ranges for each cursor, or four if these would be small."""
    assert wanted_contacts(contacts, cursors) == wanted


@pytest.mark.parametrize(
    ("contacts", "cursors", "counts"), [(3_000_000, 32, 1_250), (1_000, 8, 16), (150_000, 128, 125), (60_000, 32, 32)]
)
def test_plan_needs_few_requests(contacts: int, cursors: int, counts: int) -> None:
    """A sixteenth of the requests for all pages; an eighth where there would be fewer ranges than cursors."""
    assert affordable_counts(contacts, 150, cursors) == counts
