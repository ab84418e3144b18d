"""The settings of an export in one object, and the functions that take them as keywords."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import exporter
from exporter.options import ExportOptions

OPTIONS = {field.name: field.default for field in dataclasses.fields(ExportOptions)}


@pytest.mark.parametrize("verb", [exporter.export, exporter.check, exporter.stream])
def test_keywords_of_the_library_are_the_options_with_their_defaults(verb: Callable[..., Any]) -> None:
    """What a keyword is called, and what it is by default, stands in one place; `export` takes all of them."""
    keywords = {
        name: one.default
        for name, one in inspect.signature(verb).parameters.items()
        if one.kind is one.KEYWORD_ONLY and name != "observer"
    }
    assert keywords.items() <= OPTIONS.items()
    assert verb is not exporter.export or keywords.keys() == OPTIONS.keys()


def test_options_of_keywords_take_those_alone() -> None:
    """Other names are not looked at; equal settings are equal options."""
    options = ExportOptions.of({"consumers": 3, "csv_bom": True, "intercom": object(), "path": "a"})
    assert options == ExportOptions(consumers=3, csv_bom=True) != ExportOptions()


def test_options_cannot_be_changed() -> None:
    """So that a job and its destination have the same."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExportOptions().consumers = 3  # type: ignore[misc] # the very thing that is tested
