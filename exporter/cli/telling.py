"""Progress as NDJSON on stderr: one event a line, of a documented shape (`intercom-exporter schema --of events`)."""

import json
import uuid
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Any

from exporter.cli.exits import say, show, utc_now, warn_of_log_file
from exporter.observe.events import Event

if TYPE_CHECKING:
    from exporter.cli.settings import ReportOptions

EVENT_VERSION = 1
"""Grows when an event loses something, or means something else; new events and members do not count."""


class Events:
    """Tells what happens in one run of a command."""

    def __init__(self) -> None:
        self._run_id = uuid.uuid4().hex
        self._seq = 0

    def tell(self, event: str, **facts: Any) -> None:
        """Print an event.

        Args:
            event: its name.
            facts: what is to be known of it, as JSON has it.
        """
        self._seq += 1
        head = {"event_version": EVENT_VERSION, "run_id": self._run_id, "seq": self._seq, "at": utc_now()}
        show(json.dumps({**head, "event": event, **facts}), say)


def events_for(options: "ReportOptions") -> Events | None:
    """Return what prints events; None where the options do not ask for them."""
    if options.progress != "json" or options.quiet:
        return None
    events = Events()
    warn_of_log_file(lambda message: events.tell("log", level="warning", message=message))
    return events


def facts_of(event: Event) -> dict[str, Any]:
    """Give what is to be known of an event, as JSON has it."""
    facts = asdict(event)
    facts.get("position", {}).pop("next_cursor", None)  # of any length, and it could echo the token
    return facts


def events_schema() -> str:
    """Give the JSON Schema of an event."""
    return resources.files("exporter.cli").joinpath("events.schema.json").read_text(encoding="utf-8").rstrip()
