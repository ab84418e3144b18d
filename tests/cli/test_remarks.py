"""Sentences about a finished export: as many things as there are."""

from dataclasses import replace
from typing import Any

import pytest

from exporter.cli.remarks import remarks, troubles
from exporter.source.shortfall import ShortList
from tests.fixtures.summaries import SUMMARY


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"lists_missing": 1}, "1 list of contacts could not be completed: "),
        ({"lists_missing": 2}, "2 lists of contacts could not be completed: "),
        (
            {"lists_missing": 1_000, "lists_missing_causes": {"http_404": 1_000}},
            "1,000 lists of contacts could not be completed (http_404 1,000): ",
        ),
        ({"irregular_contacts": 1}, "at least 1 contact cannot"),
        ({"irregular_contacts": 1_000}, "at least 1,000 contacts cannot"),
        ({"duplicates": 1}, "1 contact is listed twice"),
        ({"duplicates": 2}, "2 contacts are listed twice"),
        ({"contacts": 2}, "the API counts 1 contact, but listed 2"),
        ({"total_count_last": 3_000, "shortfall": 2_999}, "the list ended after 1 contact, although"),
    ],
)
def test_remarks_of_one_or_many_have_the_right_number(facts: dict[str, Any], sentence: str) -> None:
    """Singular and plural, with commas."""
    said = list(remarks(replace(SUMMARY, **{"duplicates": 0} | facts)))
    assert [line for line in said if line.startswith(sentence)], said


def test_troubles_of_one_or_many_have_the_right_number() -> None:
    """Lists and requests."""
    one = replace(SUMMARY, lists_expanded=1, retries={"network": 1})
    assert troubles(one) == "on the way: 1 of 1 request repeated (network 1), 1 list completed"
    many = replace(SUMMARY, lists_expanded=2_000, retries={"network": 1_000}, requests=9_000)
    assert troubles(many) == "on the way: 1,000 of 9,000 requests repeated (network 1,000), 2,000 lists completed"


def test_short_list_of_one_contact_is_singular() -> None:
    """As in every other line."""
    assert str(ShortList(1, 4_000, None)).startswith("the list ends after 1 contact, although")
