"""Stream every contact out of an Intercom workspace.

Names are imported when they are first used: a command that only prints its help
should not wait for an HTTP client, and one that is interrupted at once has nothing
to unwind.
"""

import importlib

from exporter._version import __version__

TYPE_CHECKING = False  # `typing` itself takes longer to import than all that follows
if TYPE_CHECKING:
    from typing import Any

    from exporter.archive.replay import Replay
    from exporter.archive.verify import Verified, Verifying, verify
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
    from exporter.exports import export
    from exporter.formats.selection import Shape
    from exporter.model import FileSummary, Page, Position, SourceSummary, Summary, Timeline
    from exporter.observe.events import (
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
    from exporter.observe.prometheus import Metrics
    from exporter.options import Expansion
    from exporter.preflight import Checked, check
    from exporter.sandbox import Sandbox
    from exporter.source.contacts import Contacts
    from exporter.source.intercom import Intercom
    from exporter.source.pages import Pages
    from exporter.source.retry import Patience
    from exporter.streams import Chunks, stream

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
    "Checked": "exporter.preflight",
    "check": "exporter.preflight",
    "Chunks": "exporter.streams",
    "Contacts": "exporter.source.contacts",
    "Expansion": "exporter.options",
    "Intercom": "exporter.source.intercom",
    "Metrics": "exporter.observe.prometheus",
    "Replay": "exporter.archive.replay",
    "Pages": "exporter.source.pages",
    "Patience": "exporter.source.retry",
    "Sandbox": "exporter.sandbox",
    "Shape": "exporter.formats.selection",
    "Verified": "exporter.archive.verify",
    "Verifying": "exporter.archive.verify",
    "export": "exporter.exports",
    "stream": "exporter.streams",
    "verify": "exporter.archive.verify",
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
    "exporter.observe.events",
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
