"""Markers and shared fixtures of whole-program tests."""

from pathlib import Path

import pytest

from tests.scenarios.network import Authority

HERE = Path(__file__).parent
SLOW = {
    "test_changing_workspaces",
    "test_containers",
    "test_crashes",
    "test_crashes_ranges",
    "test_exact_bytes",
    "test_failing_disk",
    "test_fault_matrix",
    "test_fault_matrix_ranges",
    "test_file_systems",
    "test_heavy_pages",
    "test_kills",
    "test_loaders",
    "test_memory",
    "test_ranges_stopped",
    "test_thirty_days",
}
"""Modules that take more than ten seconds of processor time each."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test of this folder as a scenario, and those of expensive modules as slow."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.scenario)
            if item.path.stem in SLOW:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Found a certificate authority."""
    return Authority(tmp_path_factory.mktemp("authority"))
