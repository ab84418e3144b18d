"""Optional libraries. An extra of this package installs each of them; it is imported where it is first used."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from exporter.errors import ConfigError

_ZSTD_MODULES = ("compression.zstd", "backports.zstd")


class MissingExtraError(ConfigError):
    """An optional library is not installed."""


@contextmanager
def needing(extra: str, feature: str) -> Iterator[None]:
    """Name the extra to install where the block cannot import a library.

    Args:
        extra: of this package.
        feature: what needs it, with its verb: ``"Parquet needs"``.

    Raises:
        MissingExtraError: the library is not installed.
    """
    try:
        yield
    except ImportError:
        raise MissingExtraError(f"{feature} an extra: pip install 'intercom-exporter[{extra}]'") from None


def arrow() -> tuple[ModuleType, ModuleType]:
    """Import pyarrow, and its module for Parquet.

    Raises:
        MissingExtraError: it is not installed.
    """
    with needing("parquet", "Parquet needs"):
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")


def zstd() -> ModuleType:
    """Import zstd: from the standard library since Python 3.14, before that from an optional library.

    Raises:
        MissingExtraError: neither is there.
    """
    for name in _ZSTD_MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    with needing("zstd", "zstd needs"):
        raise ImportError


def prometheus_client() -> ModuleType:
    """Import the client library of Prometheus.

    Raises:
        MissingExtraError: it is not installed.
    """
    with needing("metrics", "metrics need"):
        return importlib.import_module("prometheus_client")


def keyring() -> ModuleType:
    """Import the library for the system's keyring.

    Raises:
        MissingExtraError: it is not installed.
    """
    with needing("keyring", "the keyring needs"):
        return importlib.import_module("keyring")
