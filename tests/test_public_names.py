"""The names the library promises."""

import os
import subprocess
import sys

import exporter


def test_promised_public_names_exist() -> None:
    """Every name of the contract can be imported from the package."""
    promised = {
        "ApiError",
        "CheckpointError",
        "ConfigError",
        "ContractError",
        "CredentialsError",
        "ExporterError",
        "Intercom",
        "Page",
        "RetriesExhausted",
        "Sandbox",
        "SinkError",
        "SourceError",
        "Summary",
        "export",
        "stream",
    }
    assert promised <= set(exporter.__all__)


def test_all_is_sorted_and_correct() -> None:
    """``__all__`` is sorted, and each of its names can be had."""
    assert exporter.__all__ == sorted(exporter.__all__)
    for name in exporter.__all__:
        assert getattr(exporter, name) is not None
    assert dir(exporter) == exporter.__all__


def test_unknown_names_are_refused() -> None:
    """A misspelt name is an AttributeError, as in any module."""
    assert not hasattr(exporter, "exprot")


def test_importing_the_package_is_cheap() -> None:
    """The package alone imports no HTTP client and no terminal library."""
    code = "import exporter, sys; print(sorted({'aiohttp', 'rich', 'cyclopts', 'msgspec'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=dict(os.environ))
    assert out.stdout.strip() == b"[]"
