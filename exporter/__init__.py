"""Stream every contact out of an Intercom workspace.

Names are imported when they are first used: a command that only prints its
help should not wait for an HTTP client.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from exporter.exporting import export, stream
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
    from exporter.sandbox import Sandbox
    from exporter.source.intercom import Intercom
    from exporter.source.trial import Patience

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "CheckpointError",
    "ConfigError",
    "ContractError",
    "CredentialsError",
    "Event",
    "ExporterError",
    "FileSummary",
    "Intercom",
    "Observer",
    "Page",
    "PageWritten",
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

_ELSEWHERE = {
    "Intercom": "exporter.source.intercom",
    "Patience": "exporter.source.trial",
    "Sandbox": "exporter.sandbox",
    "export": "exporter.exporting",
    "stream": "exporter.exporting",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _ELSEWHERE.get(name) or (
        "exporter.errors" if name.endswith("Error") or name == "RetriesExhausted" else "exporter.model"
    )
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
