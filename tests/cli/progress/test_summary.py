"""Sentences about a finished export: as many things as there are."""

from dataclasses import replace
from typing import Any

import pytest

from exporter.cli.progress.summary import retry_summary, warnings
from exporter.source.shortfall import ShortList
from tests.fixtures.summaries import SUMMARY


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"lists_missing": 1}, "1 list of contacts could not be expanded: "),
        ({"lists_missing": 2}, "2 lists of contacts could not be expanded: "),
        (
            {"lists_missing": 1_000, "lists_missing_causes": {"http_404": 1_000}},
            "1,000 lists of contacts could not be expanded (http_404 1,000): ",
        ),
        ({"irregular_contacts": 1}, "at least 1 contact cannot"),
        ({"irregular_contacts": 1_000}, "at least 1,000 contacts cannot"),
        ({"duplicates": 1}, "1 contact is listed twice"),
        ({"duplicates": 2}, "2 contacts are listed twice"),
        ({"contacts": 2}, "the API reports 1 contact but listed 2"),
        ({"total_count_last": 3_000, "shortfall": 2_999}, "the list ended after 1 contact, although"),
    ],
)
def test_warnings_have_the_right_grammatical_number(facts: dict[str, Any], sentence: str) -> None:
    """Singular and plural, with commas."""
    lines = list(warnings(replace(SUMMARY, **{"duplicates": 0} | facts)))
    assert [line for line in lines if line.startswith(sentence)], lines


def test_retry_summary_counts_requests_and_lists() -> None:
    """One and many, with commas."""
    one = replace(SUMMARY, lists_expanded=1, retries={"network": 1})
    assert retry_summary(one) == "retries: 1 of 1 request (network 1); lists expanded: 1"
    many = replace(SUMMARY, lists_expanded=2_000, retries={"network": 1_000}, requests=9_000)
    assert retry_summary(many) == "retries: 1,000 of 9,000 requests (network 1,000); lists expanded: 2,000"


def test_short_list_of_one_contact_is_singular() -> None:
    """As in every other line."""
    assert str(ShortList(1, 4_000, None)).startswith("the list ends after 1 contact, although")
