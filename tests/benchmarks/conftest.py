"""Mark the tests of the benchmarks; skip what needs the other tools of the comparison where they are not installed."""

from pathlib import Path

import pytest

from benchmarks.tools import missing_tools


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all as slow: they run whole programs. Skip those marked ``peers`` if a tool is missing, and name it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
    missing = missing_tools()
    if not missing:
        return
    skip = pytest.mark.skip(reason=f"the extra [benchmarks] is not installed: no {', '.join(missing)}")
    for item in items:
        if item.get_closest_marker("peers"):
            item.add_marker(skip)
