"""pyarrow: an optional extra, imported only where Parquet is written or read."""

import importlib
from types import ModuleType

_NAMES = ("pyarrow", "pyarrow.parquet")


class MissingArrowError(ImportError):
    """It is not installed."""

    def __str__(self) -> str:
        return "Parquet needs an extra of this package: pip install 'intercom-exporter[parquet]'"


def arrow() -> tuple[ModuleType, ModuleType]:
    """Import the library, and its part that knows Parquet.

    Raises:
        MissingArrowError: it is not installed.
    """
    try:
        whole, parquet = map(importlib.import_module, _NAMES)
    except ImportError:
        raise MissingArrowError from None
    return whole, parquet
