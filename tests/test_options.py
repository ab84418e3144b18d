"""The settings of an export in one object, and the functions that take them as keywords."""

import dataclasses
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

import exporter
from exporter.options import ExportKeywords, ExportOptions, StreamKeywords


def test_keywords_are_the_fields_of_the_options() -> None:
    """`export` and `check` take all of them, `stream` some, each with the type of the field."""
    types = get_type_hints(ExportOptions)
    assert get_type_hints(ExportKeywords) == types
    assert get_type_hints(StreamKeywords).items() <= types.items()


@pytest.mark.parametrize("function", [exporter.export, exporter.check, exporter.stream])
async def test_unknown_keyword_is_a_type_error(function: Callable[..., Any], intercom: exporter.Intercom) -> None:
    """Named with the function, as Python itself does."""
    with pytest.raises(TypeError, match=rf"{function.__name__}\(\) got an unexpected keyword argument 'shape'"):
        result = function(intercom, shape=()) if function is exporter.stream else function(intercom, "-", shape=())
        await result


async def test_stream_refuses_keywords_of_files(intercom: exporter.Intercom) -> None:
    """It has no parts and no disk."""
    for name in sorted(get_type_hints(ExportKeywords).keys() - get_type_hints(StreamKeywords).keys()):
        arguments: dict[str, Any] = {name: None}
        with pytest.raises(TypeError, match=name):
            exporter.stream(intercom, **arguments)


def test_equal_settings_are_equal_options() -> None:
    """So that comparing them is `==`."""
    options = ExportOptions.of("export", ExportKeywords, {"consumers": 3, "csv_bom": True})
    assert options == ExportOptions(consumers=3, csv_bom=True) != ExportOptions()


def test_options_cannot_be_changed() -> None:
    """So that a job and its destination have the same."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExportOptions().consumers = 3  # type: ignore[misc] # the very thing that is tested
