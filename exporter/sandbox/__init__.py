"""A local fake of Intercom's contacts API on 127.0.0.1, which needs no account and no network.

Tests, demonstrations and benchmarks run against it. It never connects to Intercom.
"""

from exporter.sandbox.changes import Change
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.faults import Fault
from exporter.sandbox.search_endpoint import SearchSettings
from exporter.sandbox.server import Sandbox

__all__ = ["Change", "Fault", "Sandbox", "SearchSettings", "Workspace"]
