"""How many contacts the programs delivered; none of their tools is imported for it."""

import re
from pathlib import Path

_CONTACT_BEGINS = re.compile(rb'\{"type": ?"(contact|RECORD)"').match
"""A contact of its own, or as a message of Singer or Airbyte; schemas, states and logs begin otherwise.

The space is Airbyte's: a record that its fast encoder refuses is written by a slower one, which spaces its output.
"""


def contacts_in(output: Path) -> int:
    """Count the contacts in the OUTPUT of any of these programs: a file, or dlt's folder."""
    if output.is_dir():
        return sum(_lines(path) for path in output.glob("loaded/contacts/*.jsonl"))
    with output.open("rb") as lines:
        return sum(_CONTACT_BEGINS(line) is not None for line in lines)


def _lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(not line.isspace() for line in lines)
