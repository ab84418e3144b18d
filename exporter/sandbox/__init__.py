"""A faithful stand-in for Intercom's contacts API on 127.0.0.1: no account, no network.

Tests, demonstrations and benchmarks run against it; it never speaks to Intercom.
"""

from exporter.sandbox.changes import Change
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.faults import Fault
from exporter.sandbox.server import Sandbox

__all__ = ["Change", "Fault", "Sandbox", "Workspace"]
