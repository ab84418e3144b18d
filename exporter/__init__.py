"""Stream every contact out of an Intercom workspace.

Names that need an HTTP client are imported when they are first used: a command
that only prints its help should not wait for one.
"""

import importlib
from typing import TYPE_CHECKING, Any

from exporter.errors import (
    ApiError,
    CheckpointError,
    ConfigError,
    ContractError,
    CredentialsError,
    ExporterError,
    RetriesExhausted,
    SinkError,
    SourceError,
)
from exporter.model import (
    Event,
    FileSummary,
    Observer,
    Page,
    PageWritten,
    Position,
    Retrying,
    SourceSummary,
    Summary,
    VersionMismatch,
    Waiting,
)

if TYPE_CHECKING:
    from exporter.exporting import Chunks, export, stream
    from exporter.sandbox import Sandbox
    from exporter.source.intercom import Contacts, Intercom
    from exporter.source.listing import Pages
    from exporter.source.trial import Patience

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "CheckpointError",
    "Chunks",
    "ConfigError",
    "Contacts",
    "ContractError",
    "CredentialsError",
    "Event",
    "ExporterError",
    "FileSummary",
    "Intercom",
    "Observer",
    "Page",
    "PageWritten",
    "Pages",
    "Patience",
    "Position",
    "RetriesExhausted",
    "Retrying",
    "Sandbox",
    "SinkError",
    "SourceError",
    "SourceSummary",
    "Summary",
    "VersionMismatch",
    "Waiting",
    "__version__",
    "export",
    "stream",
]

_LATER = {
    "Chunks": "exporter.exporting",
    "Contacts": "exporter.source.intercom",
    "Intercom": "exporter.source.intercom",
    "Pages": "exporter.source.listing",
    "Patience": "exporter.source.trial",
    "Sandbox": "exporter.sandbox",
    "export": "exporter.exporting",
    "stream": "exporter.exporting",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
