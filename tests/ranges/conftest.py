"""Fixtures of exports with several cursors."""

import pytest


@pytest.fixture(autouse=True)
def _small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut small workspaces into many ranges."""
    monkeypatch.setattr("exporter.source.planner._MIN_CONTACTS", 150)
