"""zstd: of the standard library from Python 3.14 on, before that an optional extra."""

import importlib
from types import ModuleType

_LEVEL = 3  # what is slower gains little on text like this
_MODULES = ("compression.zstd", "backports.zstd")


class MissingZstdError(ImportError):
    """Neither the standard library nor an extra has it."""

    def __str__(self) -> str:
        return "zstd needs an extra of this package: pip install 'intercom-exporter[zstd]'"


def zstd() -> ModuleType:
    """Import the library.

    Raises:
        MissingZstdError: it is not installed.
    """
    for name in _MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise MissingZstdError


def zstd_frame(content: bytes) -> bytes:
    """Compress into one frame: the same bytes for the same content, with one version of the library."""
    frame: bytes = zstd().compress(content, _LEVEL)
    return frame
