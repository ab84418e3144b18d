"""Markers and shared fixtures of whole-program tests."""

import subprocess
from collections.abc import Callable, Iterator
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
    "test_failing_disk_ranges",
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system in memory at the folder of the commands, with options; called again, change them."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        again = ["-o", f"remount,{options}"] if mounted else ["-t", "tmpfs", "-o", options, "tmpfs"]
        done = subprocess.run(["mount", *again, tmp_path], capture_output=True, check=False)
        if done.returncode and not mounted:
            pytest.skip("mounting is not allowed here")
        assert done.returncode == 0, done.stderr
        mounted.append(tmp_path)
        return tmp_path

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)
