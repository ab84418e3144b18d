"""Folders in memory, for tests that write and sync thousands of small files."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_SHARED_MEMORY = "/dev/shm"
MEMORY = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
"""A folder on a file system in memory, for `tempfile`; None, its default, where there is none."""


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """Create an empty folder, in memory where that is possible, because it is fast to write and sync there."""
    with tempfile.TemporaryDirectory(prefix="intercom-exporter-tests-", dir=MEMORY) as folder:
        yield Path(folder)
