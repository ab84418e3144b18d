"""Stream every contact out of an Intercom workspace.

Names are imported when they are first used: a command that only prints its help
should not wait for an HTTP client, and one that is interrupted at once has nothing
to unwind.
"""

import importlib

TYPE_CHECKING = False  # `typing` itself takes longer to import than all that follows
if TYPE_CHECKING:
    from typing import Any

    from exporter.checking import Checked, check
    from exporter.encode.shape import Shape
    from exporter.errors import (
        ApiError,
        CheckpointError,
        ConfigError,
        ContractError,
        CredentialsError,
        CursorError,
        ExporterError,
        RetriesExhausted,
        SinkError,
        SourceError,
    )
    from exporter.events import (
        AttributesUntold,
        Committed,
        DiskLimited,
        Event,
        FieldsNotFound,
        Observer,
        OldVersion,
        PageWritten,
        Requested,
        Resumed,
        Retrying,
        VersionMismatch,
        Waiting,
    )
    from exporter.exporting import export
    from exporter.metrics import Metrics
    from exporter.model import FileSummary, Page, Position, SourceSummary, Summary, Timeline
    from exporter.replay import Replay
    from exporter.sandbox import Sandbox
    from exporter.sink.verify import Verified, Verifying, verify
    from exporter.source.contacts import Contacts
    from exporter.source.expansion import Expansion
    from exporter.source.intercom import Intercom
    from exporter.source.listing import Pages
    from exporter.source.trial import Patience
    from exporter.streaming import Chunks, stream

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "AttributesUntold",
    "Checked",
    "CheckpointError",
    "Chunks",
    "Committed",
    "ConfigError",
    "Contacts",
    "ContractError",
    "CredentialsError",
    "CursorError",
    "DiskLimited",
    "Event",
    "Expansion",
    "ExporterError",
    "FieldsNotFound",
    "FileSummary",
    "Intercom",
    "Metrics",
    "Observer",
    "OldVersion",
    "Page",
    "PageWritten",
    "Pages",
    "Patience",
    "Position",
    "Replay",
    "Requested",
    "Resumed",
    "RetriesExhausted",
    "Retrying",
    "Sandbox",
    "Shape",
    "SinkError",
    "SourceError",
    "SourceSummary",
    "Summary",
    "Timeline",
    "Verified",
    "Verifying",
    "VersionMismatch",
    "Waiting",
    "__version__",
    "check",
    "export",
    "stream",
    "verify",
]

_LATER = {
    "Checked": "exporter.checking",
    "check": "exporter.checking",
    "Chunks": "exporter.streaming",
    "Contacts": "exporter.source.contacts",
    "Expansion": "exporter.source.expansion",
    "Intercom": "exporter.source.intercom",
    "Metrics": "exporter.metrics",
    "Replay": "exporter.replay",
    "Pages": "exporter.source.listing",
    "Patience": "exporter.source.trial",
    "Sandbox": "exporter.sandbox",
    "Shape": "exporter.encode.shape",
    "Verified": "exporter.sink.verify",
    "Verifying": "exporter.sink.verify",
    "export": "exporter.exporting",
    "stream": "exporter.streaming",
    "verify": "exporter.sink.verify",
}

_LATER |= dict.fromkeys(
    (
        "ApiError",
        "CheckpointError",
        "ConfigError",
        "ContractError",
        "CredentialsError",
        "CursorError",
        "ExporterError",
        "RetriesExhausted",
        "SinkError",
        "SourceError",
    ),
    "exporter.errors",
)
_LATER |= dict.fromkeys(
    (
        "AttributesUntold",
        "Committed",
        "DiskLimited",
        "Event",
        "FieldsNotFound",
        "Observer",
        "OldVersion",
        "PageWritten",
        "Requested",
        "Resumed",
        "Retrying",
        "VersionMismatch",
        "Waiting",
    ),
    "exporter.events",
)
_LATER |= dict.fromkeys(("FileSummary", "Page", "Position", "SourceSummary", "Summary", "Timeline"), "exporter.model")


def __getattr__(name: str) -> "Any":
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
