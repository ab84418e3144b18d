"""Skip what needs the other tools of the comparison where they are not installed."""

import pytest

from benchmarks.tools import missing_tools


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked ``peers`` if one of the tools is missing, and name it."""
    missing = missing_tools()
    if not missing:
        return
    skip = pytest.mark.skip(reason=f"the extra [benchmarks] is not installed: no {', '.join(missing)}")
    for item in items:
        if item.get_closest_marker("peers"):
            item.add_marker(skip)
