"""`plan`, and what `check` says about several cursors."""

import json
from typing import Any

import pytest

import exporter
from tests.support.ranges import client_of, sandbox_of


async def test_plan_covers_the_workspace_and_writes_nothing() -> None:
    """Its ranges follow one another, and hold as many contacts as the list."""
    async with sandbox_of(2_000, "day") as sandbox, client_of(sandbox) as intercom:
        plan = await exporter.plan(intercom, 8)
    assert (plan.by, plan.timezone) == ("day", "Europe/Dublin")
    assert sum(one.expected for one in plan.ranges) == 2_000
    assert (plan.ranges[0].start, plan.ranges[-1].end) == (None, None)
    assert [one.end for one in plan.ranges[:-1]] == [one.start for one in plan.ranges[1:]]
    assert 10 < plan.requests < 100
    assert str(plan) == f"{len(plan.ranges)} ranges by day"


async def test_more_cursors_need_smaller_ranges() -> None:
    """A plan is a function of the counts and of the number of cursors."""
    async with sandbox_of(12_000) as sandbox, client_of(sandbox) as intercom:
        few, many = await exporter.plan(intercom, 2), await exporter.plan(intercom, "auto")
        again = await exporter.plan(intercom, 32)
    assert len(few.ranges) < len(many.ranges)
    assert many.ranges == again.ranges


@pytest.mark.parametrize("cursors", [0, 129, "all", 1.5, True])
async def test_plan_refuses_other_numbers_of_cursors(cursors: Any) -> None:
    """Before any request."""
    async with sandbox_of(10) as sandbox, client_of(sandbox) as intercom:
        with pytest.raises(exporter.ConfigError, match="from 1 to 128, or 'auto'"):
            await exporter.plan(intercom, cursors)


async def test_check_reports_the_plan_and_that_search_and_list_agree() -> None:
    """With the minutes of one cursor and of several; nothing is left to warn about."""
    async with sandbox_of(2_000, "second") as sandbox, client_of(sandbox, per_page=150) as intercom:
        result = await exporter.check(intercom, cursors=8)
        single = await exporter.check(intercom)
    assert result.plan is not None
    assert (result.plan.by, result.plan.cursors) == ("second", 8)
    assert (result.search_agrees, result.search_differences, result.warnings) == (True, (), ())
    assert result.estimated_duration_one_cursor_s is not None
    assert (single.plan, single.search_agrees, single.estimated_duration_one_cursor_s) == (None, None, None)


async def test_check_warns_if_the_search_lacks_contacts() -> None:
    """The counts differ; an export would end the same way."""
    async with sandbox_of(1_000, missing=100) as sandbox, client_of(sandbox) as intercom:
        result = await exporter.check(intercom, cursors=8)
    assert result.search_agrees is False
    assert any("the list counts 1,000 contacts, and the search only 900" in line for line in result.warnings)


async def test_check_names_the_fields_in_which_the_search_differs() -> None:
    """Contacts of both are compared byte by byte."""
    from exporter.ranges.planning import _differing_fields  # noqa: PLC0415 - the sandbox never differs

    first, second = json.loads('{"id":"1","a":1,"b":[1]}'), json.loads('{"id":"1","b":[2],"c":3}')
    assert _differing_fields(first, second) == ["a", "b", "c"]
    assert _differing_fields(first, first) == ["(spelling)"]
