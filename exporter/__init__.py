"""Export every contact of an Intercom workspace.

The package imports each public name at its first use: a command that only prints
its help does not wait for the import of an HTTP client, and a command that is
interrupted immediately has nothing to clean up.
"""

import importlib

from exporter._version import __version__

TYPE_CHECKING = False  # importing it from `typing` would take longer than the rest of this module
if TYPE_CHECKING:
    from typing import Any

    from exporter.archive.replay import Replay
    from exporter.archive.verify import VerifyProgress, VerifyResult, verify
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
    from exporter.formats.selection import FieldSelection
    from exporter.layout.plan import Plan, Range
    from exporter.layout.summary import FileSummary, PlanSummary, ProofSummary, SourceSummary, Summary
    from exporter.model import Page, Position, Timeline
    from exporter.observe.events import (
        AttributeNamesUnavailable,
        Committed,
        CursorsChanged,
        DiskLimited,
        Event,
        FieldsNotFound,
        LegacyApiVersion,
        Observer,
        PageWritten,
        Planned,
        RangeDiscarded,
        RangeFinished,
        RateLimited,
        RequestFinished,
        Resumed,
        RetryScheduled,
        VersionMismatch,
    )
    from exporter.observe.prometheus import Metrics
    from exporter.options import ExportOptions, ListExpansion
    from exporter.preflight import CheckResult, check
    from exporter.ranges.planning import plan
    from exporter.sandbox import Sandbox
    from exporter.source.contacts import Contacts
    from exporter.source.intercom import Intercom
    from exporter.source.pages import Pages
    from exporter.source.retry import RetryPolicy
    from exporter.streams import Chunks, stream

__all__ = [
    "ApiError",
    "AttributeNamesUnavailable",
    "CheckResult",
    "CheckpointError",
    "Chunks",
    "Committed",
    "ConfigError",
    "Contacts",
    "ContractError",
    "CredentialsError",
    "CursorError",
    "CursorsChanged",
    "DiskLimited",
    "Event",
    "ExportOptions",
    "ExporterError",
    "FieldSelection",
    "FieldsNotFound",
    "FileSummary",
    "Intercom",
    "LegacyApiVersion",
    "ListExpansion",
    "Metrics",
    "Observer",
    "Page",
    "PageWritten",
    "Pages",
    "Plan",
    "PlanSummary",
    "Planned",
    "Position",
    "ProofSummary",
    "Range",
    "RangeDiscarded",
    "RangeFinished",
    "RateLimited",
    "Replay",
    "RequestFinished",
    "Resumed",
    "RetriesExhausted",
    "RetryPolicy",
    "RetryScheduled",
    "Sandbox",
    "SinkError",
    "SourceError",
    "SourceSummary",
    "Summary",
    "Timeline",
    "VerifyProgress",
    "VerifyResult",
    "VersionMismatch",
    "__version__",
    "check",
    "export",
    "plan",
    "stream",
    "verify",
]

_LAZY = {
    "CheckResult": "exporter.preflight",
    "check": "exporter.preflight",
    "Chunks": "exporter.streams",
    "Contacts": "exporter.source.contacts",
    "ExportOptions": "exporter.options",
    "ListExpansion": "exporter.options",
    "Intercom": "exporter.source.intercom",
    "Metrics": "exporter.observe.prometheus",
    "Replay": "exporter.archive.replay",
    "Pages": "exporter.source.pages",
    "Plan": "exporter.layout.plan",
    "Range": "exporter.layout.plan",
    "RetryPolicy": "exporter.source.retry",
    "Sandbox": "exporter.sandbox",
    "FieldSelection": "exporter.formats.selection",
    "VerifyResult": "exporter.archive.verify",
    "VerifyProgress": "exporter.archive.verify",
    "export": "exporter.exports",
    "plan": "exporter.ranges.planning",
    "stream": "exporter.streams",
    "verify": "exporter.archive.verify",
}

_LAZY |= dict.fromkeys(
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
_LAZY |= dict.fromkeys(
    (
        "AttributeNamesUnavailable",
        "Committed",
        "CursorsChanged",
        "DiskLimited",
        "Event",
        "FieldsNotFound",
        "Observer",
        "LegacyApiVersion",
        "PageWritten",
        "Planned",
        "RangeDiscarded",
        "RangeFinished",
        "RequestFinished",
        "Resumed",
        "RetryScheduled",
        "VersionMismatch",
        "RateLimited",
    ),
    "exporter.observe.events",
)
_LAZY |= dict.fromkeys(("Page", "Position", "Timeline"), "exporter.model")
_LAZY |= dict.fromkeys(
    ("FileSummary", "PlanSummary", "ProofSummary", "SourceSummary", "Summary"), "exporter.layout.summary"
)


def __getattr__(name: str) -> "Any":
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
