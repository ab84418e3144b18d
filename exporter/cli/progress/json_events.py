"""Progress as NDJSON on stderr: one event a line, of a documented shape (`intercom-exporter schema --of events`)."""

import json
import uuid
from dataclasses import asdict
from importlib import resources
from typing import Any

from exporter.cli.log_file import utc_now
from exporter.cli.stderr import on_log_file_failure, write_line, write_stderr
from exporter.observe.events import Event

EVENT_VERSION = 1
"""Grows when an event loses a member, or a member changes its meaning; new events and members do not count."""


class JsonEventWriter:
    """Writes the events of one run of a command, and the warning that its log file failed as one of them."""

    def __init__(self) -> None:
        self._run_id = uuid.uuid4().hex
        self._seq = 0
        on_log_file_failure(lambda message: self.write("log", level="warning", message=message))

    def write(self, event: str, **fields: Any) -> None:
        """Write an event.

        Args:
            event: its name.
            fields: its members, as JSON has them.
        """
        self._seq += 1
        head = {"event_version": EVENT_VERSION, "run_id": self._run_id, "seq": self._seq, "at": utc_now()}
        write_line(json.dumps({**head, "event": event, **fields}), write_stderr)


def event_fields(event: Event) -> dict[str, Any]:
    """Return the members of an event, as JSON has them."""
    fields = asdict(event)
    fields.get("position", {}).pop("next_cursor", None)  # of any length, and it could echo the token
    return fields


def events_schema() -> str:
    """Return the JSON Schema of an event."""
    return resources.files("exporter.cli").joinpath("events.schema.json").read_text(encoding="utf-8").rstrip()
